// Clones: everything of a tree but its data, counted rightly everywhere; nothing to be seen of one that failed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nowNs } from '../../../src/base/clock.ts';
import { type ErrorCode, hasCode } from '../../../src/base/errors.ts';
import type { Caller } from '../../../src/base/words.ts';
import type { OpenedMeta } from '../../../src/filesystem/meta/open-meta.ts';
import { type Attr, type Ino, NodeType, ROOT, TRASH } from '../../../src/filesystem/meta/types.ts';
import { until } from '../../harness/program.ts';
import { makeTemp } from '../../harness/temp.ts';
import { root, TestVolume } from './volume.ts';

const temp = makeTemp();
const is = (code: ErrorCode) => (thrown: unknown) => hasCode(thrown, code);
const bytes = (name: string): Buffer => Buffer.from(name);
const user: Caller = { uid: 1000, gid: 1000, pid: 1, umask: 0o027 };

/** A file with two records of one slice and one of another, and a hole. */
async function file(meta: OpenedMeta, parent: Ino, name: string): Promise<Attr> {
  const { attr } = await meta.create(root, parent, bytes(name), 0o644, true);
  const [a, b] = [await meta.newSliceId(), await meta.newSliceId()];
  const slice = (id: bigint, pos: number) => ({ pos, id, size: 5000, off: 0, len: 5000 });
  await meta.commitSlices(root, attr.ino, [
    { indx: 0, slice: slice(a, 0), ledger: [], mtime: 5n },
    { indx: 3, slice: slice(b, 100), ledger: [], mtime: 5n },
  ]);
  return meta.fallocate(root, attr.ino, 3, 0n, 100n);
}

/** A tree of every kind of entry; answers its root. */
async function tree(meta: OpenedMeta, name = 'tree'): Promise<Ino> {
  const { ino } = await meta.mkdir(root, ROOT, bytes(name), 0o755);
  const one = await file(meta, ino, 'one');
  const sub = await meta.mkdir(root, ino, bytes('sub'), 0o775);
  await meta.link(root, one.ino, sub.ino, bytes('hard'));
  await meta.symlink(root, sub.ino, bytes('soft'), bytes('../one'));
  await meta.mknod(root, ino, bytes('pipe'), NodeType.fifo, 0o600, 0);
  await meta.mkdir(root, sub.ino, bytes('empty'), 0o700);
  for (let i = 0; i < 250; i++) await meta.create(root, sub.ino, bytes(`many-${i}`), 0o600, true);
  await meta.setxattr(root, one.ino, 'user.note', bytes('kept'), 0);
  await meta.setxattr(root, ino, 'user.top', bytes('too'), 0);
  await meta.setattr(root, sub.ino, { uid: 7, gid: 8, mode: 0o2775, mtime: 1_600_000_000_123_456_789n });
  return ino;
}

interface Seen extends Omit<Attr, 'ino' | 'parent' | 'nlink'> {
  readonly xattrs: string[];
  readonly data: unknown;
}

/** Everything below, with what a clone has to share. */
async function seen(meta: OpenedMeta, top: Ino): Promise<Map<string, Seen>> {
  const found = new Map<string, Seen>();
  const visit = async (attr: Attr, path: string): Promise<void> => {
    const { ino, parent: _, nlink: __, linksInTrash: ___, ...rest } = attr;
    const data =
      attr.type === NodeType.symlink
        ? (await meta.readlink(ino)).toString()
        : await Promise.all(
            (await meta.chunkIndexes(ino, 0, 9)).map(async (i) => (await meta.readChunk(ino, i)).slices),
          );
    found.set(path, { ...rest, xattrs: await meta.listxattr(ino), data });
    if (attr.type !== NodeType.directory) return;
    for (const { name, ino: child } of await meta.readdir(ino, undefined, 9999, false))
      await visit(await meta.getattr(child), `${path}/${name}`);
  };
  await visit(await meta.getattr(top), '');
  return found;
}

const usageOf = async (meta: OpenedMeta) => (await meta.statfs(ROOT)).usedInodes;

test('a preserved clone is its source in everything but numbers and links', async () => {
  const volume = await TestVolume.make(temp, { trashDays: 0 });
  const meta = await volume.open();
  const source = await tree(meta);
  const before = await seen(meta, source);
  const steps: number[] = [];
  const onProgress = (done: number) => void steps.push(done);
  const args = { caller: root, preserve: true, source, parent: ROOT, name: bytes('copy'), onProgress };
  const { ino, entries } = await meta.clone(args);
  assert.equal(entries, 257);
  assert.equal(steps.at(-1), 257);
  assert.deepEqual(await seen(meta, ino), before);
  assert.equal((await meta.lookup(root, ROOT, bytes('copy'))).ino, ino);
  assert.deepEqual(volume.rows('SELECT chunkid, refs FROM jfs_chunk_ref'), [
    [1n, 3n],
    [2n, 3n],
  ]);
  assert.deepEqual(volume.rows('jfs_detached_node'), []);
  assert.equal(await usageOf(meta), 256n + 257n);
  await meta.close();
  assert.deepEqual(await volume.violations(), []);

  const again = await volume.open();
  for (const name of ['one', 'pipe']) await again.unlink(root, source, bytes(name));
  const copied = await again.lookup(root, ino, bytes('one'));
  assert.equal((await again.readChunk(copied.ino, 3)).slices.length, 1);
  await again.close();
  assert.deepEqual(volume.removed, []);
  assert.deepEqual(await volume.violations(), []);
});

