// unlink and rmdir, with the trash and without.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { hourName } from '../../../src/filesystem/meta/trash.ts';
import { TRASH } from '../../../src/filesystem/meta/types.ts';
import { bytes, root, type TreeVolume, treeVolume, user } from './tree-volume.ts';

let volume: TreeVolume;
const file = async (name: string, parent = 1n) =>
  (await volume.tree.create(root, parent, bytes(name), 0o644, true)).attr.ino;
const counter = (name: string) => volume.row('SELECT value FROM jfs_counter WHERE name = ?', name)?.[0];

/** A file with rows that hang on it, and 5000 bytes in the accounts. */
async function filled(name: string): Promise<bigint> {
  const ino = await file(name);
  volume.exec('UPDATE jfs_node SET length = 5000 WHERE inode = ?', ino);
  await volume.grown(1n, { length: 5000n, space: 4096n, inodes: 0n });
  await volume.tree.setxattr(root, ino, 'user.a', bytes('1'), 0);
  return ino;
}

describe('with the trash off', () => {
  beforeEach(async () => {
    volume = await treeVolume({ trashDays: 0 });
  });
  afterEach(() => volume.close());

  test('the last name of a file: node and attributes go, the data waits in delfile', async () => {
    const ino = await filled('f');
    await volume.tree.unlink(root, 1n, bytes('f'));
    assert.deepEqual(volume.rows('SELECT inode FROM jfs_edge UNION ALL SELECT inode FROM jfs_xattr'), []);
    assert.deepEqual(volume.rows('SELECT inode FROM jfs_node WHERE inode = ?', ino), []);
    const [inode, length, expire] = volume.row('SELECT inode, length, expire FROM jfs_delfile') ?? [];
    assert.deepEqual([inode, length], [ino, 5000n]);
    assert.ok(Math.abs(Number(expire) - Date.now() / 1000) < 60, 'seconds');
    assert.deepEqual(volume.deleted, [ino]);
    assert.deepEqual(await volume.violations(), []);
    assert.deepEqual([counter('usedSpace'), counter('totalInodes')], [0n, 0n]);
  });

  test('an open file stays with a sustained row and still counts', async () => {
    const ino = await filled('f');
    volume.open.add(ino);
    await volume.tree.unlink(root, 1n, bytes('f'));
    assert.deepEqual(volume.rows('SELECT sid, inode FROM jfs_sustained'), [[7n, ino]]);
    assert.equal((await volume.tree.getattr(ino)).nlink, 0);
    assert.deepEqual([volume.sustained, volume.deleted], [[ino], []]);
    assert.deepEqual(await volume.violations(), []);
    assert.deepEqual([counter('usedSpace'), counter('totalInodes')], [8192n, 1n]);
    await assert.rejects(volume.tree.link(root, ino, 1n, bytes('again')), { code: 'ENOENT' });
  });

  test('one of several names: one link less, and the parent stays unknown', async () => {
    const ino = await file('f');
    await volume.tree.link(root, ino, 1n, bytes('g'));
    await volume.tree.unlink(root, 1n, bytes('f'));
    assert.deepEqual(volume.row('SELECT nlink, parent FROM jfs_node WHERE inode = ?', ino), [1n, 0n]);
    assert.deepEqual(await volume.violations(), []);
  });

  test('a symbolic link and a directory leave no row of theirs', async () => {
    await volume.tree.symlink(root, 1n, bytes('l'), bytes('to'));
    await volume.tree.mkdir(root, 1n, bytes('d'), 0o755);
    await volume.tree.unlink(root, 1n, bytes('l'));
    await volume.tree.rmdir(root, 1n, bytes('d'));
    for (const table of ['jfs_edge', 'jfs_symlink', 'jfs_dir_quota', 'jfs_delfile'])
      assert.deepEqual(volume.rows(`SELECT * FROM ${table}`), [], table);
    assert.equal(volume.row('SELECT nlink FROM jfs_node WHERE inode = 1')?.[0], 2n);
    assert.deepEqual(await volume.violations(), []);
  });
});

