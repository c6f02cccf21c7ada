# An application on a mount whose server is being killed. Python, so that it is a process of its own and each line is one
# system call. It knows at every moment what each file may hold, and says which call failed that should not have, and
# which file is not what it was told.
#   client.py copy  TOP STATE [gone]   files written, fsynced, rewritten, renamed over, until stdin ends
#   client.py names TOP STATE          creations, renames, links, removals, until stdin ends
#   client.py verify TOP STATE         compares TOP with what the last run believes
# gone: the mount itself may go away (ENOTCONN); then it ends.
# away: store or database may be away for too long, or full: any call of a copy may fail with EIO, ENOSPC or EINTR.
import errno, json, os, pickle, random, sys, threading

THREADS = 3
KiB = 1024
GONE = (errno.ENOTCONN, errno.ECONNABORTED)
AWAY = (errno.EIO, errno.ENOSPC, errno.EINTR)
stop = threading.Event()
calls = [0] * THREADS


class Gone(Exception):
    pass


def over(base, at, part):
    return base[:at].ljust(at, b"\0") + part + base[at + len(part):]


def latest(choice):
    """What the file holds for whoever reads it now."""
    data, writes = choice
    for at, part in writes or ():
        data = over(data, at, part)
    return data


def matches(data, choice):
    """
    A choice is None (no such file) or (kept, writes): bytes promised, and writes of which each may lie over them or not,
    the later over the earlier; None for none.
    """
    if choice is None or data is None:
        return choice is None and data is None
    kept, writes = choice
    if data == latest(choice):
        return True
    if writes is None or not len(kept) <= len(data) <= max(len(kept), *(at + len(part) for at, part in writes)):
        return False
    for at in range(0, len(data), 4 * KiB):
        part = data[at:at + 4 * KiB]
        sides = [kept[at:at + len(part)].ljust(len(part), b"\0")]
        for start, wrote in writes:
            if start < at + len(part) and at < start + len(wrote):
                # Bytes outside the write are nobody's news: they stay as in the first side.
                first, last = max(start - at, 0), min(start + len(wrote) - at, len(part))
                sides.append(over(sides[0], first, wrote[at + first - start:at + last - start]))
        if part not in sides and any(b not in layers for b, *layers in zip(part, *sides)):
            return False
    return True


class Thread(threading.Thread):
    def __init__(self, number, top, files, options):
        super().__init__()
        self.number, self.top = number, os.path.join(top, f"t{number}")
        self.gone, self.away = "gone" in options, "away" in options
        # Bytes that an fsync or a close has answered for.
        self.safe = 0
        self.random = random.Random()
        self.files = files  # path -> list of choices
        self.bad, self.told, self.moves, self.count = [], 0, [], 0
        # Files of which a loss was told: the next worker but one may tell it again, to handles of the time between.
        self.lost = set()
        self.serial = len(files) * 1000

    def tell(self, path):
        self.told += 1
        self.lost.add(path)

    def call(self, what, path, work, dirty=False):
        """One system call. EIO is an answer only where data is on its way."""
        try:
            result = work()
            calls[self.number] += 1
            return result
        except OSError as error:
            if self.gone and error.errno in GONE:
                raise Gone()
            if self.away and error.errno in AWAY:
                self.tell(path)
                raise
            if error.errno == errno.EIO and (dirty or what == "close" and path in self.lost):
                self.tell(path)
                raise
            self.bad.append(f"{what} {path}: {errno.errorcode.get(error.errno, error.errno)}")
            raise

    def run(self):
        try:
            if not os.path.isdir(self.top):
                self.call("mkdir", self.top, lambda: os.mkdir(self.top))
            while not stop.is_set() and len(self.bad) < 20:
                try:
                    self.step()
                    self.count += 1
                except OSError:
                    pass
        except Gone:
            pass
        except BaseException as error:
            self.bad.append(f"the client itself: {error!r}")
            raise

    def name(self):
        self.serial += 1
        return os.path.join(self.top, f"f{self.serial}")

    def settled(self):
        return [path for path, choices in self.files.items() if len(choices) == 1 and choices[0] is not None and choices[0][1] is None]


