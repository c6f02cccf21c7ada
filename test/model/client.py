# An application that does what it is told, a line of JSON for a line of JSON, on the folders given as arguments. Names
# are bytes, carried as Latin-1. Python, so that it is a process of its own and each line is one system call or few.
#   client.py FOLDER...
# {"m": which folder, "op": name, ...}  ->  {"e": errno or 0, "v": answer, "t": [begun, ended] in ns}
import ctypes, errno, hashlib, json, mmap, os, stat, sys, time

libc = ctypes.CDLL(None, use_errno=True)
BLOCK = 65536
ZEROS = bytes(BLOCK)
KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink", stat.S_IFIFO: "fifo",
         stat.S_IFSOCK: "socket", stat.S_IFCHR: "char", stat.S_IFBLK: "block"}
MAKEABLE = {"fifo": stat.S_IFIFO, "socket": stat.S_IFSOCK, "char": stat.S_IFCHR, "block": stat.S_IFBLK}
AT_FDCWD = -100
tops = [os.fsencode(top) for top in sys.argv[1:]]
held = {}
os.umask(0o022)


def raw(text):
    return text.encode("latin-1")


def shown(name):
    return name.decode("latin-1")


def place(order, key="p"):
    path = raw(order[key])
    return os.path.join(tops[order["m"]], path) if path else tops[order["m"]]


def pattern(order):
    """Bytes that model and client make alike."""
    return hashlib.shake_128(order["seed"].encode()).digest(order["len"]) if order["seed"] else bytes(order["len"])


def checked(result):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def write_all(fd, data, offset):
    if offset is None:
        wrote = os.write(fd, data)
    else:
        wrote = os.pwrite(fd, data, offset)
    assert wrote == len(data), "short write"


def opened(order, flags, work, mode=0o666):
    fd = os.open(place(order), flags | os.O_NONBLOCK, mode)
    try:
        return work(fd)
    finally:
        os.close(fd)


def create(order):
    flags = os.O_CREAT | os.O_WRONLY | (os.O_EXCL if order["exclusive"] else 0)
    opened(order, flags, lambda fd: None, order["mode"])


def write(order):
    flags = os.O_WRONLY | (os.O_TRUNC if order["truncate"] else 0)
    opened(order, flags, lambda fd: write_all(fd, pattern(order), order["at"]))


def append(order):
    opened(order, os.O_WRONLY | os.O_APPEND, lambda fd: write_all(fd, pattern(order), None))


def read(order):
    return opened(order, os.O_RDONLY, lambda fd: digest(os.pread(fd, order["len"], order["at"])))


def mapped(order):
    """A shared mapping that is read and written."""
    def work(fd):
        size = os.fstat(fd).st_size
        if size == 0:
            return digest(b"")
        with mmap.mmap(fd, size) as view:
            found = digest(view[:])
            data = pattern(order)[:max(0, size - order["at"])]
            view[order["at"]:order["at"] + len(data)] = data
            view.flush()
            return found
    return opened(order, os.O_RDWR, work)


def fallocate(order):
    at, size = ctypes.c_int64(order["at"]), ctypes.c_int64(order["len"])
    opened(order, os.O_RDWR, lambda fd: checked(libc.fallocate(fd, order["mode"], at, size)))


def copy_range(order):
    def into(fd):
        def work(source):
            done = 0
            while done < order["len"]:
                n = os.copy_file_range(source, fd, order["len"] - done, order["at"] + done, order["to"] + done)
                if n == 0:
                    break
                done += n
            return done
        return opened({"m": order["m"], "p": order["q"]}, os.O_RDONLY, work)
    return opened(order, os.O_WRONLY, into)


def rename(order):
    try:
        checked(libc.renameat2(AT_FDCWD, place(order), AT_FDCWD, place(order, "q"), order["flags"]))
    except OSError as error:
        # Linux gives up when it meets a directory under rename's own lock that another mount has moved since it last
        # looked there. It is enough to look, as mv does before it renames.
        if error.errno != errno.ESTALE:
            raise
        for key in ("p", "q"):
            os.path.lexists(place(order, key))
        checked(libc.renameat2(AT_FDCWD, place(order), AT_FDCWD, place(order, "q"), order["flags"]))


def mknod(order):
    os.mknod(place(order), MAKEABLE[order["kind"]] | order["mode"], order["rdev"])


def hold(order):
    flags = {"r": os.O_RDONLY, "w": os.O_RDWR, "a": os.O_RDWR | os.O_APPEND}[order["how"]]
    held[order["slot"]] = os.open(place(order), flags | os.O_NONBLOCK)


def held_write(order):
    write_all(held[order["slot"]], pattern(order), None if order["how"] == "a" else order["at"])


def held_mapped(order):
    """fstat makes the kernel look; then the mapping must show what is there."""
    fd = held[order["slot"]]
    size = os.fstat(fd).st_size
    if size == 0:
        return digest(b"")
    with mmap.mmap(fd, size, prot=mmap.PROT_READ) as view:
        return digest(view[:])


def drop(order):
    os.close(held.pop(order["slot"]))


