// Clones by either client, judged by the other; what an application has written and not closed is in ours.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Juicefs } from '../harness/juicefs.ts';
import { makeKey } from '../harness/keys.ts';
import { Pageseal, pagesealProgram } from '../harness/pageseal.ts';
import { newPlace } from '../harness/place.ts';
import { runOk, until } from '../harness/program.ts';
import { makeTemp, type Temp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { readTree, type Tree, treeDifferences } from '../harness/tree.ts';
import { placeViolations } from '../model/invariants.ts';

const passphrase = 'twice';

/** Of `top` alone, under names that do not say which, without what a clone has of its own. */
function below(tree: Tree, top: string, preserved: boolean): Tree {
  const inside = Object.entries(tree).filter(([path]) => path === top || path.startsWith(`${top}/`));
  return Object.fromEntries(
    inside.map(([path, entry]) => {
      const { ino: _, nlink: __, ...rest } = entry;
      const same = { ...rest, nlink: entry.type === 'dir' ? entry.nlink : 1 };
      const mine = preserved ? {} : { mtime: '', uid: 0, gid: 0, mode: 0 };
      return [path.slice(top.length) || '/', { ...same, ...mine, ino: 0 }];
    }),
  );
}

test('clones of a tree: by us, by the original client, read by both', needs(...interopNeeds), async (t) => {
  const temp = makeTemp(t);
  const key = await makeKey(temp, 2048, 'pkcs8', passphrase);
  const place = await newPlace(temp);
  const { metaUrl } = place;
  const [ours, theirs] = [temp.folder('ours'), temp.folder('theirs')];
  const pageseal = new Pageseal(temp, passphrase);
  const juicefs = new Juicefs(temp, passphrase);
  const flags = ['--encrypt-rsa-key', key.file, '--compress', 'lz4', '--block-size', '64K', '--trash-days', '0'];
  await pageseal.formatAt(place, 'cloned', flags);
  await pageseal.mount(metaUrl, ours);
  await runOk('python3', ['-c', script, `${ours}/source`]);
  await pageseal.ok(['clone', '-p', `${ours}/source`, `${ours}/kept`]);
  mkdirSync(`${ours}/folder`);
  const answer: unknown = JSON.parse(await pageseal.ok(['clone', '--json', `${ours}/source`, `${ours}/folder/`]));
  const { destination, entries } = answer as { destination: string; entries: number };
  assert.equal(destination, `${ours}/folder/source`);
  // The kernel may believe that a name is not there for as long as the mount told it.
  await until('the clones are seen', () => readdirSync(`${ours}/folder`).includes('source'));

  await openFile(temp, ours);
  await refusals(pageseal, ours, temp);
  const written = await readTree(ours);
  assert.equal(entries, Object.keys(below(written, '/source', true)).length);
  for (const [path, preserved] of [
    ['/folder/source', false],
    ['/kept', true],
  ] as const)
    assert.deepEqual(treeDifferences(below(written, '/source', preserved), below(written, path, preserved)), []);
  await pageseal.umount(ours);
  assert.deepEqual(await placeViolations(place), []);
  assert.match(await pageseal.ok(['fsck', metaUrl, '--deep']), /nothing is wrong/);

  await juicefs.mount(metaUrl, theirs);
  assert.deepEqual(treeDifferences(written, await readTree(theirs)), []);
  await juicefs.ok(['clone', '-p', `${theirs}/source`, `${theirs}/by-them`]);
  const [a, b] = await Promise.all(['folder/source', 'source'].map((path) => summary(juicefs, `${theirs}/${path}`)));
  assert.deepEqual(a, b);
  const both = await readTree(theirs);
  await juicefs.umount(theirs);
  assert.deepEqual(await juicefs.fsck(metaUrl), []);
  assert.match(await juicefs.gc(metaUrl), / 0 pending delete .* 0 leaked/);

  await pageseal.mount(metaUrl, ours);
  assert.deepEqual(treeDifferences(both, await readTree(ours)), []);
  // References are right: what goes takes nothing along.
  await pageseal.ok(['rmr', `${ours}/source`, `${ours}/folder/source`, `${ours}/opened`]);
  await pageseal.umount(ours);
  // The original client counts 4096 bytes of data for a directory that it clones.
  await pageseal.run(['fsck', metaUrl, '--repair']);
  assert.match(await pageseal.ok(['fsck', metaUrl, '--deep']), /nothing is wrong/);
  await juicefs.mount(metaUrl, theirs);
  const left = await readTree(theirs);
  assert.deepEqual(treeDifferences(below(both, '/by-them', true), below(left, '/by-them', true)), []);
  await juicefs.umount(theirs);
  assert.match(await juicefs.gc(metaUrl), / 0 pending delete .* 0 leaked/);
});

async function openFile(temp: Temp, ours: string): Promise<void> {
  // Still open where it was written: what it has not closed is in the clone.
  const writing = `f = open(${JSON.stringify(`${ours}/open`)}, "w"); f.write("written"); f.flush()
import subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdin=subprocess.DEVNULL)`;
  await runOk('python3', ['-c', writing, pagesealProgram, 'clone', `${ours}/open`, `${ours}/opened`], {
    env: temp.env,
  });
  await until('the clone is seen', () => readdirSync(ours).includes('opened'));
  assert.equal(readFileSync(`${ours}/opened`, 'utf8'), 'written');
}

async function refusals(pageseal: Pageseal, ours: string, temp: Temp): Promise<void> {
  const plain = new Pageseal(temp);
  const [second, guarded] = [temp.at('second'), temp.at('guarded')];
  const other = `sqlite3://${temp.at('second.db')}`;
  await plain.format(other, 'second', temp.at('second-objects'));
  await plain.mount(other, second);
  await plain.mount(other, guarded, ['--read-only']);
  for (const [args, said, code] of [
    [[`${ours}/source`, `${ours}/kept`], /the name is taken/, 5],
    [[`${ours}/source`, `${ours}/source/sub/in`], /cannot lie in its source/, 2],
    [[`${ours}/source`, temp.at('elsewhere')], /not on a mount of Pageseal/, 2],
    [[`${ours}/source`, `${second}/source`], /on different volumes/, 2],
    [[guarded, `${guarded}/copy`], /EROFS/, 8],
    [[`${ours}/none`, `${ours}/new`], /ENOENT/, 4],
    [[`${ours}/source`, `${ours}/none/new`], /ENOENT/, 4],
  ] as const) {
    const outcome = await pageseal.run(['clone', ...args]);
    assert.match(outcome.stderr, said);
    assert.equal(outcome.code, code);
  }
  await pageseal.umount(guarded);
  await pageseal.umount(second);
}

/** What the original client counts below a directory. */
async function summary(juicefs: Juicefs, path: string): Promise<string> {
  const text = await juicefs.ok(['summary', '--strict', '--csv', '--depth', '0', path]);
  const line = text.split('\n').find((one) => /^[^,]*(,\d+){3}$/.test(one.trim()));
  assert.ok(line !== undefined, text);
  return line.slice(line.indexOf(','));
}

const script = `
import os, random, stat, sys
top = sys.argv[1]
r = random.Random(7)
def at(*a): return os.path.join(top, *a)
os.makedirs(at("sub/deep/er")); os.mkdir(at("empty"))
for i, n in enumerate([0, 1, 65536, 200001]):
    with open(at("sub", "size-%d" % n), "wb") as f: f.write(r.randbytes(n))
for i in range(120):
    with open(at("sub/deep", "f%d" % i), "w") as f: f.write("number %d" % i)
with open(at("sparse"), "wb") as f:
    f.seek((64 << 20) - 100); f.write(r.randbytes(5000)); f.truncate((65 << 20) + 7)
fd = os.open(at("patched"), os.O_RDWR | os.O_CREAT, 0o640)
os.write(fd, r.randbytes(300000))
for i in range(12): os.pwrite(fd, r.randbytes(3000), r.randrange(290000)); os.fsync(fd)
os.ftruncate(fd, 100000); os.close(fd)
os.link(at("patched"), at("sub/hard")); os.symlink("../patched", at("sub/soft"))
os.mkfifo(at("pipe"), 0o600); os.mknod(at("null"), 0o666 | stat.S_IFCHR, os.makedev(1, 3))
os.setxattr(at("patched"), "user.note", b"value \\xff"); os.setxattr(at("sub"), "user.dir", b"too")
os.chown(at("sparse"), 1000, 1001); os.chmod(at("sparse"), 0o4755); os.chmod(at("sub"), 0o2775)
open(os.fsencode(top) + b"/bad\\xff\\xfe", "wb").write(b"odd")
os.utime(at("sub"), ns=(1_600_000_000_123_456_789, 1_700_000_000_987_654_321))
`;
