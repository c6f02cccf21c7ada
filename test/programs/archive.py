# A tree with everything that tar and rsync carry.
#   archive.py make FOLDER
#   archive.py check FOLDER COPY [holes]   what a listing does not show: hard links, holes
import os, random, socket, stat, sys

what, top = sys.argv[1:3]


def put(name, data, mode=0o644):
    path = os.path.join(top, name)
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, mode)
    return path


if what == "make":
    choice = random.Random(1)
    os.makedirs(top)
    for folder in ("plain", "deep/er/and/deeper", "setgid", "sticky", "empty", "of another"):
        os.makedirs(os.path.join(top, folder))
    os.chmod(os.path.join(top, "setgid"), 0o2775)
    os.chmod(os.path.join(top, "sticky"), 0o1777)
    for i in range(200):
        put(f"plain/{i}", choice.randbytes(choice.choice((0, 1, 100, 4096, 70_000))), choice.choice((0o600, 0o644, 0o755, 0o000)))
    put("deep/er/and/deeper/large", choice.randbytes(9_000_001))
    for name in ("setuid", "setgid-file"):
        put(name, b"#!/bin/sh\n")
    os.chown(os.path.join(top, "setuid"), 12, 34)
    os.chmod(os.path.join(top, "setuid"), 0o4755)
    os.chmod(os.path.join(top, "setgid-file"), 0o2755)
    os.chown(os.path.join(top, "of another"), 4242, 4343)
    for i in range(20):
        os.chown(os.path.join(top, f"plain/{i}"), 1000 + i, 2000 + i)
    os.link(os.path.join(top, "plain/5"), os.path.join(top, "deep/linked"))
    os.link(os.path.join(top, "plain/5"), os.path.join(top, "deep/er/linked too"))
    os.symlink("../plain/7", os.path.join(top, "deep/symlink"))
    os.symlink("nowhere/" + "x" * 3000, os.path.join(top, "dangling"))
    os.mkfifo(os.path.join(top, "fifo"), 0o640)
    os.mknod(os.path.join(top, "char"), 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(os.path.join(top, "block"), 0o600 | stat.S_IFBLK, os.makedev(7, 200))
    for name in ("ümlaut", "new\nline", " ", "x" * 255, "-rf", "tab\there"):
        put(name, name.encode())
    for name in ("plain/9", "plain"):
        os.setxattr(os.path.join(top, name), "user.colour", b"green\0and\xff")
        os.setxattr(os.path.join(top, name), "user.empty", b"")
        os.setxattr(os.path.join(top, name), "trusted.secret", b"of root")
    with open(os.path.join(top, "sparse"), "wb") as file:
        for at in (0, 5_000_000, 150_000_000):
            file.seek(at)
            file.write(b"data" * 2000)
        file.truncate(200_000_000)
    for folder, folders, files in os.walk(top, topdown=False):
        for name in files + ["."]:
            path = os.path.join(folder, name)
            os.utime(path, ns=(choice.randrange(10**18), choice.randrange(1, 17 * 10**17)), follow_symlinks=False)
else:
    copy = sys.argv[3]
    linked = [os.stat(os.path.join(copy, name)) for name in ("plain/5", "deep/linked", "deep/er/linked too")]
    assert len({entry.st_ino for entry in linked}) == 1 and linked[0].st_nlink == 3, linked
    if "holes" not in sys.argv:
        sys.exit()
    sparse = os.open(os.path.join(copy, "sparse"), os.O_RDONLY)
    assert os.lseek(sparse, 10_000_000, os.SEEK_DATA) >= 149_000_000, "the hole was filled"
    os.close(sparse)
