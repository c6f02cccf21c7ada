// New nodes: the rows they bring, and what their parents count.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { type Attr, NodeFlag, NodeType } from '../../../src/filesystem/meta/types.ts';
import { bytes, root, type TreeVolume, treeVolume, user } from './tree-volume.ts';

let volume: TreeVolume;
beforeEach(async () => {
  volume = await treeVolume();
});
afterEach(() => volume.close());

const makers = (parent = 1n): Record<string, () => Promise<Attr | { attr: Attr }>> => ({
  file: () => volume.tree.create(root, parent, bytes('x'), 0o644, true),
  fifo: () => volume.tree.mknod(root, parent, bytes('x'), NodeType.fifo, 0o600, 0),
  directory: () => volume.tree.mkdir(root, parent, bytes('x'), 0o755),
  symlink: () => volume.tree.symlink(root, parent, bytes('x'), bytes('to')),
});

test('a directory: edge, node, sums, and a link more for its parent', async () => {
  const attr = await volume.tree.mkdir(user(5, 6), 1n, bytes('d'), 0o777);
  assert.deepEqual(volume.row('SELECT parent, inode, type FROM jfs_edge'), [1n, attr.ino, 2n]);
  assert.deepEqual(volume.row('SELECT type, mode, uid, gid, nlink, length, parent FROM jfs_node WHERE inode = ?', attr.ino), [
    2n, 0o755n, 5n, 6n, 2n, 4096n, 1n,
  ]); // biome-ignore format: one row
  assert.deepEqual(volume.rows('SELECT * FROM jfs_dir_stats'), [[attr.ino, 0n, 0n, 0n]]);
  assert.equal(volume.row('SELECT nlink FROM jfs_node WHERE inode = 1')?.[0], 3n);
  const [time, rest] = [attr.mtime / 1000n, attr.mtime % 1000n];
  assert.deepEqual(volume.row('SELECT mtime, mtimensec FROM jfs_node WHERE inode = ?', attr.ino), [time, rest]);
  assert.ok((volume.row('SELECT mtime FROM jfs_node WHERE inode = 1')?.[0] as bigint) >= time, 'parent touched');
  assert.deepEqual(await volume.violations(), []);
});

test('a symbolic link: its target row, mode and length', async () => {
  const attr = await volume.tree.symlink(root, 1n, bytes('l'), bytes('a/b'));
  assert.deepEqual(volume.row('SELECT mode, length, nlink FROM jfs_node WHERE inode = ?', attr.ino), [0o777n, 3n, 1n]);
  assert.equal((await volume.tree.readlink(attr.ino)).toString(), 'a/b');
  const file = await volume.tree.create(root, 1n, bytes('f'), 0o644, true);
  await assert.rejects(volume.tree.readlink(file.attr.ino), { code: 'EINVAL' });
  assert.deepEqual(await volume.violations(), []);
});

test('a device keeps its number, and totals count every node', async () => {
  const attr = await volume.tree.mknod(root, 1n, bytes('null'), NodeType.char, 0o666, 259);
  assert.deepEqual(volume.row('SELECT type, rdev, length FROM jfs_node WHERE inode = ?', attr.ino), [6n, 259n, 0n]);
  assert.deepEqual(await volume.violations(), []);
  assert.deepEqual(
    volume.rows("SELECT name, value FROM jfs_counter WHERE name IN ('usedSpace', 'totalInodes') ORDER BY name"),
    [
      ['totalInodes', 1n],
      ['usedSpace', 4096n],
    ],
  );
});

test('create opens what exists unless it is exclusive', async () => {
  const first = await volume.tree.create(root, 1n, bytes('f'), 0o600, false);
  assert.equal(first.created, true);
  const second = await volume.tree.create(root, 1n, bytes('f'), 0o644, false);
  assert.deepEqual([second.created, second.attr.ino, second.attr.mode], [false, first.attr.ino, 0o600]);
  await assert.rejects(volume.tree.create(root, 1n, bytes('f'), 0o600, true), { code: 'EEXIST' });
  await volume.tree.mkdir(root, 1n, bytes('d'), 0o755);
  await assert.rejects(volume.tree.create(root, 1n, bytes('d'), 0o600, false), { code: 'EEXIST' });
  assert.deepEqual(await volume.violations(), []);
});

test('the group, the setgid bit, skip-trash and the tier come from the directory', async () => {
  const shared = await volume.tree.mkdir(root, 1n, bytes('shared'), 0o777);
  volume.exec(
    'UPDATE jfs_node SET mode = ?, gid = 50, flags = ?, tier_id = 3 WHERE inode = ?',
    0o2777n,
    BigInt(NodeFlag.skipTrash | NodeFlag.append),
    shared.ino,
  );
  const directory = await volume.tree.mkdir(user(5), shared.ino, bytes('d'), 0o755);
  assert.deepEqual(
    [directory.gid, directory.mode, directory.flags, directory.tier],
    [50, 0o2755, NodeFlag.skipTrash, 3],
  );
  const { attr: file } = await volume.tree.create(user(5), shared.ino, bytes('f'), 0o2755, true);
  assert.deepEqual([file.gid, file.mode, file.flags], [50, 0o755, NodeFlag.skipTrash], 'no group power for a stranger');
  const member = await volume.tree.create(user(5, 50), shared.ino, bytes('g'), 0o2755, true);
  assert.equal(member.attr.mode, 0o2755);
});

