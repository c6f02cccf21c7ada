# Runs a command at a terminal of its own and answers its question. Prints what the terminal showed, and the exit code.
#   prompt.py ANSWER QUESTION COMMAND...
import json, os, pty, select, sys, time

answer, question, command = sys.argv[1], sys.argv[2], sys.argv[3:]
pid, terminal = pty.fork()
if pid == 0:
    os.execv(command[0], command)
shown, asked, deadline = b"", False, time.monotonic() + 60
while time.monotonic() < deadline:
    if not select.select([terminal], [], [], 0.1)[0]:
        continue
    try:
        part = os.read(terminal, 4096)
    except OSError:
        break
    if not part:
        break
    shown += part
    if not asked and question.encode() in shown:
        asked = True
        time.sleep(0.2)
        os.write(terminal, answer.encode() + b"\r")
print(json.dumps(dict(shown=shown.decode(errors="replace"), asked=asked, code=os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))))
