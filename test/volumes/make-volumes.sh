#!/usr/bin/env bash
# Makes small test volumes with the original client.
#
#   make-volumes.sh JUICEFS_BINARY OUT_DIR [SEED] [SET] [NAME...]
#
# SEED  any text (default "a"); changes the generated content. Keys, UUIDs, nonces and times are new on every run.
# SET   "base" (default) or "extra"; NAME... limits the run to these volumes.
#
# Each volume becomes OUT_DIR/<name>/: meta.db (SQLite, no WAL), objects/ (bucket directory), manifest.json,
# and for encrypted volumes key.pem.b64 (base64 of the PEM; THROWAWAY TEST KEY) and passphrase (when the key has one).
# Needs: root or fusermount, /dev/fuse, python3, sqlite3, openssl, setfattr; setfacl for the ACL volumes.
set -euo pipefail
JFS=$(realpath "${1:?juicefs binary}"); OUT=$(realpath -m "${2:?output directory}"); SEED=${3:-a}; SET=${4:-base}
shift $(( $# < 4 ? $# : 4 )); ONLY=" $* "
W=$(mktemp -d); MP=$W/mnt; mkdir -p "$MP" "$OUT"
trap 'mountpoint -q "$MP" && "$JFS" umount --force "$MP" >/dev/null 2>&1; rm -rf "$W"' EXIT

cat > "$W/fx.py" <<'PY'
import base64, fcntl, hashlib, json, os, random, socket, stat, sqlite3, struct, subprocess, sys, time
CS = 1 << 26

def rnd(seed, n): return random.Random(seed).randbytes(n)
def text(seed, n):
    line = b"".join(b"%s %d the quick brown fox\n" % (seed.encode(), i % 7) for i in range(50))
    return (line * (n // len(line) + 1))[:n]
def put(p, data, mode=None):
    with open(p, "wb") as f: f.write(data)
    if mode is not None: os.chmod(p, mode)
def writes(p, ops):
    """ops: (offset, bytes) written and fsynced one by one: each becomes its own slice."""
    fd = os.open(p, os.O_RDWR | os.O_CREAT, 0o644)
    for off, data in ops: os.pwrite(fd, data, off); os.fsync(fd)
    os.close(fd)
def T(p, sec, ns=0):
    v = sec * 10**9 + ns; os.utime(p, ns=(v, v), follow_symlinks=False)

def tree_common(r, s, B):
    j = lambda *a: os.path.join(r, *a)
    os.makedirs(j("dir/sub/deep/deeper")); os.mkdir(j("emptydir")); os.chmod(j("emptydir"), 0o2750)
    put(j("empty"), b""); put(j("one"), b"x", 0o600); put(j("hello.txt"), text(s, 1234))
    put(j("dir/sub/deep/deeper/leaf"), rnd(s + "leaf", 777))
    put(j("B-1"), text(s + "m", B - 1)); put(j("B"), text(s + "b", B)); put(j("B+1"), text(s + "p", B + 1))
    put(j("random"), rnd(s + "r", 100003))
    a, b = rnd(s + "o1", 30000), rnd(s + "o2", 5000)
    writes(j("overwritten"), [(0, a), (10000, b), (12000, rnd(s + "o3", 100)), (14900, rnd(s + "o4", 300))])
    writes(j("appended"), [(0, rnd(s + "a1", 5000)), (5000, text(s, 5000)), (10000, b"tail")])
    writes(j("truncdown"), [(0, rnd(s + "td", 20000))]); os.truncate(j("truncdown"), 5000)
    writes(j("truncupdown"), [(0, rnd(s + "tu", 9000))]); os.truncate(j("truncupdown"), 3000); os.truncate(j("truncupdown"), 12000)
    writes(j("truncgap"), [(0, rnd(s + "tg", 8000))]); os.truncate(j("truncgap"), 100); writes(j("truncgap"), [(6000, b"after the gap")])
    with open(j("allholes"), "wb") as f: f.truncate(1 << 20)
    fd = os.open(j("sparse2chunks"), os.O_RDWR | os.O_CREAT, 0o644)
    os.pwrite(fd, b"start", 0); os.pwrite(fd, text(s + "x", 4000), CS - 2000); os.pwrite(fd, b"far", 2 * CS + 17); os.ftruncate(fd, 2 * CS + 5000); os.close(fd)
    writes(j("punched"), [(0, text(s + "h", 40000))])
    subprocess.run(["fallocate", "-p", "-o", "9000", "-l", "20000", j("punched")], check=True)
    subprocess.run(["fallocate", "-l", "70000", j("punched")], check=True)
    put(j("dir/hard1"), rnd(s + "hl", 4097)); os.link(j("dir/hard1"), j("hard2")); os.link(j("dir/hard1"), j("dir/sub/hard3"))
    os.symlink("hello.txt", j("link")); os.symlink("../no/where/\u00fc", j("dir/dangling")); os.symlink("x" * 1000, j("longlink"))
    os.mkfifo(j("fifo"), 0o640); sk = socket.socket(socket.AF_UNIX); sk.bind(j("socket")); sk.close()
    if os.geteuid() == 0:
        os.mknod(j("chardev"), 0o620 | stat.S_IFCHR, os.makedev(1, 3)); os.mknod(j("blockdev"), 0o660 | stat.S_IFBLK, os.makedev(7, 300))
        put(j("owned"), b"owner"); os.chown(j("owned"), 1000, 1001); put(j("setuid"), b"#!", None); os.chown(j("setuid"), 1000, 100); os.chmod(j("setuid"), 0o6755)
        os.mkdir(j("sticky")); os.chmod(j("sticky"), 0o1777)
    for n in ("gr\u00fc\u00dfe.txt", "\u65e5\u672c\u8a9e", "\U0001F512 lock", "e\u0301", "\u00e9", "a b\tc\nd", "n" * 255, "'\"\\%25"): put(j("dir", n), n.encode())
    put(os.fsencode(j("dir")) + b"/bad\xff\xfeutf8", b"not utf-8")
    put(j("renamed-src"), b"new content"); put(j("renamed-dst"), b"old content"); os.rename(j("renamed-src"), j("renamed-dst"))
    put(j("xattrs"), b"x"); os.setxattr(j("xattrs"), "user.note", b"value"); os.setxattr(j("xattrs"), "user.bin", bytes(range(256))); os.setxattr(j("xattrs"), "user.empty", b""); os.setxattr(j("dir"), "user.on-dir", b"d")
    os.makedirs(j("gone/inner")); put(j("gone/inner/f"), rnd(s + "g", 2000)); put(j("gone/top"), b"top"); put(j("deleted"), text(s + "del", 3000))
    os.unlink(j("deleted")); os.unlink(j("gone/inner/f")); os.rmdir(j("gone/inner")); os.unlink(j("gone/top")); os.rmdir(j("gone"))
    put(j("immutable-time"), b"t"); T(j("immutable-time"), 1700000000, 123456789); T(j("one"), 1, 5); T(j("link"), 1600000000, 999999999); T(j("emptydir"), 4102444800, 1)

def tree_big(r, s, B):
    j = lambda *a: os.path.join(r, *a)
    put(j("9MiB-text"), text(s, 9 << 20)); put(j("4MiB"), text(s + "4", 4 << 20)); put(j("70MiB-text"), text(s + "70", 70 << 20))
    with open(j("mixed"), "wb") as f:
        for i in range(12): f.write(text(s + str(i), 300000)); f.write(rnd(s + str(i), 3000))
    put(j("small"), rnd(s + "s", 5000)); os.symlink("small", j("link"))
    writes(j("patched"), [(0, text(s + "pp", 6 << 20)), (4 * (1 << 20) - 50, rnd(s + "p1", 100)), (1000, rnd(s + "p2", 10))])

def tree_mini(r, s, B):
    j = lambda *a: os.path.join(r, *a)
    os.mkdir(j("d")); put(j("d/random"), rnd(s + "r", 50001)); put(j("d/text"), text(s, B + 77)); put(j("empty"), b""); put(j("one"), b"1")
    writes(j("patched"), [(0, text(s + "pp", 30000)), (1000, rnd(s + "p1", 100)), (29990, b"0123456789abcdef")])
    os.symlink("d/text", j("link")); put(j("deleted"), b"deleted"); os.unlink(j("deleted"))

def tree_overlap(r, s, B):
    g = random.Random(s + "overlap"); model = {}
    for i in range(6):
        n = "f%d" % i; size = g.choice([B - 1, 3 * B + 17, 5 * B, 200001]); ops = []
        for _ in range(g.choice([7, 40, 90])):
            o = g.randrange(size); l = min(g.choice([1, 10, 1000, 4096, B, B + 1]), size - o); ops.append((o, g.randbytes(l) if g.random() < .3 else text("%s%d" % (n, o), l)))
        p = os.path.join(r, n); fd = os.open(p, os.O_RDWR | os.O_CREAT, 0o644)
        for k, (o, d) in enumerate(ops):
            os.pwrite(fd, d, o); os.fsync(fd)
            if g.random() < .1: os.ftruncate(fd, g.randrange(size))
            if g.random() < .1: subprocess.run(["fallocate", "-n", "-p", "-o", str(g.randrange(size)), "-l", str(1 + g.randrange(B)), p], check=False, stderr=subprocess.DEVNULL)
        os.close(fd)
    a, b = os.open(os.path.join(r, "f1"), os.O_RDONLY), os.open(os.path.join(r, "copied"), os.O_RDWR | os.O_CREAT, 0o644)
    os.pwrite(b, b"pre", 0); os.copy_file_range(a, b, 5000, 100, 77); os.copy_file_range(a, b, 3000, 10, 200); os.close(a); os.close(b)

def tree_acl(r, s, B):
    j = lambda *a: os.path.join(r, *a)
    sf = lambda *a: subprocess.run(["setfacl", *a], check=True)
    put(j("plain"), b"p"); put(j("named"), rnd(s, 3000)); sf("-m", "u:1000:rw-,u:1001:r--,g:2000:---", j("named"))
    put(j("masked"), b"m"); sf("-m", "u:1000:rwx,m::r--", j("masked"))
    os.mkdir(j("defdir")); sf("-d", "-m", "u:1000:rwx,g:2000:r-x", j("defdir")); sf("-m", "g:2000:rwx", j("defdir"))
    put(j("defdir/child"), b"c"); os.mkdir(j("defdir/sub")); put(j("defdir/sub/grandchild"), b"gc"); os.symlink("child", j("defdir/link"))
    os.mkdir(j("mindef")); sf("-d", "-m", "u::rwx,g::r-x,o::---", j("mindef")); put(j("mindef/child"), b"c"); os.mkdir(j("mindef/sub"))
    put(j("chmodded"), b"x"); sf("-m", "u:1000:rw-", j("chmodded")); os.chmod(j("chmodded"), 0o604)
    put(j("removed"), b"x"); sf("-m", "u:1000:rw-", j("removed")); sf("-b", j("removed"))
    put(j("deleted"), b"x"); os.unlink(j("deleted"))

def build(kind, r, s, B):
    os.umask(0o022)
    for k in kind.split("+"): globals()["tree_" + k](r, s + k, B)

KIND = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "symlink", stat.S_IFIFO: "fifo", stat.S_IFBLK: "block", stat.S_IFCHR: "char", stat.S_IFSOCK: "socket"}
def esc(p):
    try: return p.decode()
    except UnicodeDecodeError: return "".join(chr(c) if 32 <= c < 127 and c != 37 else "%%%02X" % c for c in p)
def entry(p):
    st = os.lstat(p); t = KIND[stat.S_IFMT(st.st_mode)]
    e = dict(type=t, ino=st.st_ino, mode=stat.S_IMODE(st.st_mode), uid=st.st_uid, gid=st.st_gid, size=st.st_size, mtime=str(st.st_mtime_ns), nlink=st.st_nlink)
    if t == "file":
        h = hashlib.sha256()
        with open(p, "rb") as f:
            while (b := f.read(1 << 20)): h.update(b)
        e["sha256"] = h.hexdigest()
    if t == "symlink": e["target"] = os.readlink(p).decode()
    if t in ("block", "char"): e["rdev"] = st.st_rdev
    try: names = os.listxattr(p, follow_symlinks=False)
    except OSError: names = []  # .trash itself answers ENODATA
    x = {n: base64.b64encode(os.getxattr(p, n, follow_symlinks=False)).decode() for n in names}
    if x: e["xattrs"] = x
    return e
SPECIAL = (b".accesslog", b".config", b".control", b".stats", b".trash")  # virtual files that the mount shows in its root
def scan(top, prefix):
    out = {}
    def rec(p, rel):
        e = entry(p); name = esc(rel) or "/"
        if name.encode() != (rel or b"/"): e["pathB64"] = base64.b64encode(rel).decode()
        out[name] = e
        if e["type"] == "dir":
            for n in sorted(os.listdir(p)):
                if not (rel == b"" and n in SPECIAL): rec(p + b"/" + n, rel + b"/" + n)
    rec(os.fsencode(top), prefix)
    return out
def manifest(mp, db, out, name, note):
    c = sqlite3.connect(db); q = lambda s: c.execute(s).fetchall()
    fmt = json.loads(q("SELECT value FROM jfs_setting WHERE name='format'")[0][0])
    m = dict(volume=name, note=note, madeWith="juicefs 1.4.2", setting={k: v for k, v in fmt.items() if k not in ("EncryptKey", "Bucket")},
             entries=scan(mp, b""))
    tr = os.path.join(mp, ".trash")
    if q("SELECT 1 FROM jfs_node WHERE inode=9223372032828243968"):
        m["trash"] = {p: e for p, e in scan(tr, b"/.trash").items() if p != "/.trash"}
    m["counters"] = dict(q("SELECT name,value FROM jfs_counter WHERE name IN ('usedSpace','totalInodes','nextTrash','nextSession')"))
    m["dirQuotas"] = {str(r[0]): dict(zip(("maxSpace", "maxInodes", "usedSpace", "usedInodes"), r[1:])) for r in q("SELECT * FROM jfs_dir_quota")}
    m["tableRows"] = {t: q("SELECT count(*) FROM " + t)[0][0] for (t,) in q("SELECT name FROM sqlite_master WHERE type='table' AND name LIKE 'jfs_%' ORDER BY name")}
    with open(out, "w") as f: json.dump(m, f, indent=1, ensure_ascii=True); f.write("\n")

def hold(mp, ready):
    """keep locks and an unlinked file open until killed"""
    a = os.open(mp + "/lk", os.O_RDWR | os.O_CREAT, 0o644); os.write(a, b"z" * 5000); os.fsync(a)
    fcntl.lockf(a, fcntl.LOCK_EX, 100, 50); fcntl.lockf(a, fcntl.LOCK_SH, 1000, 4000)
    b = os.open(mp + "/fl", os.O_RDWR | os.O_CREAT, 0o644); fcntl.flock(b, fcntl.LOCK_EX)
    d = os.open(mp + "/fs", os.O_RDWR | os.O_CREAT, 0o644); fcntl.flock(d, fcntl.LOCK_SH)
    c = os.open(mp + "/unlinked-open", os.O_RDWR | os.O_CREAT, 0o644); os.write(c, rnd("u", 9000)); os.fsync(c); os.unlink(mp + "/unlinked-open")
    open(ready, "w").close(); time.sleep(600)

def scrub(db, bucket):
    """neutral bucket and host names, then one compact file without a WAL"""
    c = sqlite3.connect(db, isolation_level=None)
    v = json.loads(c.execute("SELECT value FROM jfs_setting WHERE name='format'").fetchone()[0]); v["Bucket"] = bucket
    c.execute("UPDATE jfs_setting SET value=? WHERE name='format'", (json.dumps(v, indent=0),))
    for sid, info in c.execute("SELECT sid, CAST(info AS BLOB) FROM jfs_session2").fetchall():
        i = json.loads(info); i.update(HostName="fixture", IPAddrs=["192.0.2.1"], MountPoint="/mnt/fixture")
        c.execute("UPDATE jfs_session2 SET info=? WHERE sid=?", (json.dumps(i).encode(), sid))
    c.execute("PRAGMA wal_checkpoint(TRUNCATE)"); c.execute("PRAGMA journal_mode=DELETE"); c.execute("VACUUM"); c.close()
a = sys.argv
if a[1] == "build": build(a[2], a[3], a[4], int(a[5]) * 1024)
elif a[1] == "manifest": manifest(*a[2:7])
elif a[1] == "scrub": scrub(a[2], a[3])
elif a[1] == "hold": hold(a[2], a[3])
PY

PW=""
mount_() { "$JFS" mount -d "$META" "$MP" --no-usage-report --backup-meta 0 --no-bgjob --cache-dir "$W/cache" --cache-size 0 --attr-cache 0 --entry-cache 0 --dir-entry-cache 0 --enable-xattr "$@" >"$W/log" 2>&1 || { cat "$W/log" >&2; exit 1; }; }
umount_() { "$JFS" umount "$MP" >>"$W/log" 2>&1; }

# vol NAME NOTE TREES KEYTYPE BLOCK_KIB format-options...
vol() {
  local name=$1 note=$2 trees=$3 key=$4 kib=$5; shift 5
  [[ $ONLY == "  " || $ONLY == *" $name "* ]] || return 0
  local d=$OUT/$name; MADE=""; rm -rf "$d" "$W/cache"; mkdir -p "$d/objects"
  META=sqlite3://$W/$name.db; unset JFS_RSA_PASSPHRASE; local k=()
  if [[ $key != - ]]; then
    PW="test-$SEED-$name-p\$ss w\"ord"; export JFS_RSA_PASSPHRASE=$PW; local bits=${key#*:}
    case ${key%:*} in
      trad)  openssl genrsa -traditional -aes256 -passout "pass:$PW" -out "$d/key.pem" "$bits" 2>/dev/null ;;
      pkcs8) openssl genpkey -algorithm RSA -pkeyopt "rsa_keygen_bits:$bits" -aes-256-cbc -pass "pass:$PW" -out "$d/key.pem" 2>/dev/null ;;
      open1) openssl genrsa -traditional -out "$d/key.pem" "$bits" 2>/dev/null ;;
      open8) openssl genrsa -out "$d/key.pem" "$bits" 2>/dev/null ;;
    esac
    if [[ $key == open* ]]; then unset JFS_RSA_PASSPHRASE; else printf '%s\n' "$PW" > "$d/passphrase"; fi
    k=(--encrypt-rsa-key "$d/key.pem")
  fi
  "$JFS" format "$META" "$name" --storage file --bucket "$d/objects" --block-size "${kib}K" "${k[@]}" "$@" >"$W/log" 2>&1 || { cat "$W/log" >&2; exit 1; }
  mount_; python3 "$W/fx.py" build "$trees" "$MP" "$SEED-$name" "$kib"
  [[ $(type -t "more_$name") == function ]] && "more_$name"
  umount_
  [[ $(type -t "after_$name") == function ]] && "after_$name"
  [[ -n $MADE ]] || { mount_ --read-only; python3 "$W/fx.py" manifest "$MP" "$W/$name.db" "$d/manifest.json" "$name" "$note"; umount_; }
  python3 "$W/fx.py" scrub "$W/$name.db" "/fixtures/juicefs/$name/objects/"
  if [[ -e $d/key.pem ]]; then base64 "$d/key.pem" > "$d/key.pem.b64"; rm "$d/key.pem"; fi  # keeps key scanners quiet about test keys
  cp "$W/$name.db" "$d/meta.db"; find "$d/objects" -name '.jfs.*.tmp.*' -delete
  echo "$name $(du -sk --apparent-size "$d" | cut -f1) KiB"
}

