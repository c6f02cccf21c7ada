# Sets access control lists through one mount and sees whether another obeys them. Prints what came of it as JSON.
import errno, json, os, struct, sys, time

source, target, name = sys.argv[1:]
BOB = 1002
OWNER, USER, GROUP, MASK, OTHER = 1, 2, 4, 16, 32
SECONDS = 30  # a bound for hangs: what is believed of attributes passes within one


def acl(*entries):
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry, *[0xFFFFFFFF][len(entry) - 2:]) for entry in entries)


def as_user(uid, work):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            answer = work()
        except OSError as error:
            answer = errno.errorcode[error.errno]
        except BaseException as error:
            answer = repr(error)
        os.write(write, answer.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    return answer


def until(wanted, uid, work):
    """What the other mount may still believe passes within a second."""
    end = time.monotonic() + SECONDS
    while (answer := as_user(uid, work)) != wanted and time.monotonic() < end:
        time.sleep(0.05)
    return answer


def reads():
    with open(f"{target}/{name}/file") as file:
        return file.read()


def makes():
    os.umask(0)
    path = f"{target}/{name}/inner/new-{os.getpid()}"
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o666))
    return oct(os.stat(path).st_mode & 0o777)


os.mkdir(f"{source}/{name}")
os.mkdir(f"{source}/{name}/inner")
for part in ("", "/inner"):
    os.chmod(f"{source}/{name}{part}", 0o755)
with open(f"{source}/{name}/file", "w") as file:
    file.write("text")
os.chmod(f"{source}/{name}/file", 0o600)
rule = acl((OWNER, 7), (USER, 7, BOB), (GROUP, 0), (MASK, 7), (OTHER, 0))
os.setxattr(f"{source}/{name}/file", "system.posix_acl_access", rule)
os.setxattr(f"{source}/{name}/inner", "system.posix_acl_access", rule)
os.setxattr(f"{source}/{name}/inner", "system.posix_acl_default", acl((OWNER, 6), (USER, 4, BOB), (GROUP, 0), (MASK, 4), (OTHER, 0)))
out = {}
out["named user reads"] = until("text", BOB, reads)
out["another user"] = until("EACCES", 1003, reads)
out["named user makes a file in the folder"] = until("0o640", BOB, makes)
os.chmod(f"{source}/{name}/file", 0o600)
out["mask closed by chmod"] = until("EACCES", BOB, reads)
os.chmod(f"{source}/{name}/file", 0o660)
until("text", BOB, reads)
os.removexattr(f"{source}/{name}/file", "system.posix_acl_access")
os.chmod(f"{source}/{name}/file", 0o600)
out["list taken away"] = until("EACCES", BOB, reads)
json.dump(out, sys.stdout)