describe('with the trash on', () => {
  beforeEach(async () => {
    volume = await treeVolume({ trashDays: 1 });
  });
  afterEach(() => volume.close());

  test('a file moves into the directory of the hour with its inode and links', async () => {
    const ino = await filled('f');
    await volume.tree.unlink(root, 1n, bytes('f'));
    const hour = hourName(BigInt(Date.now()) * 1_000_000n);
    assert.deepEqual(volume.rows('SELECT parent, CAST(name AS TEXT), inode, type FROM jfs_edge ORDER BY parent'), [
      [TRASH, hour, TRASH + 1n, 2n],
      [TRASH + 1n, `1-${ino}-f`, ino, 1n],
    ]);
    assert.deepEqual(volume.row('SELECT mode, uid, nlink, length, parent FROM jfs_node WHERE inode = ?', TRASH + 1n), [
      0o555n,
      0n,
      2n,
      4096n,
      TRASH,
    ]);
    assert.deepEqual(volume.row('SELECT nlink, parent FROM jfs_node WHERE inode = ?', ino), [1n, TRASH + 1n]);
    assert.deepEqual(volume.row('SELECT nlink, mtime FROM jfs_node WHERE inode = ?', TRASH), [
      2n,
      1_600_000_000_000_000n,
    ]);
    assert.equal(counter('nextTrash'), 1n);
    assert.deepEqual(await volume.violations(), []);
    assert.deepEqual(
      [counter('usedSpace'), counter('totalInodes')],
      [12288n, 2n],
      'the hour counts, the file still does',
    );
    assert.deepEqual(
      volume.rows('SELECT inode, data_length, used_space, used_inodes FROM jfs_dir_stats WHERE inode > 1'),
      [[TRASH + 1n, 5000n, 8192n, 1n]],
    );
    assert.equal(volume.rows('SELECT * FROM jfs_xattr').length, 1, 'attributes stay');
  });

  test('the hour is made once, also by another client', async () => {
    await file('a');
    await file('b');
    await volume.tree.unlink(root, 1n, bytes('a'));
    await volume.tree.unlink(root, 1n, bytes('b'));
    assert.equal(counter('nextTrash'), 1n);
    const { Namespace } = await import('../../../src/filesystem/meta/namespace.ts');
    const other = new Namespace(volume.context);
    await file('c');
    await other.unlink(root, 1n, bytes('c'));
    assert.equal(counter('nextTrash'), 1n);
    assert.deepEqual(await volume.violations(), []);
  });

  test('an open file is an ordinary move: no sustained row', async () => {
    const ino = await file('f');
    volume.open.add(ino);
    await volume.tree.unlink(root, 1n, bytes('f'));
    assert.deepEqual(volume.rows('SELECT * FROM jfs_sustained'), []);
    assert.deepEqual(await volume.violations(), []);
  });

  test('each name of a file goes by itself; the same name twice only counts down', async () => {
    const ino = await file('f');
    await volume.tree.link(root, ino, 1n, bytes('g'));
    await volume.tree.unlink(root, 1n, bytes('g'));
    assert.deepEqual(volume.row('SELECT nlink, parent FROM jfs_node WHERE inode = ?', ino), [2n, 0n]);
    await volume.tree.link(root, ino, 1n, bytes('g'));
    assert.equal((await volume.tree.getattr(ino)).nlink, 3);
    await volume.tree.unlink(root, 1n, bytes('g'));
    assert.equal((await volume.tree.getattr(ino)).nlink, 2, 'its trash name was taken');
    assert.deepEqual(await volume.violations(), []);
  });

  test('long names are cut in the trash', async () => {
    const name = 'n'.repeat(255);
    const ino = await file(name);
    await volume.tree.unlink(root, 1n, bytes(name));
    const [entry] = volume.row('SELECT CAST(name AS TEXT) FROM jfs_edge WHERE inode = ?', ino) ?? [];
    assert.equal(entry, `1-${ino}-${name}`.slice(0, 255));
  });

  test('skip-trash goes past it', async () => {
    const ino = await file('f');
    await volume.tree.setattr(root, ino, { flags: 0x20 });
    await volume.tree.unlink(root, 1n, bytes('f'));
    assert.deepEqual(volume.deleted, [ino]);
    assert.equal(counter('nextTrash'), undefined);
    assert.deepEqual(await volume.violations(), []);
  });

  test('a directory enters empty, without its sums and quota', async () => {
    const { ino } = await volume.tree.mkdir(root, 1n, bytes('d'), 0o755);
    volume.exec('INSERT INTO jfs_dir_quota VALUES (?, 0, 10, 0, 0)', ino);
    const inside = await file('f', ino);
    await assert.rejects(volume.tree.rmdir(root, 1n, bytes('d')), { code: 'ENOTEMPTY' });
    await volume.tree.unlink(root, ino, bytes('f'));
    await volume.tree.rmdir(root, 1n, bytes('d'));
    assert.deepEqual(volume.row('SELECT nlink, parent FROM jfs_node WHERE inode = ?', ino), [2n, TRASH + 1n]);
    assert.deepEqual(volume.rows('SELECT inode FROM jfs_dir_stats WHERE inode = ?', ino), []);
    assert.deepEqual(volume.rows('SELECT * FROM jfs_dir_quota'), []);
    assert.deepEqual(await volume.violations(), []);
    const names = await volume.tree.readdir(TRASH + 1n, undefined, 9, false);
    assert.deepEqual(
      names.map(({ name }) => `${name}`),
      [`1-${ino}-d`, `${ino}-${inside}-f`],
    );
  });

  test('in the trash: only root takes out, and then for good; the hours themselves stay', async () => {
    const ino = await file('f');
    await volume.tree.unlink(root, 1n, bytes('f'));
    const entry = bytes(`1-${ino}-f`);
    const [hour] = await volume.tree.readdir(TRASH, undefined, 1, false);
    await assert.rejects(volume.tree.unlink(user(5), TRASH + 1n, entry), { code: 'EPERM' });
    await assert.rejects(volume.tree.rmdir(root, TRASH, hour?.name ?? entry), { code: 'EPERM' });
    await assert.rejects(volume.tree.rename(root, TRASH, hour?.name ?? entry, 1n, bytes('h'), 0), { code: 'EPERM' });
    await assert.rejects(volume.tree.setattr(root, ino, { mode: 0o600 }), { code: 'EPERM' });
    await volume.tree.unlink(root, TRASH + 1n, entry);
    assert.deepEqual(volume.deleted, [ino]);
    assert.deepEqual(await volume.violations(), []);
  });

  test('restoring is a rename out of the trash', async () => {
    const { ino } = await volume.tree.mkdir(root, 1n, bytes('d'), 0o755);
    const child = await file('f', ino);
    await volume.tree.unlink(root, ino, bytes('f'));
    await volume.tree.rmdir(root, 1n, bytes('d'));
    await volume.tree.rename(root, TRASH + 1n, bytes(`1-${ino}-d`), 1n, bytes('d'), 1);
    await volume.tree.rename(root, TRASH + 1n, bytes(`${ino}-${child}-f`), ino, bytes('f'), 1);
    assert.equal((await volume.tree.lookup(root, ino, bytes('f'))).parent, ino);
    assert.equal((await volume.tree.getattr(1n)).nlink, 3);
    assert.deepEqual(await volume.violations(), []);
  });
});

