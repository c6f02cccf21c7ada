// rename: rows, links and sums of every kind of move.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { TRASH } from '../../../src/filesystem/meta/types.ts';
import { bytes, listing, root, type TreeVolume, treeVolume } from './tree-volume.ts';

let volume: TreeVolume;
beforeEach(async () => {
  volume = await treeVolume({ trashDays: 0 });
});
afterEach(() => volume.close());

const file = async (name: string, parent = 1n) =>
  (await volume.tree.create(root, parent, bytes(name), 0o644, true)).attr.ino;
const directory = async (name: string, parent = 1n) => (await volume.tree.mkdir(root, parent, bytes(name), 0o755)).ino;
const rename = (from: bigint, name: string, to: bigint, newName: string, flags = 0) =>
  volume.tree.rename(root, from, bytes(name), to, bytes(newName), flags);
const links = async (ino: bigint) => (await volume.tree.getattr(ino)).nlink;
const paths = async () => [...(await listing(volume.tree)).keys()].sort();

test('between directories: parent, links, times, sums', async () => {
  const [a, b] = [await directory('a'), await directory('b')];
  const [moved, plain] = [await directory('sub', a), await file('f', a)];
  const before = await volume.tree.getattr(plain);
  await rename(a, 'sub', b, 'sub2');
  await rename(a, 'f', b, 'g');
  assert.deepEqual([await links(a), await links(b)], [2, 3]);
  assert.equal((await volume.tree.getattr(moved)).parent, b);
  const attr = await volume.tree.getattr(plain);
  assert.deepEqual([attr.parent, attr.mtime, attr.ctime > before.ctime], [b, before.mtime, true]);
  assert.deepEqual(await volume.violations(), []);
  assert.deepEqual(volume.rows('SELECT used_inodes FROM jfs_dir_stats WHERE inode IN (?, ?) ORDER BY inode', a, b), [
    [0n],
    [2n],
  ]);
});

test('in one directory: a new name, nothing else', async () => {
  const a = await directory('a');
  await rename(1n, 'a', 1n, 'b');
  assert.equal(await links(1n), 3);
  assert.equal((await volume.tree.lookup(root, 1n, bytes('b'))).ino, a);
  assert.deepEqual(await volume.violations(), []);
});

test('a file with several names keeps its parent unknown', async () => {
  const [a, ino] = [await directory('a'), await file('f')];
  await volume.tree.link(root, ino, 1n, bytes('g'));
  await rename(1n, 'f', a, 'f');
  assert.equal((await volume.tree.getattr(ino)).parent, 0n);
  assert.deepEqual(await volume.violations(), []);
});

test('over a file, a link, an open file, an empty directory', async () => {
  const a = await directory('a');
  for (const name of ['f', 'g', 'h']) await file(name);
  const open = await file('open', a);
  volume.open.add(open);
  await volume.tree.symlink(root, a, bytes('l'), bytes('x'));
  await rename(1n, 'f', a, 'l');
  await rename(1n, 'g', a, 'l');
  await rename(1n, 'h', a, 'open');
  assert.deepEqual(volume.rows('SELECT * FROM jfs_symlink'), []);
  assert.deepEqual(volume.rows('SELECT inode FROM jfs_sustained'), [[open]]);
  assert.equal(volume.rows('SELECT * FROM jfs_delfile').length, 1);
  const [d, e] = [await directory('d'), await directory('e', a)];
  volume.exec('INSERT INTO jfs_dir_quota VALUES (?, 0, 10, 0, 0)', e);
  await rename(1n, 'd', a, 'e');
  assert.equal((await volume.tree.lookup(root, a, bytes('e'))).ino, d);
  assert.deepEqual(volume.rows('SELECT * FROM jfs_dir_quota'), []);
  assert.deepEqual([await links(1n), await links(a)], [3, 3]);
  assert.deepEqual(await paths(), ['/a', '/a/e', '/a/l', '/a/open']);
  assert.deepEqual(await volume.violations(), []);
});

test('a directory over a directory beside it: one link less', async () => {
  await directory('a');
  await directory('b');
  await rename(1n, 'a', 1n, 'b');
  assert.equal(await links(1n), 3);
  assert.deepEqual(await volume.violations(), []);
});

test('what is replaced goes into the trash under its own place and name', async () => {
  await volume.close();
  volume = await treeVolume({ trashDays: 1 });
  const [a, old] = [await directory('a'), await directory('old')];
  const [f, g] = [await file('f', a), await file('g')];
  await rename(1n, 'g', a, 'f');
  await rename(1n, 'a', 1n, 'old');
  const names = await volume.tree.readdir(TRASH + 1n, undefined, 9, false);
  assert.deepEqual(names.map(({ name }) => `${name}`).sort(), [`${a}-${f}-f`, `1-${old}-old`].sort());
  assert.equal((await volume.tree.lookup(root, a, bytes('f'))).ino, g);
  assert.deepEqual(await volume.violations(), []);
});

test('exchange: entries swap, parents and links follow', async () => {
  const [a, b] = [await directory('a'), await directory('b')];
  const [d, f] = [await directory('d', a), await file('f', b)];
  await rename(a, 'd', b, 'f', 2);
  assert.deepEqual(
    volume.rows('SELECT parent, CAST(name AS TEXT), inode, type FROM jfs_edge WHERE parent > 1 ORDER BY parent'),
    [
      [a, 'd', f, 1n],
      [b, 'f', d, 2n],
    ],
  );
  assert.deepEqual([await links(a), await links(b)], [2, 3]);
  assert.deepEqual([(await volume.tree.getattr(d)).parent, (await volume.tree.getattr(f)).parent], [b, a]);
  await rename(1n, 'a', 1n, 'b', 2);
  assert.equal((await volume.tree.lookup(root, 1n, bytes('a'))).ino, b);
  assert.deepEqual(await volume.violations(), []);
});

