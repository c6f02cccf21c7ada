# Opens and reads a file again and again until its input ends, as another mount's user would. Prints how often; any error
# but a file that got shorter meanwhile ends it with that error.
import os, select, sys

rounds = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    with open(sys.argv[1], "rb", buffering=0) as file:
        while file.read(1 << 20):
            pass
    rounds += 1
print(rounds)
