# Names, paths, link targets and extended attributes up to their limits and beyond. Prints what came of each step as JSON;
# the same steps on the local disk say what is right.
import errno, json, os, stat, struct, sys

results = {}


def step(name, work):
    assert name not in results, name
    try:
        answer = work()
        results[name] = "done" if answer is None else answer
    except OSError as error:
        results[name] = errno.errorcode[error.errno]


def as_user(work):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setgid(1001)
        os.setuid(1001)
        try:
            answer = work()
        except OSError as error:
            answer = errno.errorcode[error.errno]
        os.write(write, json.dumps(answer).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    return json.loads(answer)


def hexed(names):
    return sorted(name.hex() for name in names)


def make(name):
    os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))


def names():
    os.mkdir(b"names")
    odd = [b"a" * 255, "\u00e4".encode() * 127, bytes(range(1, 47)) + bytes(range(48, 256)), b"new\nline", b" ", b"...",
           b"\xff\xfe\x80", b"-rf", b"%2F", b"e\xcc\x81", "\u00e9".encode(), b"A", b"a", b"\x7f\x01"]
    for name in odd:
        step(f"make {name.hex()}", lambda: make(b"names/" + name))
        step(f"again {name.hex()}", lambda: make(b"names/" + name))
    step("listed", lambda: hexed(os.listdir(b"names")))
    step("found", lambda: [os.path.exists(b"names/" + name) for name in odd])
    step("256 bytes", lambda: make(b"names/" + b"b" * 256))
    for what, work in (("mkdir", lambda name: os.mkdir(name)), ("symlink", lambda name: os.symlink("x", name)),
                       ("link", lambda name: os.link(b"names/A", name)), ("rename", lambda name: os.rename(b"names/A", name)),
                       ("mkfifo", lambda name: os.mkfifo(name)), ("stat", lambda name: os.stat(name) and None),
                       ("unlink", lambda name: os.unlink(name)), ("rmdir", lambda name: os.rmdir(name))):
        step(f"{what} with 256 bytes", lambda: work(b"names/" + b"c" * 256))
    for name in odd:
        step(f"rename {name.hex()}", lambda: os.rename(b"names/" + name, b"names/tmp") or os.rename(b"names/tmp", b"names/" + name))
        step(f"remove {name.hex()}", lambda: os.unlink(b"names/" + name))
    step("empty again", lambda: os.rmdir(b"names"))
    os.mkdir(b"kept")
    for name in odd:
        make(b"kept/" + name)


def links():
    os.mkdir("links")
    for length in (1, 255, 256, 1023, 1024, 4094, 4095):
        target = ("abcdefgh/" * 500)[:length]
        step(f"link of {length}", lambda: os.symlink(target, f"links/{length}"))
        step(f"target of {length}", lambda: [os.readlink(f"links/{length}") == target, os.lstat(f"links/{length}").st_size])
    step("link of 4096", lambda: os.symlink("a" * 4096, "links/4096"))
    step("link to nothing", lambda: os.symlink("", "links/0"))
    step("target not UTF-8", lambda: os.symlink(b"\xff\n\x01", b"links/odd") or os.readlink(b"links/odd").hex())
    os.symlink("loop", "links/loop")
    step("loop", lambda: os.stat("links/loop") and None)
    for depth in range(45):
        os.symlink(f"l{depth - 1}" if depth else ".", f"links/l{depth}")
    step("40 links", lambda: stat.S_ISDIR(os.stat("links/l39").st_mode))
    step("41 links", lambda: os.stat("links/l40") and None)


DEPTH = 60
PART = "d" * 200


