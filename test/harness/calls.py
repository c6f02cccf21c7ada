# Makes the system calls on files that a test asks for, in a process of its own (whoever serves a mount must not touch it).
# Standard input: a JSON list of calls; standard output: the list of their answers, numbers as text since they have up to 64
# bits, or the name of the error. Files stay open from their first call to 'close'; direct: without the kernel's pages.
import ctypes, errno, hashlib, json, os, sys

libc = ctypes.CDLL(None, use_errno=True)
SEEK = {"data": os.SEEK_DATA, "hole": os.SEEK_HOLE}
files = {}


def fd(path):
    if path not in files:
        files[path] = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    return files[path]


def write(path, at, byte, length):
    done = 0
    data = bytes([byte]) * length
    while done < length:
        done += os.pwrite(fd(path), data[done:], at + done)
    return done


def read(path, at, length):
    """Runs of equal bytes, so that answers can be compared and read."""
    data = b""
    while len(data) < length:
        part = os.pread(fd(path), length - len(data), at + len(data))
        if not part:
            break
        data += part
    runs = []
    for byte in data:
        if runs and runs[-1][0] == byte:
            runs[-1][1] += 1
        else:
            runs.append([byte, 1])
    return " ".join(f"{byte}*{count}" for byte, count in runs)


def covered(path, at, length):
    """Whether every byte of the stretch that is not zero lies where SEEK_DATA and SEEK_HOLE say data is."""
    data = os.pread(fd(path), length, at)
    place, spans = at, []
    while place < at + len(data):
        try:
            start = os.lseek(fd(path), place, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            break
        place = os.lseek(fd(path), start, os.SEEK_HOLE)
        if place <= start:
            return f"a hole at {place} that does not lie behind the data at {start}"
        spans.append((start, place))
    for start, end in spans:
        low, high = max(0, start - at), max(0, end - at)
        data = data[:low] + bytes(len(data[low:high])) + data[high:]
    return None if not any(data) else f"data in a hole, at {at + data.find(data.strip(bytes(1))[:1])}"


def fallocate(path, mode, at, length):
    if libc.fallocate(fd(path), mode, ctypes.c_int64(at), ctypes.c_int64(length)) != 0:
        raise OSError(ctypes.get_errno(), "fallocate")


def close(path):
    if path in files:
        os.close(files.pop(path))


calls = {
    "write": write,
    "read": read,
    "covered": covered,
    "fallocate": fallocate,
    "close": close,
    "open": lambda path: fd(path) and None,
    "truncate": lambda path, length: os.truncate(path, length),
    "ftruncate": lambda path, length: os.ftruncate(fd(path), length),
    "seek": lambda path, whence, at: os.lseek(fd(path), at, SEEK[whence]),
    "end": lambda path: os.lseek(fd(path), 0, os.SEEK_END),
    "size": lambda path: os.stat(path).st_size,
    "blocks": lambda path: os.stat(path).st_blocks,
    "copy": lambda source, at, target, to, length: os.copy_file_range(fd(source), fd(target), length, at, to),
    "fsync": lambda path: os.fsync(fd(path)),
    "hash": lambda path: hashlib.sha256(open(path, "rb").read()).hexdigest(),
    "unlink": os.unlink,
    "names": lambda path: " ".join(sorted(os.listdir(path))),
}


def answer(name, *args):
    try:
        found = calls[name](*[int(each[:-1]) if isinstance(each, str) and each[-1:] == "n" and each[:-1].lstrip("-").isdigit() else each for each in args])
        return "ok" if found is None else str(found)
    except OSError as error:
        return errno.errorcode[error.errno]


print(json.dumps([answer(*call) for call in json.load(sys.stdin)]))
