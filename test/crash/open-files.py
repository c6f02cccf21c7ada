# An application that has files open while the mount's processes are replaced: one without a name, one that is appended to,
# one mapped into memory, and two locks. Each line of input is a round of using them all; the answer says what went wrong.
import errno, fcntl, json, mmap, os, sys

top = sys.argv[1]
path = lambda name: os.path.join(top, name)
flags = os.O_CREAT | os.O_RDWR

nameless = os.open(path("nameless"), flags)
os.write(nameless, b"kept " * 1000)
os.fsync(nameless)
os.unlink(path("nameless"))

log = os.open(path("log"), flags | os.O_APPEND)
mapped = os.open(path("mapped"), flags)
os.ftruncate(mapped, 65536)
memory = mmap.mmap(mapped, 65536)

region, whole = os.open(path("region"), flags), os.open(path("whole"), flags)
fcntl.lockf(region, fcntl.LOCK_EX, 100, 50)
fcntl.flock(whole, fcntl.LOCK_EX)


def is_locked(work):
    """Asked by another process: one's own locks are in nobody's way."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(1)
        except OSError as error:
            os._exit(0 if error.errno in (errno.EAGAIN, errno.EACCES) else 2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def use(number):
    bad = []

    def expect(what, found, wanted):
        if found != wanted:
            bad.append(f"{what}: {found!r}, wanted {wanted!r}")

    expect("nameless", os.pread(nameless, 5000, 0), b"kept " * 1000)
    os.write(log, b"%09d\n" % number)
    os.fsync(log)
    expect("log", os.pread(log, 1 << 20, 0), b"".join(b"%09d\n" % i for i in range(number + 1)))
    memory[number * 8:number * 8 + 8] = b"%08d" % number
    memory.flush()
    expect("mapped", os.pread(mapped, 8 * number + 8, 0), b"".join(b"%08d" % i for i in range(number + 1)))
    other = lambda name: os.open(path(name), os.O_RDWR)
    expect("region", is_locked(lambda: fcntl.lockf(other("region"), fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 90 + 20)), 0)
    expect("beside", is_locked(lambda: fcntl.lockf(other("region"), fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 0)), 1)
    expect("whole", is_locked(lambda: fcntl.flock(other("whole"), fcntl.LOCK_EX | fcntl.LOCK_NB)), 0)
    return bad


for number, _ in enumerate(sys.stdin):
    try:
        print(json.dumps(use(number)), flush=True)
    except OSError as error:
        print(json.dumps([str(error)]), flush=True)