def paths():
    # Far beyond PATH_MAX, one step at a time.
    os.mkdir("deep")
    fd = os.open("deep", os.O_RDONLY)
    for _ in range(DEPTH):
        os.mkdir(PART, dir_fd=fd)
        inner = os.open(PART, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = inner
    file = os.open("bottom", os.O_CREAT | os.O_RDWR, 0o600, dir_fd=fd)
    os.write(file, b"far down")
    step("read at the bottom", lambda: os.pread(file, 100, 0).decode())
    os.close(file)
    step("listed at the bottom", lambda: os.listdir(fd))
    step("renamed at the bottom", lambda: os.rename("bottom", "ground", src_dir_fd=fd, dst_dir_fd=fd))
    os.close(fd)
    step("walked", lambda: sum(len(files) for _, _, files, _ in os.fwalk("deep")))
    longest = "deep" + f"/{PART}" * 20
    rest = 4095 - len(longest) - 1
    step("path of 4095", lambda: make(f"{longest}/{'f' * min(rest, 255)}"[:4095]))
    step("path of 4096", lambda: make("deep/" + "./" * 2045 + "g" * 1))
    step("path too long", lambda: os.stat("deep/" + "./" * 2050 + "x") and None)
    step("trailing slash", lambda: os.mkdir("slash/") or os.rmdir("slash/"))
    step("file with slash", lambda: make("file") or os.stat("file/") and None)
    step("below itself", lambda: os.rename("deep", f"deep/{PART}/x"))
    step("removed", lambda: remove("deep"))


def remove(top):
    for _, folders, files, fd in os.fwalk(top, topdown=False):
        for name in files:
            os.unlink(name, dir_fd=fd)
        for name in folders:
            os.rmdir(name, dir_fd=fd)
    os.rmdir(top)


CREATE, REPLACE = os.XATTR_CREATE, os.XATTR_REPLACE


def attributes():
    make("x")
    get = lambda name: os.getxattr("x", name).hex()
    put = lambda name, value=b"value", flags=0: os.setxattr("x", name, value, flags)
    step("replace none", lambda: put("user.a", flags=REPLACE))
    step("create", lambda: put("user.a", flags=CREATE))
    step("create again", lambda: put("user.a", flags=CREATE))
    step("both flags on none", lambda: put("user.none", flags=CREATE | REPLACE))
    step("replace", lambda: put("user.a", b"other", REPLACE) or get("user.a"))
    step("neither", lambda: put("user.a", b"third") or get("user.a"))
    step("both flags", lambda: put("user.a", flags=CREATE | REPLACE))
    step("unknown flag", lambda: put("user.a", flags=8))
    step("empty value", lambda: put("user.empty", b"") or get("user.empty"))
    step("bytes", lambda: put("user.bytes", bytes(range(256))) or get("user.bytes"))
    step("a name of 255", lambda: put("user." + "n" * 250))
    step("a name of 256", lambda: put("user." + "n" * 251))
    step("no name", lambda: put("user."))
    step("no namespace", lambda: put("plain"))
    step("other namespace", lambda: put("other.a"))
    step("trusted", lambda: put("trusted.a") or get("trusted.a"))
    step("security", lambda: put("security.mine") or get("security.mine"))
    step("value of 65537", lambda: put("user.big", b"v" * 65537))
    step("missing", lambda: get("user.none"))
    step("remove missing", lambda: os.removexattr("x", "user.none"))
    step("a user sees", lambda: as_user(lambda: sorted(os.listxattr("x"))))
    step("a user reads", lambda: as_user(lambda: os.getxattr("x", "trusted.a").hex()))
    step("attributes listed", lambda: sorted(name for name in os.listxattr("x") if name != "security.selinux"))
    step("attribute removed", lambda: os.removexattr("x", "user.a") or get("user.a"))
    os.symlink("x", "l")
    step("user on a link", lambda: os.setxattr("l", "user.a", b"1", follow_symlinks=False))
    step("trusted on a link", lambda: os.setxattr("l", "trusted.a", b"1", follow_symlinks=False)
         or os.getxattr("l", "trusted.a", follow_symlinks=False).decode())
    os.mkfifo("p")
    step("user on a fifo", lambda: os.setxattr("p", "user.a", b"1"))
    step("trusted on a fifo", lambda: os.setxattr("p", "trusted.a", b"1") or os.listxattr("p"))
    os.mkdir("folder")
    step("user on a folder", lambda: os.setxattr("folder", "user.a", b"1") or os.listxattr("folder"))
    times = lambda: (os.stat("x").st_mtime_ns, os.stat("x").st_size)
    before = times()
    put("user.later")
    step("the file is as it was", lambda: times() == before)


def capabilities():
    value = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)  # may bind low ports
    get = lambda name: os.getxattr(name, "security.capability").hex()
    for what, change in (("write", lambda name: open(name, "a").write("x") and None),
                         ("truncate", lambda name: os.truncate(name, 0)), ("chown", lambda name: os.chown(name, 1, 1)),
                         ("chmod", lambda name: os.chmod(name, 0o700)), ("read", lambda name: open(name).close())):
        name = f"capable-{what}"
        make(name)
        step(f"capability, {what}", lambda: os.setxattr(name, "security.capability", value) or [get(name), os.listxattr(name)])
        step(f"{what} a capable file", lambda: change(name))
        step(f"capability after {what}", lambda: get(name))


def large_attributes():
    """Not for disks that keep attributes in a block."""
    make("large")
    value = bytes(i % 251 for i in range(65536))
    step("value of 65536", lambda: os.setxattr("large", "user.big", value) or os.getxattr("large", "user.big") == value)
    for i in range(200):
        os.setxattr("large", f"user.{'n' * 200}{i}", str(i).encode())
    step("many", lambda: len(os.listxattr("large")))


os.chdir(sys.argv[1])
for part in sys.argv[2:]:
    globals()[part]()
json.dump(results, sys.stdout, indent=1)