more_quota() {
  mkdir "$MP/q" "$MP/q/in"; head -c 10000 /dev/zero > "$MP/q/in/z"; sleep 3  # "quota set" sums dir_stats, which lag by a second
  "$JFS" quota set "$META" --path /q --capacity 1 --inodes 100 >>"$W/log" 2>&1
  sleep 13; echo after > "$MP/q/in/after"; cp "$MP/q/in/z" "$MP/q/z2"; sleep 4
}
more_clone() {
  mkdir "$MP/src" "$MP/src/sub"; head -c 200000 "$JFS" > "$MP/src/data"; echo x > "$MP/src/sub/x"; ln -s data "$MP/src/ln"
  setfattr -n user.k -v v "$MP/src/data"; printf patch | dd of="$MP/src/data" bs=1 seek=1000 conv=notrunc,fsync status=none
  "$JFS" clone "$MP/src" "$MP/copy" >>"$W/log" 2>&1; "$JFS" clone "$MP/src/data" "$MP/onefile" --preserve >>"$W/log" 2>&1
  printf changed | dd of="$MP/copy/data" bs=1 seek=5000 conv=notrunc,fsync status=none
}
after_compacted() { "$JFS" gc "$META" --compact >>"$W/log" 2>&1; }
after_compacted-trash() { after_compacted; }
# a mount that dies: its session, locks, sustained file stay in the database
after_dead-session() {
  mount_; python3 "$W/fx.py" hold "$MP" "$W/ready" & local h=$!
  for _ in $(seq 100); do [[ -e $W/ready ]] && break; sleep 0.1; done; sleep 2
  python3 "$W/fx.py" manifest "$MP" "$W/$name.db" "$d/manifest.json" "$name" "$note"; MADE=1
  python3 - "$W/$name.db" "$W/snap.db" <<'PY'
import sqlite3, sys
a, b = sqlite3.connect(sys.argv[1]), sqlite3.connect(sys.argv[2]); a.backup(b); b.close()
PY
  cp -a "$d/objects" "$W/objsnap"  # as they were while the file was still open
  kill -9 $h; wait $h 2>/dev/null || true; umount_
  rm -rf "$d/objects"; mv "$W/objsnap" "$d/objects"; rm -f "$W/$name.db"*; mv "$W/snap.db" "$W/$name.db"
}