def sync(order):
    """Everything that is held."""
    for fd in held.values():
        os.fsync(fd)


def digest(data):
    """Of what is not zeros, so that holes cost nothing; and the length."""
    hasher = hashlib.sha1()
    for at in range(0, len(data), BLOCK):
        block = data[at:at + BLOCK]
        if block.count(0) != len(block):
            hasher.update(at.to_bytes(8, "big"))
            hasher.update(block)
    return f"{len(data)}:{hasher.hexdigest()}"


def attributes(path, found):
    kind = KINDS[stat.S_IFMT(found.st_mode)]
    entry = dict(kind=kind, mode=stat.S_IMODE(found.st_mode), uid=found.st_uid, gid=found.st_gid, nlink=found.st_nlink,
                 ino=found.st_ino, atime=str(found.st_atime_ns), mtime=str(found.st_mtime_ns), ctime=str(found.st_ctime_ns))
    if kind in ("file", "symlink"):
        entry["size"] = found.st_size
    if kind in ("char", "block"):
        entry["rdev"] = found.st_rdev
    return entry


def whole(path):
    found = os.lstat(path)
    entry = attributes(path, found)
    if entry["kind"] == "symlink":
        entry["target"] = shown(os.readlink(path))
    if entry["kind"] == "file":
        with open(path, "rb") as file:
            entry["data"] = digest(file.read())
    names = sorted(os.listxattr(path, follow_symlinks=False))
    entry["xattrs"] = {name: shown(os.getxattr(path, name, follow_symlinks=False)) for name in names}
    return entry


def tree(order):
    """Everything below, twice: by the listing, and by names (which is not what readdirplus told)."""
    top = tops[order["m"]]
    entries = {}

    def visit(path, name):
        entry = whole(path)
        entries[shown(name)] = entry
        if entry["kind"] == "directory":
            with os.scandir(path) as listing:
                names = [(one.name, one.inode()) for one in listing if name or one.name != b".trash"]
            assert len(set(names)) == len(names), "a name listed twice"
            for child, ino in sorted(names):
                visit(os.path.join(path, child), os.path.join(name, child) if name else child)
                below = os.path.join(name, child) if name else child
                assert entries[shown(below)]["ino"] == ino, f"{below}: listed as inode {ino}"

    visit(top, b"")
    return entries


def stat_of(order):
    found = attributes(place(order), os.lstat(place(order)))
    return found


operations = dict(
    create=create, write=write, append=append, read=read, mapped=mapped, fallocate=fallocate, copy=copy_range,
    rename=rename, mknod=mknod, tree=tree, stat=stat_of, hold=hold, heldWrite=held_write, heldMapped=held_mapped,
    drop=drop, sync=sync,
    heldRead=lambda o: digest(os.pread(held[o["slot"]], o["len"], o["at"])),
    heldOpenedAgain=lambda o: opened({"m": o["m"], "p": f"/proc/self/fd/{held[o['slot']]}"}, os.O_RDONLY,
                                     lambda fd: digest(os.pread(fd, o["len"], o["at"]))),
    heldStat=lambda o: attributes(b"", os.fstat(held[o["slot"]])),
    heldTruncate=lambda o: os.ftruncate(held[o["slot"]], o["len"]),
    heldChmod=lambda o: os.fchmod(held[o["slot"]], o["mode"]),
    heldSync=lambda o: os.fsync(held[o["slot"]]),
    truncate=lambda o: os.truncate(place(o), o["len"]),
    mkdir=lambda o: os.mkdir(place(o), o["mode"]),
    rmdir=lambda o: os.rmdir(place(o)),
    unlink=lambda o: os.unlink(place(o)),
    link=lambda o: os.link(place(o), place(o, "q"), follow_symlinks=False),
    symlink=lambda o: os.symlink(raw(o["target"]), place(o)),
    readlink=lambda o: shown(os.readlink(place(o))),
    readdir=lambda o: sorted(shown(name) for name in os.listdir(place(o)) if o["p"] or name != b".trash"),
    chmod=lambda o: os.chmod(place(o), o["mode"]),
    chown=lambda o: os.lchown(place(o), o["uid"], o["gid"]),
    utimens=lambda o: os.utime(place(o), ns=(int(o["atime"]), int(o["mtime"])), follow_symlinks=False),
    setxattr=lambda o: os.setxattr(place(o), o["name"], raw(o["value"]), o["flags"], follow_symlinks=False),
    getxattr=lambda o: shown(os.getxattr(place(o), o["name"], follow_symlinks=False)),
    removexattr=lambda o: os.removexattr(place(o), o["name"], follow_symlinks=False),
)

for line in sys.stdin:
    order = json.loads(line)
    begun = time.time_ns()
    try:
        answer, number = operations[order["op"]](order), 0
    except OSError as error:
        answer, number = str(error.filename and shown(os.fsencode(error.filename))), error.errno
    except AssertionError as error:
        answer, number = str(error), -1
    print(json.dumps(dict(e=number, v=answer, t=[str(begun), str(time.time_ns())])), flush=True)
