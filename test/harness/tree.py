# Prints a tree as JSON: types, modes, owners, times, link counts, extended attributes, content hashes. Python, because
# Node reads neither extended attributes nor names that are not UTF-8 without loss; and its own process, so that reading
# a mount never waits for the process that serves it.
import base64, hashlib, json, os, stat, sys

KIND = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "symlink", stat.S_IFIFO: "fifo",
        stat.S_IFBLK: "block", stat.S_IFCHR: "char", stat.S_IFSOCK: "socket"}
VIRTUAL = (b".accesslog", b".config", b".control", b".stats", b".trash")  # shown by the original client in its root


def printable(path):
    try:
        return path.decode()
    except UnicodeDecodeError:
        return "".join(chr(c) if 32 <= c < 127 and c != 37 else "%%%02X" % c for c in path)


def entry(path):
    st = os.lstat(path)
    kind = KIND[stat.S_IFMT(st.st_mode)]
    out = dict(type=kind, ino=st.st_ino, mode=stat.S_IMODE(st.st_mode), uid=st.st_uid, gid=st.st_gid,
               size=st.st_size, mtime=str(st.st_mtime_ns), nlink=st.st_nlink)
    if kind == "file":
        digest = hashlib.sha256()
        with open(path, "rb") as f:
            while block := f.read(1 << 20):
                digest.update(block)
        out["sha256"] = digest.hexdigest()
    if kind == "symlink":
        out["target"] = printable(os.readlink(path))
    if kind in ("block", "char"):
        out["rdev"] = st.st_rdev
    names = os.listxattr(path, follow_symlinks=False)
    if names:
        out["xattrs"] = {n: base64.b64encode(os.getxattr(path, n, follow_symlinks=False)).decode() for n in names}
    return out


def scan(path, relative, out):
    found = entry(path)
    name = printable(relative) or "/"
    if name.encode() != (relative or b"/"):
        found["pathB64"] = base64.b64encode(relative).decode()
    out[name] = found
    if found["type"] == "dir":
        for child in sorted(os.listdir(path)):
            if relative or child not in VIRTUAL:
                scan(path + b"/" + child, relative + b"/" + child, out)
    return out


json.dump(scan(os.fsencode(sys.argv[1]), b"", {}), sys.stdout)