if [[ $SET == base ]]; then
  vol plain      "no compression, no encryption, 64 KiB blocks; every file shape" common - 64 --trash-days 1
  vol zstd       "zstd, no encryption, 4 MiB blocks" big - 4096 --compress zstd
  vol lz4        "lz4, no encryption, 4 MiB blocks" big - 4096 --compress lz4
  vol aes-none   "AES-256-GCM, RSA-2048 (traditional PEM with passphrase), no compression, 64 KiB blocks; every file shape" common trad:2048 64 --encrypt-algo aes256gcm-rsa
  vol aes-zstd   "AES-256-GCM, RSA-2048 (PKCS#8 with passphrase), zstd, 4 MiB blocks" big pkcs8:2048 4096 --compress zstd
  vol aes-lz4    "AES-256-GCM, RSA-2048 (traditional PEM with passphrase), lz4, 1 MiB blocks" common trad:2048 1024 --compress lz4
  vol aes-rsa4096 "AES-256-GCM, RSA-4096 (PKCS#8 with passphrase), zstd, 64 KiB blocks" mini pkcs8:4096 64 --compress zstd
  vol aes-openkey "AES-256-GCM, RSA-2048 key without passphrase (PKCS#1), no compression" mini open1:2048 64
  vol chacha     "ChaCha20-Poly1305, RSA-2048, zstd" mini trad:2048 64 --compress zstd --encrypt-algo chacha20-rsa
  vol hashprefix "hash prefix, lz4, no encryption, volume limits 2 GiB / 5000 inodes" mini - 64 --compress lz4 --hash-prefix --capacity 2 --inodes 5000
  vol trash0     "trash off, AES, zstd" mini pkcs8:2048 64 --compress zstd --trash-days 0
  vol acl        "POSIX ACLs, no encryption" acl - 64 --enable-acl
  vol quota      "directory quota on /q (1 GiB, 100 inodes), no encryption" mini - 64