class Copy(Thread):
    FILES = 80

    def step(self):
        known = self.settled()
        kind = self.random.random()
        if kind < 0.5 or len(known) < 5:
            return self.create()
        path = self.random.choice(known)
        if kind < 0.65:
            return self.rewrite(path)
        if kind < 0.8:
            return self.replace(path)
        if kind < 0.88:
            return self.read(path)
        if kind < 0.94:
            return self.truncate(path)
        if len(known) > self.FILES or kind > 0.98:
            self.remove(path)

    def size(self):
        return self.random.choice((0, 1, 700, 9000, 40_000, 150_000)) if self.random.random() < 0.93 else self.random.randrange(1 << 20, 5 << 20)

    def create(self):
        path = self.name()
        self.files[path] = [None, (b"", None)]
        fd = self.call("create", path, lambda: os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o640))
        self.files[path] = [(b"", None)]
        data = os.urandom(self.size())
        self.fill(fd, path, [(at, data[at:at + 256 * KiB]) for at in range(0, len(data), 256 * KiB)])
        return path

    def rewrite(self, path):
        fd = self.call("open", path, lambda: os.open(path, os.O_RDWR))
        length = len(self.files[path][0][0])
        parts = [(self.random.randrange(length + 1), os.urandom(self.random.randrange(1, 30_000))) for _ in range(self.random.randrange(1, 5))]
        self.fill(fd, path, parts)

    def fill(self, fd, path, parts):
        """Writes, sometimes fsyncs, closes. What a failure leaves open is set right by a full rewrite later."""
        dirty, ok, pending = False, True, 0
        try:
            for at, part in parts:
                kept, writes = self.files[path][0]
                self.files[path] = [(kept, (*(writes or ()), (at, part)))]
                dirty = True
                wrote = self.call("write", path, lambda: os.pwrite(fd, part, at), True)
                if wrote != len(part):
                    # The kernel sent it in two requests, and the second one failed: a short count is all it can say.
                    if self.gone:
                        raise Gone()
                    self.tell(path)
                    raise OSError(errno.EIO, "short write")
                pending += len(part)
                if self.random.random() < 0.15:
                    self.call("fsync", path, lambda: os.fsync(fd), True)
                    self.files[path] = [(latest(self.files[path][0]), None)]
                    dirty = False
                    self.safe, pending = self.safe + pending, 0
        except OSError:
            ok = False
        try:
            self.call("close", path, lambda: os.close(fd), dirty)
        except OSError:
            ok = False
        if ok:
            self.files[path] = [(latest(self.files[path][0]), None)]
            self.safe += pending
        else:
            self.settle(path)

    def settle(self, path):
        """After a failure: what is there must be of the two sides; from now on it is what is there."""
        data = self.content(path)
        if not any(matches(data, choice) for choice in self.files[path]):
            self.bad.append(f"{path}: after a reported failure it holds neither the old nor the new bytes")
        self.files[path] = [(data, None)]

    def content(self, path):
        fd = self.call("open", path, lambda: os.open(path, os.O_RDONLY))
        try:
            data = b""
            while part := self.call("read", path, lambda: os.read(fd, 1 << 20)):
                data += part
            return data
        finally:
            self.call("close", path, lambda: os.close(fd))

    def read(self, path):
        if not matches(self.content(path), self.files[path][0]):
            self.bad.append(f"{path}: read back differently")

    def replace(self, path):
        temporary = self.create()
        if self.files[temporary][0][1] is not None:
            return
        old, new = self.files[path][0], self.files[temporary][0]
        self.files[path], self.files[temporary] = [old, new], [new, None]
        self.moves = [(temporary, path, new)]
        if temporary in self.lost:
            self.lost.add(path)
        self.call("rename", path, lambda: os.rename(temporary, path))
        self.moves = []
        self.files[path] = [new]
        del self.files[temporary]

    def truncate(self, path):
        kept = self.files[path][0][0]
        length = self.random.randrange(len(kept) + 5000)
        now = kept[:length].ljust(length, b"\0")
        self.files[path] = [(kept, None), (now, None)]
        self.call("truncate", path, lambda: os.truncate(path, length))
        self.files[path] = [(now, None)]

    def remove(self, path):
        self.files[path].append(None)
        self.call("unlink", path, lambda: os.unlink(path))
        del self.files[path]