for (const kind of ['file', 'fifo', 'directory', 'symlink']) {
  const make = (parent?: bigint) => makers(parent)[kind]?.();
  test(`${kind}: refused where it cannot be`, async () => {
    await make();
    await assert.rejects(async () => make(), { code: 'EEXIST' });
    await assert.rejects(async () => make(424242n), { code: 'ENOENT' });
    await assert.rejects(async () => make(0x7fffffff10000000n), { code: 'EPERM' });
    const { attr } = await volume.tree.create(root, 1n, bytes('plain'), 0o644, true);
    await assert.rejects(async () => make(attr.ino), { code: 'ENOTDIR' });
    const { ino } = await volume.tree.mkdir(root, 1n, bytes('fixed'), 0o755);
    volume.exec('UPDATE jfs_node SET flags = 1 WHERE inode = ?', ino);
    await assert.rejects(async () => make(ino), { code: 'EPERM' });
    volume.exec('UPDATE jfs_node SET flags = 0, parent = ? WHERE inode = ?', 0x7fffffff10000001n, ino);
    await assert.rejects(async () => make(ino), { code: 'ENOENT' }, 'a directory in the trash');
  });
}

test('names are checked, and nothing is left of a refusal', async () => {
  const before = volume.rows('SELECT * FROM jfs_node');
  const make = (name: Buffer) => volume.tree.mkdir(root, 1n, name, 0o755);
  await assert.rejects(make(Buffer.alloc(256, 'a')), { code: 'ENAMETOOLONG' });
  for (const name of ['', '.', '..', 'a/b', 'a\0b']) await assert.rejects(make(bytes(name)), { code: 'EINVAL' });
  for (const name of ['.trash', '.config', '.stats', '.accesslog', '.control'])
    await assert.rejects(make(bytes(name)), { code: 'EEXIST' });
  await assert.rejects(volume.tree.symlink(root, 1n, bytes('l'), Buffer.alloc(0)), { code: 'ENOENT' });
  await assert.rejects(volume.tree.symlink(root, 1n, bytes('l'), Buffer.alloc(4096, 'a')), { code: 'ENAMETOOLONG' });
  assert.deepEqual(volume.rows('SELECT * FROM jfs_node'), before);
  await volume.tree.mkdir(root, 1n, Buffer.alloc(255, 'a'), 0o755);
  await volume.tree.symlink(root, 1n, bytes('l'), Buffer.alloc(4095, 'a'));
  await volume.tree.mkdir(root, 1n, Buffer.from([0xff, 0xfe]), 0o755);
  const names = await volume.tree.readdir(1n, undefined, 10, false);
  assert.deepEqual(
    names.map(({ name }) => name.length),
    [255, 1, 2],
    'byte order, any bytes',
  );
});

test('an entry without its node is invisible, and in the way', async () => {
  const { attr } = await volume.tree.create(root, 1n, bytes('f'), 0o644, true);
  volume.exec('DELETE FROM jfs_node WHERE inode = ?', attr.ino);
  await assert.rejects(volume.tree.lookup(root, 1n, bytes('f')), { code: 'ENOENT' });
  assert.deepEqual(await volume.tree.readdir(1n, undefined, 10, false), []);
  await assert.rejects(volume.tree.create(root, 1n, bytes('f'), 0o644, false), { code: 'EEXIST' });
  await volume.tree.unlink(root, 1n, bytes('f'));
  assert.deepEqual(volume.rows('SELECT * FROM jfs_edge'), []);
});

test('limits: the volume answers ENOSPC, a directory quota EDQUOT', async () => {
  await volume.close();
  volume = await treeVolume({ inodes: 2n });
  const directory = await volume.tree.mkdir(root, 1n, bytes('q'), 0o755);
  volume.exec('INSERT INTO jfs_dir_quota VALUES (?, 0, 1, 0, 1)', directory.ino);
  await volume.usage.refresh();
  await assert.rejects(volume.tree.create(root, directory.ino, bytes('a'), 0o644, true), { code: 'EDQUOT' });
  await volume.tree.create(root, 1n, bytes('b'), 0o644, true);
  await assert.rejects(volume.tree.create(root, 1n, bytes('c'), 0o644, true), { code: 'ENOSPC' });
});

test('lookup knows dots, the trash, and the default attributes of missing rows', async () => {
  const directory = await volume.tree.mkdir(root, 1n, bytes('d'), 0o755);
  assert.equal((await volume.tree.lookup(root, directory.ino, bytes('..'))).ino, 1n);
  assert.equal((await volume.tree.lookup(root, directory.ino, bytes('.'))).ino, directory.ino);
  assert.equal((await volume.tree.lookup(root, 1n, bytes('.trash'))).mode, 0o555);
  volume.exec('DELETE FROM jfs_node WHERE inode = 1 OR inode > 9000000000');
  assert.deepEqual([(await volume.tree.getattr(1n)).mode, (await volume.tree.getattr(1n)).nlink], [0o777, 2]);
  assert.equal((await volume.tree.lookup(root, 1n, bytes('.trash'))).mode, 0o555);
  await assert.rejects(volume.tree.getattr(77n), { code: 'ENOENT' });
});

test('pages of a directory go on behind a name or from a position', async () => {
  for (const name of ['b', 'a', 'c', 'B']) await volume.tree.create(root, 1n, bytes(name), 0o644, true);
  const names = async (page: Promise<readonly { name: Buffer }[]>) => (await page).map(({ name }) => name.toString());
  assert.deepEqual(await names(volume.tree.readdir(1n, undefined, 3, false)), ['B', 'a', 'b']);
  assert.deepEqual(await names(volume.tree.readdir(1n, bytes('a'), 3, true)), ['b', 'c']);
  assert.deepEqual(await names(volume.tree.readdirAt(1n, 2, 1, false)), ['b']);
  const [first] = await volume.tree.readdirAt(1n, 3, 9, true);
  assert.deepEqual(first?.attr, await volume.tree.lookup(root, 1n, bytes('c')));
});
