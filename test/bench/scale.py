# Works in one directory (or a tree) with plain system calls and times itself; a process of its own, prints figures as JSON.
#   scale.py fill DIR FROM TO       entries FROM to TO, as fast as it goes (mknod)
#   scale.py tree DIR FILES         that many files, a hundred to a directory
#   scale.py cold DIR ENTRIES K     lookups of K entries that nobody has asked for, and a listing with attributes
#   scale.py work DIR ENTRIES K     listing, K each of stat, create and unlink
import json, os, random, stat, sys, time

mode, top = sys.argv[1], sys.argv[2]
numbers = [int(each) for each in sys.argv[3:]]


def name(i):
    return f"{top}/entry-{i:08d}"


def rate(work, items):
    start = time.monotonic()
    count = 0
    for item in items:
        work(item)
        count += 1
    return count / (time.monotonic() - start)


def some(entries, count, seed):
    return [name(i) for i in random.Random(seed).sample(range(entries), min(count, entries))]


def create(path):
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))


def listing(with_attributes):
    start, count = time.monotonic(), 0
    with os.scandir(top) as entries:
        for entry in entries:
            count += 1
            if with_attributes:
                entry.stat()
    return count / (time.monotonic() - start)


if mode == "fill":
    os.makedirs(top, exist_ok=True)
    figures = {"fill": rate(lambda i: os.mknod(name(i), 0o644 | stat.S_IFREG), range(*numbers))}
elif mode == "tree":
    start = time.monotonic()
    for i in range(numbers[0]):
        if i % 100 == 0:
            os.makedirs(f"{top}/{i // 10000:03d}/{i // 100 % 100:03d}")
        os.mknod(f"{top}/{i // 10000:03d}/{i // 100 % 100:03d}/file-{i:08d}", 0o644 | stat.S_IFREG)
    figures = {"create": numbers[0] / (time.monotonic() - start)}
elif mode == "walk":
    start, count = time.monotonic(), 0
    for folder, _, names in os.walk(top):
        for each in names:
            os.stat(f"{folder}/{each}")
            count += 1
    figures = {"find, stat": count / (time.monotonic() - start)}
elif mode == "cold":
    entries, k = numbers
    figures = {"lookup": rate(os.stat, some(entries, k, 1)), "ls -l": listing(True)}
else:
    entries, k = numbers
    figures = {
        "readdir": listing(False),
        "stat": rate(os.stat, some(entries, k, 2)),
        "create": rate(create, [f"{top}/fresh-{i:06d}" for i in range(k)]),
        "unlink": rate(os.unlink, some(entries, k, 3)),
    }
print(json.dumps(figures))