test('without preserve it belongs to who made it, now, under its umask', async () => {
  const volume = await TestVolume.make(temp);
  const meta = await volume.open();
  const source = await tree(meta);
  const since = nowNs();
  const { ino } = await meta.clone({
    caller: { ...root, umask: 0o027 },
    preserve: false,
    source,
    parent: ROOT,
    name: bytes('c'),
  });
  const sub = await meta.lookup(root, ino, bytes('sub'));
  assert.deepEqual([sub.uid, sub.gid, sub.mode], [0, 0, 0o2750]);
  for (const time of [sub.atime, sub.mtime, sub.ctime]) assert.ok(time >= since);
  const soft = await meta.lookup(root, sub.ino, bytes('soft'));
  assert.equal(soft.mode, 0o750);
  // A file, into the clone.
  const one = await meta.lookup(root, source, bytes('one'));
  const alone = await meta.clone({
    caller: root,
    preserve: true,
    source: one.ino,
    parent: sub.ino,
    name: bytes('alone'),
  });
  assert.deepEqual(await seen(meta, alone.ino), await seen(meta, one.ino));
  assert.equal((await meta.getattr(alone.ino)).nlink, 1);
  await meta.close();
  assert.deepEqual(await volume.violations(), []);
});

test('what is refused, and leaves nothing', async () => {
  const volume = await TestVolume.make(temp);
  const meta = await volume.open();
  const source = await tree(meta);
  const sub = await meta.lookup(root, source, bytes('sub'));
  const one = await meta.lookup(root, source, bytes('one'));
  const clone = (over: Partial<Parameters<OpenedMeta['clone']>[0]>) =>
    meta.clone({ caller: root, preserve: false, source, parent: ROOT, name: bytes('new'), ...over });
  const before = [volume.rows('jfs_node'), volume.rows('jfs_edge')];
  await assert.rejects(clone({ name: bytes('tree') }), is('EEXIST'));
  await assert.rejects(clone({ name: bytes('.trash') }), is('EEXIST'));
  await assert.rejects(clone({ name: bytes('a/b') }), is('EINVAL'));
  await assert.rejects(clone({ parent: sub.ino }), is('EINVAL'));
  await assert.rejects(clone({ parent: source }), is('EINVAL'));
  await assert.rejects(clone({ parent: TRASH }), is('EPERM'));
  await assert.rejects(clone({ source: TRASH }), is('EPERM'));
  await assert.rejects(clone({ parent: one.ino }), is('ENOTDIR'));
  await assert.rejects(clone({ parent: 4242n }), is('ENOENT'));
  await assert.rejects(clone({ source: 4242n }), is('ENOENT'));
  // pipe and many-* are for root only.
  await assert.rejects(clone({ caller: user, parent: ROOT }), is('EACCES'));
  await assert.rejects(clone({ caller: user, parent: source, source: one.ino }), is('EACCES'));
  const cut = new AbortController();
  await assert.rejects(clone({ signal: cut.signal, onProgress: () => cut.abort() }), is('cancelled'));
  assert.deepEqual([volume.rows('jfs_node'), volume.rows('jfs_edge')], before);
  assert.deepEqual(volume.rows('jfs_detached_node'), []);
  await meta.close();
  assert.deepEqual(await volume.violations(), []);
});

test('limits: of the volume, and of the directory that it is to hang in', async () => {
  const volume = await TestVolume.make(temp, { inodes: 400n });
  const first = await volume.open();
  const source = await tree(first);
  const { ino: narrow } = await first.mkdir(root, ROOT, bytes('narrow'), 0o755);
  const args = { caller: root, preserve: false, source, parent: narrow, name: bytes('copy') };
  await assert.rejects(first.clone(args), is('ENOSPC'));
  await first.close();
  volume.set('Inodes', 0);
  volume.change(`INSERT INTO jfs_dir_quota VALUES (${narrow}, 0, 300, 0, 0)`);
  const meta = await volume.open();
  await meta.clone(args);
  assert.deepEqual(
    (await volume.violations()).filter((text) => text.includes('entry')),
    [],
  );
  await assert.rejects(meta.clone({ ...args, name: bytes('second') }), is('EDQUOT'));
  // Taken up while the clone is made: refused at the end.
  volume.change(`UPDATE jfs_dir_quota SET max_inodes = 600 WHERE inode = ${narrow}`);
  let filled = false;
  const onProgress = () => {
    if (!filled) volume.change(`UPDATE jfs_dir_quota SET max_inodes = 300 WHERE inode = ${narrow}`);
    filled = true;
  };
  await assert.rejects(meta.clone({ ...args, name: bytes('third'), onProgress }), is('EDQUOT'));
  assert.deepEqual(
    (await meta.readdir(narrow, undefined, 9, false)).map(({ name }) => name.toString()),
    ['copy'],
  );
  await meta.close();
  assert.deepEqual(volume.rows('SELECT used_inodes FROM jfs_dir_quota'), [[257n]]);
  assert.deepEqual(volume.rows('jfs_detached_node'), []);
  assert.deepEqual(await volume.violations(), []);
});