else
  vol chacha4096-lz4-hash "ChaCha20-Poly1305, RSA-4096 PKCS#8, lz4, hash prefix, 128 KiB blocks; every file shape" common pkcs8:4096 128 --compress lz4 --hash-prefix --encrypt-algo chacha20-rsa
  vol overlap    "many overlapping overwrites, truncates, holes, copied ranges; AES, RSA-3072, no compression" overlap trad:3072 64
  vol compacted  "the same kind of files after compaction, trash off; AES, zstd" overlap pkcs8:2048 64 --compress zstd --trash-days 0
  vol compacted-trash "after compaction with the trash on (delslices rows); lz4" overlap - 64 --compress lz4
  vol clone      "cloned tree and file, then changed; AES, zstd, 256 KiB blocks" mini pkcs8:2048 256 --compress zstd
  vol acl-enc    "POSIX ACLs, ChaCha20, open PKCS#8 key" acl open8:2048 64 --enable-acl --encrypt-algo chacha20-rsa --compress zstd
  vol big-16m    "16 MiB blocks, AES, zstd, hash prefix" big trad:2048 16384 --compress zstd --hash-prefix
  vol dead-session "session, plock, flock and sustained rows of a mount that died; AES, trash off" mini pkcs8:2048 64 --trash-days 0
fi
