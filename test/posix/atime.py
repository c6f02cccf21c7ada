# Which ways of looking move atime, and what else moves with it. Prints JSON. Each step starts with an atime that is due or
# not; files are new in each, so that no cache of the kernel has what is looked at.
import json, os, sys, time

top = sys.argv[1]
results = {}


def times(path):
    st = os.lstat(path)
    return st.st_atime_ns, st.st_mtime_ns, st.st_ctime_ns


def step(name, make, look, due):
    path = f"{top}/{name} {'due' if due else 'fresh'}"
    make(path)
    now = time.time()
    # Ahead of every change: only strictatime has a reason then, and that only when it is in the past.
    os.utime(path, (1000, 2000) if due else (now + 1000, 1500), follow_symlinks=False)
    before = times(path)
    look(path)
    after = times(path)
    results[f"{name}, {'due' if due else 'fresh'}"] = [was != now for was, now in zip(before, after)]


def text(path):
    with open(path, "w") as file:
        file.write("text")


def opened(flags, read=False):
    def look(path):
        fd = os.open(path, flags)
        if read:
            os.read(fd, 10)
        os.close(fd)
    return look


for due in (True, False):
    step("read", text, opened(os.O_RDONLY, True), due)
    step("read without atime", text, opened(os.O_RDONLY | os.O_NOATIME, True), due)
    step("write", text, opened(os.O_WRONLY), due)
    step("list", os.mkdir, os.listdir, due)
    step("open a folder", os.mkdir, opened(os.O_RDONLY), due)
    step("read a link", lambda path: os.symlink("nowhere", path), os.readlink, due)
    step("stat", text, os.stat, due)
json.dump(results, sys.stdout)
