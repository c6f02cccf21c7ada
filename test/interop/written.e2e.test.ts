// Volumes that we format and fill, through the original client: it reads every byte back, finds nothing to complain of and
// nothing leaked; then it writes, and we read that. Keys in the metadata, as it wants them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Juicefs } from '../harness/juicefs.ts';
import { type KeyForm, makeKey } from '../harness/keys.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { newPlace } from '../harness/place.ts';
import { runOk } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { readTree, treeDifferences } from '../harness/tree.ts';

interface Variant {
  readonly compress: 'none' | 'lz4' | 'zstd';
  readonly bits: 2048 | 4096;
  readonly form: KeyForm;
  readonly hashPrefix: boolean;
  readonly blockSize: string;
  readonly passphrase: string | undefined;
  readonly algo?: string;
}

const variants: readonly Variant[] = [
  {
    compress: 'none',
    bits: 2048,
    form: 'traditional',
    hashPrefix: false,
    blockSize: '64K',
    passphrase: 'a $pass "word',
  },
  { compress: 'zstd', bits: 4096, form: 'pkcs8', hashPrefix: true, blockSize: '1M', passphrase: 'another' },
  { compress: 'lz4', bits: 2048, form: 'pkcs8', hashPrefix: true, blockSize: '4M', passphrase: undefined },
  { compress: 'lz4', bits: 4096, form: 'traditional', hashPrefix: false, blockSize: '256K', passphrase: 'x' },
  {
    compress: 'zstd',
    bits: 2048,
    form: 'pkcs8',
    hashPrefix: false,
    blockSize: '4M',
    passphrase: 'y',
    algo: 'chacha20-rsa',
  },
];

const title = ({ compress, bits, hashPrefix, blockSize, algo }: Variant): string =>
  `${compress}, RSA-${bits}, ${blockSize}${hashPrefix ? ', hash prefix' : ''}${algo === undefined ? '' : `, ${algo}`}`;

for (const variant of variants)
  test(`there and back: ${title(variant)}`, needs(...interopNeeds), async (t) => {
    const temp = makeTemp(t);
    const { bits, form, passphrase } = variant;
    const key = await makeKey(temp, bits, form, passphrase);
    const place = await newPlace(temp);
    const { metaUrl } = place;
    const mountPoint = temp.folder('mnt');
    const pageseal = new Pageseal(temp, passphrase);
    const juicefs = new Juicefs(temp, passphrase);
    await pageseal.formatAt(place, 'there', [
      ...['--encrypt-rsa-key', key.file, '--compress', variant.compress, '--block-size', variant.blockSize],
      ...(variant.hashPrefix ? ['--hash-prefix'] : []),
      ...(variant.algo === undefined ? [] : ['--encrypt-algo', variant.algo]),
    ]);

    await pageseal.mount(metaUrl, mountPoint);
    await fill(mountPoint, 'ours');
    const written = await readTree(mountPoint);
    await pageseal.umount(mountPoint);
    assert.match(await pageseal.ok(['fsck', metaUrl, '--deep']), /nothing is wrong/);

    await juicefs.mount(metaUrl, mountPoint);
    assert.deepEqual(treeDifferences(written, await readTree(mountPoint)), []);
    await fill(mountPoint, 'theirs');
    const both = await readTree(mountPoint);
    await juicefs.umount(mountPoint);
    assert.deepEqual(await juicefs.fsck(metaUrl), []);
    assert.deepEqual(await juicefs.fsckTree(metaUrl), []);
    assert.match(await juicefs.gc(metaUrl), nothingLeaked);

    await pageseal.mount(metaUrl, mountPoint);
    assert.deepEqual(treeDifferences(both, await readTree(mountPoint)), []);
    await pageseal.umount(mountPoint);
    assert.match(await pageseal.ok(['fsck', metaUrl, '--deep']), /nothing is wrong/);
  });

/** Of gc's counts: every object is somebody's, none was passed over for its youth. */
const nothingLeaked = /[1-9]\d* valid, 0 pending delete .* 0 leaked .* 0 skipped/;

/** A tree with every kind of entry and the writes that make odd slices. */
async function fill(mountPoint: string, name: string): Promise<void> {
  await runOk('python3', ['-c', script, `${mountPoint}/${name}`, name]);
}

const script = `
import os, random, stat, sys
top, seed = sys.argv[1], sys.argv[2]
r = random.Random(seed)
def at(*a): return os.path.join(top, *a)
def put(p, data):
    with open(p, "wb") as f: f.write(data)
os.makedirs(at("a/b/c"))
for i, n in enumerate([0, 1, 4095, 4096, 4097, 65535, 65536, 65537, 300001, 4 << 20, (4 << 20) + 1]):
    put(at("size-%d" % n), r.randbytes(n) if i % 2 else (b"the same line again\\n" * (n // 20 + 1))[:n])
put(at("a/b/c/leaf"), b"leaf")
with open(at("crossing"), "wb") as f:
    f.seek((64 << 20) - 1000); f.write(r.randbytes(5000)); f.truncate((65 << 20) + 7)
fd = os.open(at("patched"), os.O_RDWR | os.O_CREAT, 0o640)
os.write(fd, r.randbytes(900000))
for i in range(40):
    os.pwrite(fd, r.randbytes(r.randrange(1, 5000)), r.randrange(900000))
    if i % 8 == 0: os.fsync(fd)
os.ftruncate(fd, 500000); os.ftruncate(fd, 700000); os.pwrite(fd, b"end", 699990); os.close(fd)
os.link(at("patched"), at("a/hard")); os.symlink("../patched", at("a/soft")); os.mkfifo(at("pipe"), 0o600)
os.mknod(at("null"), 0o666 | stat.S_IFCHR, os.makedev(1, 3))
put(at("moved-from"), b"new"); put(at("moved-to"), b"old"); os.rename(at("moved-from"), at("moved-to"))
put(at("gone"), b"gone" * 1000); os.unlink(at("gone"))
os.mkdir(at("empty")); os.chmod(at("empty"), 0o2751); os.chown(at("a"), 1000, 1001)
os.setxattr(at("patched"), "user.note", b"value \\xff")
put(os.fsencode(top) + b"/bad\\xff\\xfe", b"odd"); put(at("\\u00fc\\u65e5"), b"names")
os.utime(at("moved-to"), ns=(1_600_000_000_123_456_789, 1_700_000_000_987_654_321))
`;