class Names(Thread):
    """No call is repeatable and none may fail: each name is used once, by one thread."""
    FILES = 300

    def step(self):
        files = [path for path, kind in self.files.items() if kind != "dir"]
        folders = [self.top] + [path for path, kind in self.files.items() if kind == "dir"]
        kind = self.random.random()
        parent = self.random.choice(folders)
        new = os.path.join(parent, os.path.basename(self.name()))
        if len(folders) < 4 or kind < 0.1:
            self.make(new, "dir", lambda: os.mkdir(new))
        elif kind < 0.35 or len(files) < 5:
            def create():
                fd = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
                os.close(fd)
            self.make(new, new, create)
            if kind < 0.15:
                self.call("setxattr", new, lambda: os.setxattr(new, "user.once", b"1", os.XATTR_CREATE))
        elif kind < 0.45:
            self.make(new, "link " + new, lambda: os.symlink("nowhere", new))
        elif kind < 0.6:
            old = self.random.choice(files)
            self.make(new, self.files[old], lambda: os.link(old, new, follow_symlinks=False))
        elif kind < 0.75:
            old = self.random.choice(files)
            self.call("rename", f"{old} {new}", lambda: os.rename(old, new))
            self.files[new] = self.files.pop(old)
        elif kind < 0.82:
            old, other = self.random.sample(files, 2)
            if self.files[old] != self.files[other]:  # links of one inode: rename does nothing
                self.call("rename", f"{old} {other}", lambda: os.rename(old, other))
                self.files[other] = self.files.pop(old)
        elif kind < 0.95 or len(self.files) > self.FILES:
            old = self.random.choice(files)
            self.call("unlink", old, lambda: os.unlink(old))
            del self.files[old]
        else:
            empty = [f for f in folders[1:] if not any(p.startswith(f + "/") for p in self.files)]
            if empty:
                self.call("rmdir", empty[0], lambda: os.rmdir(empty[0]))
                del self.files[empty[0]]

    def make(self, path, kind, work):
        self.call("make " + kind.split(" ")[0].replace(path, "file"), path, work)
        self.files[path] = kind


def verify_names(files, top, bad):
    names = {}
    for folder, folders, others in os.walk(top):
        for name in folders + others:
            names[os.path.join(folder, name)] = None
    for path in files.keys() - names.keys():
        bad.append(f"{path}: missing")
    for path in names.keys() - files.keys():
        bad.append(f"{path}: should not be there")
    identity = {}
    for path in files.keys() & names.keys():
        stat, kind = os.lstat(path), files[path]
        if kind == "dir":
            continue
        if stat.st_nlink != sum(1 for other in files.values() if other == kind):
            bad.append(f"{path}: {stat.st_nlink} links")
        if identity.setdefault(kind, stat.st_ino) != stat.st_ino:
            bad.append(f"{path}: another inode than its links")


def verify_files(thread, bad):
    lost = 0
    for path, choices in list(thread["files"].items()):
        try:
            with open(path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            data = None
        except OSError as error:
            bad.append(f"{path}: reading gave {errno.errorcode.get(error.errno)}")
            continue
        if not any(matches(data, choice) for choice in choices):
            what = "is missing" if data is None else f"has {len(data)} bytes of other content"
            lost += max((len(latest(choice)) for choice in choices if choice is not None), default=0)
            bad.append(f"{path}: {what}; choices {[c and (len(c[0]), c[1] and len(c[1])) for c in choices]}")
        if data is None:
            del thread["files"][path]
        else:
            thread["files"][path] = [(data, None)]
    for source, target, new in thread["moves"]:
        there = {path: thread["files"].get(path, [None])[0] for path in (source, target)}
        if new not in there.values():
            bad.append(f"{source} {target}: a rename lost the file")
    # The mount may have gone before a thread made its folder; then it knows of no file.
    for name in os.listdir(thread["top"]) if thread["files"] or os.path.isdir(thread["top"]) else ():
        if os.path.join(thread["top"], name) not in thread["files"]:
            bad.append(f"{name}: should not be there")
    return lost


def main():
    mode, top, state, *options = sys.argv[1:]
    threads = pickle.load(open(state, "rb")) if os.path.exists(state) else []
    bad, lost = [], 0
    if mode == "verify":
        for thread in threads:
            if thread["kind"] == "names":
                verify_names(thread["files"], thread["top"], bad)
            else:
                lost += verify_files(thread, bad)
            thread["moves"] = []
        files = sum(len(thread["files"]) for thread in threads)
        pickle.dump(threads, open(state, "wb"))
        return print(json.dumps(dict(bad=bad, files=files, lost=lost)))
    kind = Names if mode == "names" else Copy
    runs = [kind(i, top, threads[i]["files"] if threads else {}, options) for i in range(THREADS)]
    for run in runs:
        if threads:
            run.serial = threads[run.number]["serial"]
        run.start()
    # A line is answered with the number of calls that succeeded so far; the end of input ends the run.
    while sys.stdin.readline():
        print(sum(calls), flush=True)
    stop.set()
    for run in runs:
        run.join()
    saved = [dict(kind=mode, top=r.top, files=r.files, moves=r.moves, serial=r.serial) for r in runs]
    pickle.dump(saved, open(state, "wb"))
    print(json.dumps(dict(bad=[b for r in runs for b in r.bad], told=sum(r.told for r in runs),
                          steps=sum(r.count for r in runs), calls=sum(calls), safe=sum(r.safe for r in runs), files=sum(len(r.files) for r in runs))))


main()