describe('refusals', () => {
  beforeEach(async () => {
    volume = await treeVolume({ trashDays: 0 });
  });
  afterEach(() => volume.close());

  test('the wrong kind, the wrong name', async () => {
    await volume.tree.mkdir(root, 1n, bytes('d'), 0o755);
    await file('f');
    await assert.rejects(volume.tree.unlink(root, 1n, bytes('d')), { code: 'EPERM' });
    await assert.rejects(volume.tree.rmdir(root, 1n, bytes('f')), { code: 'ENOTDIR' });
    await assert.rejects(volume.tree.unlink(root, 1n, bytes('none')), { code: 'ENOENT' });
    await assert.rejects(volume.tree.rmdir(root, 1n, bytes('none')), { code: 'ENOENT' });
    await assert.rejects(volume.tree.rmdir(root, 1n, bytes('.trash')), { code: 'EPERM' });
    await assert.rejects(volume.tree.unlink(root, 999n, bytes('f')), { code: 'ENOENT' });
  });

  test('a sticky directory gives up nothing of others', async () => {
    const { ino } = await volume.tree.mkdir(user(1), 1n, bytes('tmp'), 0o777);
    volume.exec('UPDATE jfs_node SET mode = 1023 WHERE inode = ?', ino);
    await volume.tree.create(user(2), ino, bytes('f'), 0o666, true);
    await volume.tree.mkdir(user(2), ino, bytes('d'), 0o777);
    await assert.rejects(volume.tree.unlink(user(3), ino, bytes('f')), { code: 'EACCES' });
    await assert.rejects(volume.tree.rmdir(user(3), ino, bytes('d')), { code: 'EACCES' });
    await assert.rejects(volume.tree.rename(user(3), ino, bytes('f'), 1n, bytes('f'), 0), { code: 'EACCES' });
    await volume.tree.unlink(user(2), ino, bytes('f'));
    await volume.tree.rmdir(user(1), ino, bytes('d'));
  });

  for (const flag of [1n, 2n])
    test(`flag ${flag} keeps node and directory as they are`, async () => {
      const { ino: directory } = await volume.tree.mkdir(root, 1n, bytes('d'), 0o755);
      const ino = await file('f', directory);
      const refused = { code: 'EPERM' };
      volume.exec('UPDATE jfs_node SET flags = ? WHERE inode = ?', flag, ino);
      await assert.rejects(volume.tree.unlink(root, directory, bytes('f')), refused);
      await assert.rejects(volume.tree.link(root, ino, 1n, bytes('g')), refused);
      await assert.rejects(volume.tree.rename(root, directory, bytes('f'), 1n, bytes('f'), 0), refused);
      volume.exec('UPDATE jfs_node SET flags = 0 WHERE inode = ?', ino);
      volume.exec('UPDATE jfs_node SET flags = ? WHERE inode = ?', flag, directory);
      await assert.rejects(volume.tree.unlink(root, directory, bytes('f')), refused);
      await assert.rejects(volume.tree.rename(root, directory, bytes('f'), 1n, bytes('f'), 0), refused);
      assert.deepEqual(await volume.violations(), []);
    });
});
