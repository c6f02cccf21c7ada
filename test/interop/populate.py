"""Fills a directory of a mount with a random tree: populate.py SEED DIRECTORY [without-U+FFFD].

Names of any bytes, hard links, holes, attributes, access lists where the mount takes them, special files, long files,
removals into the trash."""
import os
import random
import struct
import sys

seed, top = int(sys.argv[1]), os.fsencode(sys.argv[2])
rng = random.Random(seed)
odd = "" if len(sys.argv) > 3 else "\ufffd"
directories, files = [top], []


def name():
    kind = rng.randrange(4)
    if kind == 0:
        return bytes(rng.choice([b for b in range(1, 256) if b != 0x2F]) for _ in range(rng.randrange(1, 12)))
    if kind == 1:
        return ("grüße \u2028😀 %41" + odd + str(rng.randrange(1000))).encode()
    return b"f%d" % rng.randrange(100000)


def fresh():
    while True:
        path = os.path.join(rng.choice(directories), name())
        if path.rsplit(b"/", 1)[1] not in (b".", b"..", b".trash") and not os.path.lexists(path):
            return path


def write(path):
    with open(path, "wb") as out:
        for _ in range(rng.randrange(4)):
            out.seek(rng.choice([0, 1, 4096, 65536, 67108864 - 5, rng.randrange(300000)]))
            out.write(rng.randbytes(rng.randrange(1, 100000)))
        if rng.random() < 0.3:
            out.truncate(rng.randrange(200000))
        if rng.random() < 0.05:
            out.truncate(2**37)
    files.append(path)


def access_list():
    entries = [(1, 7, 2**32 - 1), (2, rng.randrange(8), 1000), (4, 5, 2**32 - 1)]
    entries += [(8, rng.randrange(8), 2000)] if rng.random() < 0.5 else []
    entries += [(16, 7, 2**32 - 1), (32, rng.randrange(8), 2**32 - 1)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def attributes(path):
    os.setxattr(path, b"user.\xc3\xbc" + str(rng.randrange(9)).encode(), rng.randbytes(rng.randrange(200)))
    for kind in (b"system.posix_acl_access", b"system.posix_acl_default"):
        if b"default" in kind and not os.path.isdir(path):
            continue
        try:
            os.setxattr(path, kind, access_list())
        except OSError:
            pass


for _ in range(150):
    path = fresh()
    what = rng.randrange(12)
    if what < 5:
        write(path)
    elif what < 7:
        os.mkdir(path, rng.choice([0o755, 0o700, 0o2775, 0o1777]))
        directories.append(path)
    elif what == 7:
        os.symlink(name() + b'/"\\ %' + name(), path)
    elif what == 8:
        os.mknod(path, rng.choice([0o010644, 0o020600, 0o060600, 0o140644]), os.makedev(rng.randrange(9), rng.randrange(300)))
    elif what == 9 and files:
        os.link(rng.choice(files), path)
    elif files:
        attributes(rng.choice(files + directories[1:] or files))
    if files and rng.random() < 0.3:
        target = rng.choice(files)
        os.chown(target, rng.randrange(3000), rng.randrange(3000))
        os.utime(target, ns=(rng.randrange(2**60), rng.randrange(2**60)))
    if files and rng.random() < 0.15:
        os.unlink(files.pop(rng.randrange(len(files))))
