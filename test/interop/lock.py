# One process and its locks, told what to do by lines on stdin: an answer line each. Threads, so that one can wait while
# another goes on.
#   open NAME PATH MODE      MODE as open(2): r, r+, a+
#   flock NAME sh|ex|un [nb]
#   fcntl NAME sh|ex|un START LENGTH [nb]
#   getlk NAME START LENGTH
#   read NAME OFFSET LENGTH | write NAME OFFSET TEXT | append NAME TEXT | close NAME
#   wait fcntl|flock ...     in a thread: "waiting" at once, "had ..." when it is there
#   count NAME TIMES         lock, read a number, write it one higher, unlock
import errno, fcntl, os, signal, struct, sys, threading

files = {}
FLOCK = {"sh": fcntl.LOCK_SH, "ex": fcntl.LOCK_EX, "un": fcntl.LOCK_UN}
FCNTL = {"sh": fcntl.F_RDLCK, "ex": fcntl.F_WRLCK, "un": fcntl.F_UNLCK}
KIND = "hhqqi4x"


def lock(words):
    fd = files[words[1]]
    nb = words[-1] == "nb"
    if words[0] == "flock":
        fcntl.flock(fd, FLOCK[words[2]] | (fcntl.LOCK_NB if nb else 0))
    else:
        what = struct.pack(KIND, FCNTL[words[2]], os.SEEK_SET, int(words[3]), int(words[4]), 0)
        fcntl.fcntl(fd, fcntl.F_SETLK if nb else fcntl.F_SETLKW, what)


def count(words):
    fd = files[words[1]]
    for _ in range(int(words[2])):
        lock(["fcntl", words[1], "ex", "0", "0"])
        value = int(os.pread(fd, 20, 0) or b"0") + 1
        os.pwrite(fd, b"%d" % value, 0)
        lock(["fcntl", words[1], "un", "0", "0"])


def run(words):
    name, rest = words[0], words[1:]
    if name == "open":
        flags = {"r": os.O_RDONLY, "r+": os.O_RDWR | os.O_CREAT, "a+": os.O_RDWR | os.O_CREAT | os.O_APPEND}[rest[2]]
        files[rest[0]] = os.open(rest[1], flags, 0o644)
    elif name in ("flock", "fcntl"):
        lock(words)
    elif name == "getlk":
        what = struct.pack(KIND, fcntl.F_WRLCK, os.SEEK_SET, int(rest[1]), int(rest[2]), 0)
        kind, _, start, length, pid = struct.unpack(KIND, fcntl.fcntl(files[rest[0]], fcntl.F_GETLK, what))
        return f"{next(k for k, v in FCNTL.items() if v == kind)} {start} {length} {pid}"
    elif name == "read":
        return os.pread(files[rest[0]], int(rest[2]), int(rest[1])).decode()
    elif name == "write":
        os.pwrite(files[rest[0]], rest[2].encode(), int(rest[1]))
    elif name == "append":
        return str(os.write(files[rest[0]], rest[1].encode() * int(rest[2])))
    elif name == "fsync":
        os.fsync(files[rest[0]])
    elif name == "stat":
        return f"{os.fstat(files[rest[0]]).st_nlink} {os.fstat(files[rest[0]]).st_size}"
    elif name == "close":
        os.close(files.pop(rest[0]))
    elif name == "count":
        count(words)
    else:
        raise ValueError(name)
    return "ok"


def safely(words):
    try:
        return run(words)
    except OSError as error:
        return errno.errorcode[error.errno]


out = threading.Lock()


def say(text):
    with out:
        print(text, flush=True)


def wait(words):
    say("had " + safely(words))


# Interrupts a call that waits: a handler that does nothing, and no restart.
signal.signal(signal.SIGUSR1, lambda *_: (_ for _ in ()).throw(InterruptedError(errno.EINTR, "interrupted")))
say("ready %d" % os.getpid())
for line in sys.stdin:
    words = line.split()
    if words[0] == "wait":
        threading.Thread(target=wait, args=(words[1:],), daemon=True).start()
        say("waiting")
    else:
        say(safely(words))
