# Does what the rules of POSIX are about in a directory, as several users, and prints what came of each step as JSON. The
# same steps on the local disk say what is right. Times and inode numbers are left out: they are nobody's rule.
import errno, fcntl, json, os, socket, stat, struct, sys

ALICE, BOB, TEAM, OTHERS = 1001, 1002, 2001, 2002
OWNER, USER, GROUP, NAMED, MASK, OTHER = 1, 2, 4, 8, 16, 32
ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
results = {}


def as_user(uid, gid, groups, work):
    """In a process of its own; answers what `work` answers."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups(groups)
            os.setgid(gid)
            os.setuid(uid)
            answer = outcome(work)
        except BaseException as error:
            answer = repr(error)
        os.write(write, json.dumps(answer).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    return json.loads(answer)


def outcome(work):
    try:
        answer = work()
        return "done" if answer is None else answer
    except OSError as error:
        return errno.errorcode[error.errno]


def step(name, work, uid=0, gid=0, groups=()):
    assert name not in results, name
    results[name] = as_user(uid, gid, list(groups), work)


def look(*names):
    found = {}
    for name in names:
        st = os.lstat(name)
        found[name] = f"{stat.filemode(st.st_mode)} {st.st_uid} {st.st_gid}"
    return found


def make(name, mode, uid=ALICE, gid=ALICE):
    with open(name, "w") as file:
        file.write("some text")
    os.chown(name, uid, gid)
    os.chmod(name, mode)


def folder(name, mode, uid=ALICE, gid=ALICE):
    os.mkdir(name)
    os.chown(name, uid, gid)
    os.chmod(name, mode)


def acl(*entries):
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", tag, perm, id) for tag, perm, id in
                                           [(*entry, 0xFFFFFFFF)[:3] for entry in entries])


def shown(path, name):
    value = os.getxattr(path, name)
    return [list(struct.unpack_from("<HHi", value, at)) for at in range(4, len(value), 8)]


def append(name):
    with open(name, "a") as file:
        file.write("more")


def groups():
    make("mine", 0o640)
    for gid in (TEAM, OTHERS):
        step(f"chgrp to {gid}", lambda: os.chown("mine", -1, gid), ALICE, ALICE, [TEAM])
    make("team", 0o664, ALICE, TEAM)
    step("member reads", lambda: open("team").read(), BOB, BOB, [TEAM])
    step("member writes", lambda: append("team"), BOB, BOB, [TEAM])
    step("member touches", lambda: os.utime("team"), BOB, BOB, [TEAM])
    step("member sets times", lambda: os.utime("team", (1, 1)), BOB, BOB, [TEAM])
    step("stranger touches", lambda: os.utime("mine"), BOB, BOB)
    step("member changes mode", lambda: os.chmod("team", 0o600), BOB, BOB, [TEAM])
    step("chmod g+s in the group", lambda: os.chmod("team", 0o2775), ALICE, ALICE, [TEAM])
    make("foreign", 0o664, ALICE, OTHERS)
    step("chmod g+s out of the group", lambda: os.chmod("foreign", 0o2775), ALICE, ALICE, [TEAM])
    step("mine, team, foreign", lambda: look("mine", "team", "foreign"))


def made(name, mode=0o2775):
    os.umask(0)
    os.close(os.open(name, os.O_CREAT | os.O_WRONLY, mode))
    os.mkdir(name + "-dir", 0o755)
    os.mknod(name + "-fifo", stat.S_IFIFO | mode)
    os.symlink("nowhere", name + "-link")
    return look(name, name + "-dir", name + "-fifo", name + "-link")


def setgid():
    folder("shared", 0o3777, 0, TEAM)
    step("made by a member", lambda: made("shared/a"), ALICE, ALICE, [TEAM])
    step("made by a stranger", lambda: made("shared/b"), BOB, BOB)
    step("made by root", lambda: made("shared/c"))
    folder("plain", 0o777)
    step("made in a plain folder", lambda: made("plain/a"), BOB, BOB, [TEAM])


def killed():
    for mode in (0o6777, 0o2767, 0o4666):
        for who, uid in (("root", 0), ("bob", BOB)):
            for what, work in (("write", append), ("truncate", lambda name: os.truncate(name, 3)),
                               ("open to truncate", lambda name: open(name, "w").close())):
                name = f"{what} {who} {mode:o}"
                make(name, mode)
                step(name, lambda: work(name) or look(name), uid, uid)
    for mode in (0o6755, 0o2745, 0o6745):
        for who, uid in (("root", 0), ("alice", ALICE)):
            name = f"chown {who} {mode:o}"
            make(name, mode)
            step(name, lambda: os.chown(name, -1, TEAM) or look(name), uid, uid, [TEAM])
    folder("chown folder", 0o6755)
    step("chown folder", lambda: os.chown("chown folder", BOB, TEAM) or look("chown folder"))


def sticky():
    folder("tmp", 0o1777, 0, 0)
    for name in ("a", "b", "c", "d"):
        make(f"tmp/{name}", 0o666)
    step("unlink another's", lambda: os.unlink("tmp/a"), BOB, BOB)
    step("rename another's", lambda: os.rename("tmp/a", "tmp/x"), BOB, BOB)
    make("tmp/bobs", 0o666, BOB, BOB)
    step("rename over another's", lambda: os.rename("tmp/bobs", "tmp/a"), BOB, BOB)
    step("unlink one's own", lambda: os.unlink("tmp/b"), ALICE, ALICE)
    step("root unlinks", lambda: os.unlink("tmp/c"))
    folder("hers", 0o1777)
    make("hers/bobs", 0o600, BOB, BOB)
    step("the folder's owner unlinks", lambda: os.unlink("hers/bobs"), ALICE, ALICE)


def specials():
    folder("dev", 0o777)
    step("device by a user", lambda: os.mknod("dev/no", stat.S_IFCHR | 0o666, os.makedev(1, 3)), BOB, BOB)
    # The format's column for it has 31 bits on PostgreSQL.
    far = 500000 if os.environ.get("PAGESEAL_BACKEND") == "scaled" else 1000000
    for name, kind, device in (("null", stat.S_IFCHR, (1, 3)), ("far", stat.S_IFBLK, (2047, far))):
        os.mknod(f"dev/{name}", kind | 0o600, os.makedev(*device))
        st = os.stat(f"dev/{name}")
        results[f"device {name}"] = [os.major(st.st_rdev), os.minor(st.st_rdev), st.st_size]

    def fifo():
        os.mkfifo("dev/fifo")
        end = os.open("dev/fifo", os.O_RDWR | os.O_NONBLOCK)
        os.write(end, b"through")
        return os.read(end, 100).decode()

    def listen():
        with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
            server.bind("dev/socket")
            server.listen()
            client.connect("dev/socket")
            client.send(b"hello")
            with server.accept()[0] as peer:
                return peer.recv(100).decode()

    step("fifo", fifo, BOB, BOB)
    step("socket", listen, BOB, BOB)
    step("kinds", lambda: look("dev/fifo", "dev/socket", "dev/null"))


def times():
    make("times", 0o666)
    both = lambda: [str(os.stat("times").st_atime_ns), str(os.stat("times").st_mtime_ns)]
    step("nanoseconds", lambda: os.utime("times", ns=(1_234_567_890_123_456_789, 987_654_321)) or both())
    link = lambda: os.utime("times-link", ns=(5, 1_000_000_007), follow_symlinks=False)
    os.symlink("times", "times-link")
    step("of a link", lambda: link() or [str(os.lstat("times-link").st_mtime_ns), *both()])
    step("far ahead", lambda: os.utime("times", ns=(2**62, 2**62 - 1)) or both())
    step("explicit by another", lambda: os.utime("times", (1, 2)), BOB, BOB)
    step("now by a writer", lambda: os.utime("times"), BOB, BOB)


IMMUTABLE, APPEND = 0x10, 0x20


def flag(name, flags):
    fd = os.open(name, os.O_RDONLY)
    try:
        # The others stay as they are: to clear ext4's flag for extents is to ask for another layout of the file.
        others = struct.unpack("q", fcntl.ioctl(fd, 0x80086601, bytes(8)))[0] & ~(IMMUTABLE | APPEND)
        fcntl.ioctl(fd, 0x40086602, struct.pack("q", others | flags))
    finally:
        os.close(fd)


def flags_of(name):
    fd = os.open(name, os.O_RDONLY)
    try:
        return struct.unpack("q", fcntl.ioctl(fd, 0x80086601, bytes(8)))[0] & (IMMUTABLE | APPEND)
    finally:
        os.close(fd)


def fixed(name, flags):
    folder(name, 0o777)
    for one in ("file", "target", "child", "gone"):
        make(f"{name}/{one}", 0o666, 0, 0)
    folder(f"{name}/folder", 0o777, 0, 0)
    make(f"{name}/folder/child", 0o666, 0, 0)
    file, inside = f"{name}/file", f"{name}/folder"
    step(f"{name}: flag by a user", lambda: flag(f"{name}/child", flags), ALICE, ALICE)
    try:
        for one in (file, inside):
            flag(one, flags)
        for what, work in {
            "flags": lambda: [flags_of(file), flags_of(inside), flags_of(f"{name}/child")],
            "read": lambda: open(file).read(),
            "write": lambda: os.close(os.open(file, os.O_WRONLY)),
            "append": lambda: append(file),
            "append and truncate": lambda: os.close(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_TRUNC)),
            "truncate": lambda: os.truncate(file, 1),
            "chmod": lambda: os.chmod(file, 0o600),
            "chown": lambda: os.chown(file, 1, 1),
            "touch": lambda: os.utime(file),
            "set times": lambda: os.utime(file, (1, 1)),
            "attribute": lambda: os.setxattr(file, "user.a", b"1"),
            "link": lambda: os.link(file, f"{name}/link"),
            "rename": lambda: os.rename(file, f"{name}/renamed"),
            "rename over": lambda: os.rename(f"{name}/target", file),
            "unlink": lambda: os.unlink(file),
            "make inside": lambda: os.mkdir(f"{inside}/new"),
            "write inside": lambda: append(f"{inside}/child"),
            "unlink inside": lambda: os.unlink(f"{inside}/child"),
            "rename inside": lambda: os.rename(f"{inside}/child", f"{inside}/other"),
            "rename out": lambda: os.rename(f"{inside}/child", f"{name}/out"),
            "rename in": lambda: os.rename(f"{name}/gone", f"{inside}/in"),
            "rmdir": lambda: os.rmdir(inside),
        }.items():
            step(f"{name}: {what}", work)
    finally:
        for one in (file, inside):
            flag(one, 0)
    step(f"{name}: afterwards", lambda: os.unlink(file))


def flags():
    fixed("immutable", IMMUTABLE)
    fixed("append-only", APPEND)


def lists():
    rule = acl((OWNER, 6), (USER, 6, BOB), (GROUP, 4), (NAMED, 4, TEAM), (MASK, 6), (OTHER, 0))
    make("listed", 0o600)
    step("list by another", lambda: os.setxattr("listed", ACCESS, rule), BOB, BOB)
    step("list by the owner", lambda: os.setxattr("listed", ACCESS, rule), ALICE, ALICE)
    seen = lambda: [look("listed"), shown("listed", ACCESS), os.listxattr("listed")]
    step("as listed", seen)
    step("named user writes", lambda: append("listed"), BOB, BOB)
    step("named group reads", lambda: len(open("listed").read()), 1009, 1009, [TEAM])
    step("named group writes", lambda: append("listed"), 1009, 1009, [TEAM])
    step("stranger reads", lambda: open("listed").read(), 1009, 1009)
    step("mask by chmod", lambda: os.chmod("listed", 0o640) or seen(), ALICE, ALICE)
    step("masked user writes", lambda: append("listed"), BOB, BOB)
    step("group bits off", lambda: os.chmod("listed", 0o604) or seen())
    step("then named user reads", lambda: open("listed").read(), BOB, BOB)
    small = acl((OWNER, 7), (GROUP, 5), (OTHER, 1))
    step("no more than a mode", lambda: os.setxattr("listed", ACCESS, small) or [look("listed"), os.listxattr("listed")])
    step("gone", lambda: shown("listed", ACCESS))
    for name, value in (("unordered", acl((OTHER, 0), (OWNER, 6), (GROUP, 4))), ("without mask", rule[:28] + rule[-8:]),
                        ("cut", rule[:-1]), ("version 3", b"\3" + rule[1:])):
        step(f"damaged: {name}", lambda: os.setxattr("listed", ACCESS, value))
    step("default on a file", lambda: os.setxattr("listed", DEFAULT, rule))
    make("sgid", 0o2775, ALICE, OTHERS)
    step("list out of the group", lambda: os.setxattr("sgid", ACCESS, rule) or look("sgid"), ALICE, ALICE)
    make("sgid-kept", 0o2775, ALICE, TEAM)
    step("list in the group", lambda: os.setxattr("sgid-kept", ACCESS, rule) or look("sgid-kept"), ALICE, ALICE, [TEAM])


def defaults():
    rule = acl((OWNER, 7), (USER, 7, BOB), (GROUP, 5), (MASK, 7), (OTHER, 4))

    def inside(parent, mode):
        os.umask(0o077)
        os.close(os.open(f"{parent}/file", os.O_CREAT | os.O_WRONLY, mode))
        os.mkdir(f"{parent}/dir", mode)
        os.mkfifo(f"{parent}/fifo", mode)
        os.symlink("file", f"{parent}/link")
        found = {}
        for name in ("file", "dir", "fifo", "link"):
            path = f"{parent}/{name}"
            lists = sorted(os.listxattr(path, follow_symlinks=False))
            found[name] = [look(path)[path], *([one, shown(path, one)] for one in lists)]
        return found

    for name, value in (("full", rule), ("small", acl((OWNER, 6), (GROUP, 4), (OTHER, 4)))):
        for mode in (0o777, 0o640):
            parent = f"{name}-{mode:o}"
            folder(parent, 0o777)
            os.setxattr(parent, DEFAULT, value)
            step(f"below {parent}", lambda: inside(parent, mode), BOB, BOB)
    step("below a folder without", lambda: os.mkdir("without") or inside("without", 0o777))
    step("default goes", lambda: os.removexattr("full-777", DEFAULT) or os.listxattr("full-777"))


os.chdir(sys.argv[1])
for part in sys.argv[2:]:
    os.mkdir(part)
    os.chmod(part, 0o755)
    os.chdir(part)
    globals()[part]()
    os.chdir("..")
json.dump(results, sys.stdout, indent=1)