test('limits of users and groups: what is cloned counts for who owns it', async () => {
  const volume = await TestVolume.make(temp);
  volume.set('UserGroupQuota', true);
  const first = await volume.open();
  const source = await tree(first);
  await first.clone({ caller: root, preserve: true, source, parent: ROOT, name: bytes('kept') });
  await first.close();
  assert.deepEqual(await volume.violations(), []);
  const used = (id: number): unknown =>
    volume.rows(`SELECT used_inodes FROM jfs_user_group_quota WHERE qtype = 1 AND qkey = ${id}`);
  assert.deepEqual([used(0), used(7)], [[[507n]], [[2n]]]);
  volume.change('UPDATE jfs_user_group_quota SET max_inodes = 600 WHERE qtype = 1 AND qkey = 0');
  const meta = await volume.open();
  const args = { caller: root, preserve: true, source, parent: ROOT, name: bytes('more') };
  await assert.rejects(meta.clone(args), is('EDQUOT'));
  await assert.rejects(meta.lookup(root, ROOT, bytes('more')), is('ENOENT'));
  await meta.close();
  assert.deepEqual([used(0), volume.rows('jfs_detached_node')], [[[507n]], []]);
  assert.deepEqual(await volume.violations(), []);
});

test('an interrupted clone is unseen, and goes as garbage, which its maker then cannot attach', async () => {
  const volume = await TestVolume.make(temp, { trashDays: 1 });
  const meta = await volume.open();
  const source = await tree(meta);
  const now = BigInt(Math.floor(Date.now() / 1000));
  const dead = await volume.open();
  const args = { caller: root, preserve: false, source, parent: ROOT, name: bytes('copy') };
  let left: Ino[] = [];
  const cloning = dead.clone({
    ...args,
    onProgress: () => {
      volume.change('UPDATE jfs_detached_node SET added = added - 100000 WHERE added > 0');
      left = volume.rows('SELECT inode FROM jfs_detached_node').map(([ino]) => ino as bigint);
      if (volume.rows('SELECT 1 FROM jfs_detached_node WHERE added = 0').length === 0)
        volume.change('UPDATE jfs_detached_node SET added = 0');
    },
  });
  await assert.rejects(cloning, is('ENOENT'));
  await dead.close();
  const [detached = 0n] = left;
  assert.equal(left.length, 1);
  await assert.rejects(meta.lookup(root, ROOT, bytes('copy')), is('ENOENT'));
  assert.deepEqual(volume.rows('jfs_detached_node'), []);

  // One whose client died half way, and one that is worked on.
  const [half, whole] = [
    await meta.clone({ ...args, name: bytes('half') }),
    await meta.clone({ ...args, name: bytes('whole') }),
  ];
  for (const { ino } of [half, whole])
    volume.change(`DELETE FROM jfs_edge WHERE inode = ${ino}; UPDATE jfs_node SET nlink = nlink - 1 WHERE inode = 1;
      INSERT INTO jfs_detached_node VALUES (${ino}, ${ino === half.ino ? now - 90_000n : now})`);
  const limit = now - 86_400n;
  assert.deepEqual(await meta.detached(limit), [half.ino]);
  assert.equal(await meta.removeDetached(whole.ino, limit), false);
  assert.equal(await meta.removeDetached(detached, limit), false);
  assert.equal(await meta.removeDetached(half.ino, limit), true);
  assert.equal(await meta.removeDetached(half.ino, limit), false);
  assert.deepEqual(volume.rows(`SELECT inode FROM jfs_detached_node`), [[whole.ino]]);
  await until('its data is deleted', () => volume.rows('jfs_delfile').length === 0);
  // Source, whole: one file with two names in the first, two files in the other.
  assert.deepEqual(volume.rows('SELECT DISTINCT refs FROM jfs_chunk_ref'), [[3n]]);
  await meta.close();
  const wrong = (await volume.violations()).filter((text) => !text.includes('sums of a directory'));
  assert.deepEqual(wrong, []);
});