test('nothing changes for the same entry or two names of one file', async () => {
  const ino = await file('f');
  await volume.tree.link(root, ino, 1n, bytes('g'));
  const before = volume.rows('SELECT * FROM jfs_node');
  await rename(1n, 'f', 1n, 'f');
  await rename(1n, 'f', 1n, 'g');
  assert.deepEqual(volume.rows('SELECT * FROM jfs_node'), before);
  assert.deepEqual(await paths(), ['/f', '/g']);
});

test('refusals leave everything as it was', async () => {
  const [a, b] = [await directory('a'), await directory('b')];
  const c = await directory('c', b);
  await file('f');
  await file('g', a);
  const before = [volume.rows('SELECT * FROM jfs_node'), volume.rows('SELECT * FROM jfs_edge')];
  const refused: [code: string, ...Parameters<typeof rename>][] = [
    ['ENOENT', 1n, 'none', 1n, 'x'],
    ['ENOENT', 1n, 'f', 999n, 'x'],
    ['ENOENT', 1n, 'f', 1n, 'x', 2],
    ['EEXIST', 1n, 'f', a, 'g', 1],
    ['ENOTDIR', 1n, 'b', a, 'g'],
    ['EISDIR', 1n, 'f', 1n, 'a'],
    ['ENOTEMPTY', 1n, 'b', 1n, 'a'],
    ['ENOTEMPTY', b, 'c', 1n, 'b'],
    ['EINVAL', 1n, 'b', b, 'x'],
    ['EINVAL', 1n, 'b', c, 'x'],
    ['EINVAL', b, 'c', 1n, 'b', 2],
    ['EINVAL', 1n, 'f', 1n, 'x', 3],
    ['EINVAL', 1n, 'f', 1n, 'x', 8],
    ['ENOTSUP', 1n, 'f', 1n, 'x', 4],
    ['ENOTSUP', 1n, 'f', 1n, 'x', 5],
    ['EPERM', 1n, '.trash', 1n, 'x'],
    ['EPERM', 1n, 'f', 1n, '.config'],
    ['EPERM', 1n, 'f', TRASH, 'x'],
    ['EPERM', 1n, 'f', TRASH + 1n, 'x'],
  ];
  for (const [code, ...args] of refused) await assert.rejects(rename(...args), { code }, args.join(' '));
  assert.deepEqual([volume.rows('SELECT * FROM jfs_node'), volume.rows('SELECT * FROM jfs_edge')], before);
});

test('a tree takes its usage from one quota to the other, and within one nothing is asked', async () => {
  const [q, r, tree] = [await directory('q'), await directory('r'), await directory('t')];
  const inner = await directory('inner', tree);
  await file('f', inner);
  for (const ino of [q, r]) volume.exec('INSERT INTO jfs_dir_quota VALUES (?, 0, 3, 0, 0)', ino);
  await volume.usage.refresh();
  const used = () => volume.rows('SELECT used_space, used_inodes FROM jfs_dir_quota ORDER BY inode');
  await rename(1n, 't', q, 't');
  assert.deepEqual(await volume.violations(), []);
  assert.deepEqual(used(), [[12288n, 3n], [0n, 0n]]); // biome-ignore format: one row
  await rename(q, 't', r, 't');
  await rename(r, 't', r, 'u');
  await rename(tree, 'inner', r, 'inner');
  assert.deepEqual(await volume.violations(), []);
  assert.deepEqual(used(), [[0n, 0n], [12288n, 3n]]); // biome-ignore format: one row
  await file('more');
  await assert.rejects(rename(1n, 'more', r, 'more'), { code: 'EDQUOT' });
  await assert.rejects(volume.tree.link(root, (await volume.tree.lookup(root, 1n, bytes('more'))).ino, r, bytes('l')), {
    code: 'EDQUOT',
  });
});

test('link: another name, no parent any more, and only the directory counts it', async () => {
  const [a, ino] = [await directory('a'), await file('f')];
  const before = await volume.tree.getattr(ino);
  const attr = await volume.tree.link(root, ino, a, bytes('g'));
  assert.deepEqual([attr.nlink, attr.parent, attr.ctime > before.ctime, attr.mtime], [2, 0n, true, before.mtime]);
  assert.deepEqual(await volume.tree.getattr(ino), attr);
  await assert.rejects(volume.tree.link(root, ino, a, bytes('g')), { code: 'EEXIST' });
  await assert.rejects(volume.tree.link(root, a, 1n, bytes('h')), { code: 'EPERM' });
  await assert.rejects(volume.tree.link(root, 999n, 1n, bytes('h')), { code: 'ENOENT' });
  await assert.rejects(volume.tree.link(root, ino, TRASH, bytes('h')), { code: 'EPERM' });
  await assert.rejects(volume.tree.link(root, ino, 1n, bytes('.stats')), { code: 'EPERM' });
  assert.deepEqual(await volume.violations(), []);
  assert.equal(volume.row("SELECT value FROM jfs_counter WHERE name = 'totalInodes'")?.[0], 2n);
});
