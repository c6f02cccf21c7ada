// Extended attributes and access control lists.
import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { log } from '../../../src/base/log.ts';
import { ACCESS_XATTR, DEFAULT_XATTR, fromXattr, toXattr } from '../../../src/filesystem/meta/acl.ts';
import { openMeta } from '../../../src/filesystem/meta/open-meta.ts';
import { openSqlite } from '../../../src/filesystem/sql/sqlite.ts';
import { bytes, root, type TreeVolume, treeVolume, user } from './tree-volume.ts';

let volume: TreeVolume;
afterEach(() => volume.close());
const file = async (name = 'f', parent = 1n) =>
  (await volume.tree.create(root, parent, bytes(name), 0o666, true)).attr.ino;

describe('attributes', () => {
  beforeEach(async () => {
    volume = await treeVolume();
  });

  test('set, create, replace, remove', async () => {
    const ino = await file();
    const before = await volume.tree.getattr(ino);
    const set = (value: string, flags: number) => volume.tree.setxattr(root, ino, 'user.a', bytes(value), flags);
    await assert.rejects(set('1', 2), { code: 'ENODATA' });
    await set('1', 1);
    await assert.rejects(set('2', 1), { code: 'EEXIST' });
    await set('3', 2);
    await set('', 0);
    assert.deepEqual(volume.rows('SELECT inode, name, typeof(value), length(value) FROM jfs_xattr'), [
      [ino, 'user.a', 'blob', 0n],
    ]);
    assert.equal((await volume.tree.getxattr(ino, 'user.a')).length, 0);
    await volume.tree.setxattr(root, ino, 'trusted.ü', bytes('x'), 0);
    assert.deepEqual(await volume.tree.listxattr(ino), ['trusted.ü', 'user.a']);
    await volume.tree.removexattr(root, ino, 'user.a');
    await assert.rejects(volume.tree.removexattr(root, ino, 'user.a'), { code: 'ENODATA' });
    await assert.rejects(volume.tree.getxattr(ino, 'user.a'), { code: 'ENODATA' });
    assert.deepEqual(await volume.tree.getattr(ino), before, 'no time changes');
  });

  test('limits and names that are not kept', async () => {
    const ino = await file();
    const set = (name: string, value = bytes('1'), flags = 0) => volume.tree.setxattr(root, ino, name, value, flags);
    await set(`user.${'n'.repeat(250)}`, Buffer.alloc(65_536, 1));
    await assert.rejects(set(`user.${'n'.repeat(251)}`), { code: 'ERANGE' });
    await assert.rejects(set(''), { code: 'ERANGE' });
    await assert.rejects(set('user.b', Buffer.alloc(65_537)), { code: 'ERANGE' });
    await assert.rejects(set('user.b', bytes('1'), 4), { code: 'EINVAL' });
    await assert.rejects(set('user.b', bytes('1'), 3), { code: 'ENODATA' });
    await set('user.c');
    await assert.rejects(set('user.c', bytes('1'), 3), { code: 'EEXIST' });
    for (const name of [ACCESS_XATTR, DEFAULT_XATTR, 'system.other'])
      await assert.rejects(set(name), { code: 'ENOTSUP' }, name);
    await assert.rejects(volume.tree.getxattr(ino, ACCESS_XATTR), { code: 'ENOTSUP' });
    await assert.rejects(volume.tree.setxattr(root, 999n, 'user.a', bytes('1'), 0), { code: 'ENOENT' });
  });
});

describe('access control lists', () => {
  const entry = (tag: number, perm: number, id = 0xffff_ffff): Buffer => {
    const bytes = Buffer.alloc(8);
    bytes.writeUInt16LE(tag, 0);
    bytes.writeUInt16LE(perm, 2);
    bytes.writeUInt32LE(id, 4);
    return bytes;
  };
  const acl = (...entries: Buffer[]): Buffer => Buffer.concat([Buffer.from([2, 0, 0, 0]), ...entries]);
  const named = acl(entry(1, 6), entry(2, 7, 1000), entry(4, 5), entry(0x10, 7), entry(0x20, 4));
  const minimal = acl(entry(1, 7), entry(4, 5), entry(0x20, 0));
  const aclId = (ino: bigint) =>
    volume.row('SELECT access_acl_id, default_acl_id, mode FROM jfs_node WHERE inode = ?', ino);
  const rules = () => volume.rows('SELECT id FROM jfs_acl').length;

  beforeEach(async () => {
    volume = await treeVolume({ enableAcl: true });
  });

  test('an access list sets the mode and shares its rule', async () => {
    const [f, g] = [await file('f'), await file('g')];
    await volume.tree.setxattr(root, f, ACCESS_XATTR, named, 0);
    await volume.tree.setxattr(root, g, ACCESS_XATTR, named, 0);
    assert.deepEqual(aclId(f), [1n, 0n, 0o674n]);
    assert.deepEqual([rules(), aclId(g)?.[0]], [1, 1n]);
    assert.deepEqual(await volume.tree.getxattr(f, ACCESS_XATTR), named);
    assert.deepEqual(await volume.tree.listxattr(f), [ACCESS_XATTR]);
    await volume.tree.setattr(root, f, { mode: 0o640 });
    assert.deepEqual(aclId(f), [2n, 0n, 0o640n]);
    assert.equal(fromXattr(await volume.tree.getxattr(f, ACCESS_XATTR)).mask, 4);
    assert.deepEqual(await volume.tree.getxattr(g, ACCESS_XATTR), named, 'rules never change');
    await assert.rejects(volume.tree.setxattr(user(9), f, ACCESS_XATTR, named, 0), { code: 'EPERM' });
    await volume.tree.removexattr(root, f, ACCESS_XATTR);
    assert.deepEqual(aclId(f), [0n, 0n, 0o640n]);
    await assert.rejects(volume.tree.getxattr(f, ACCESS_XATTR), { code: 'ENODATA' });
  });

  test('a minimal access list is only a mode', async () => {
    const ino = await file();
    await volume.tree.setxattr(root, ino, ACCESS_XATTR, minimal, 0);
    assert.deepEqual([aclId(ino), rules()], [[0n, 0n, 0o750n], 0]);
  });

  test('a default list is inherited and stands for the umask', async () => {
    const { ino } = await volume.tree.mkdir(root, 1n, bytes('d'), 0o777);
    await volume.tree.setxattr(root, ino, DEFAULT_XATTR, named, 0);
    assert.deepEqual(aclId(ino), [0n, 1n, 0o755n]);
    const child = await file('f', ino);
    assert.deepEqual(aclId(child), [2n, 0n, 0o664n]);
    const wanted = acl(entry(1, 6), entry(2, 7, 1000), entry(4, 5), entry(0x10, 6), entry(0x20, 4));
    assert.deepEqual(await volume.tree.getxattr(child, ACCESS_XATTR), wanted);
    const sub = await volume.tree.mkdir(root, ino, bytes('s'), 0o777);
    assert.deepEqual([sub.defaultAcl, sub.accessAcl], [1, 1]);
    assert.deepEqual(await volume.tree.getattr(sub.ino), sub);
    const link = await volume.tree.symlink(root, ino, bytes('l'), bytes('x'));
    assert.deepEqual([link.defaultAcl, link.accessAcl, link.mode], [0, 0, 0o777]);
    assert.deepEqual(await volume.violations(), []);
  });

  test('a minimal default list is inherited as mode bits', async () => {
    const { ino } = await volume.tree.mkdir(root, 1n, bytes('d'), 0o777);
    await volume.tree.setxattr(root, ino, DEFAULT_XATTR, minimal, 0);
    assert.deepEqual(aclId(await file('f', ino)), [0n, 0n, 0o640n]);
    const sub = await volume.tree.mkdir(root, ino, bytes('s'), 0o777);
    assert.deepEqual([sub.mode, sub.defaultAcl, sub.accessAcl], [0o750, 1, 0]);
  });

  test('damaged lists are refused', async () => {
    const ino = await file();
    const set = (value: Buffer, name = ACCESS_XATTR) => volume.tree.setxattr(root, ino, name, value, 0);
    await assert.rejects(set(Buffer.alloc(3)), { code: 'EINVAL' });
    await assert.rejects(set(Buffer.alloc(7)), { code: 'EINVAL' });
    await assert.rejects(set(Buffer.from([3, 0, 0, 0])), { code: 'ENOTSUP' });
    await assert.rejects(set(acl(entry(0x40, 7))), { code: 'EINVAL' });
    await assert.rejects(set(named, DEFAULT_XATTR), { code: 'EACCES' });
    assert.deepEqual(toXattr(fromXattr(named)), named);
  });
});

test('volumes of the original client show the attributes of their manifests', async () => {
  volume = await treeVolume();
  const volumes = join(import.meta.dirname, '../../volumes');
  const folder = await mkdtemp(join(tmpdir(), 'pageseal-xattr-'));
  let seen = 0;
  for (const name of ['acl', 'plain']) {
    const file = join(folder, `${name}.db`);
    await cp(join(volumes, name, 'meta.db'), file);
    const engine = await openSqlite({ file, tablePrefix: '', readOnly: true });
    const meta = await openMeta({ engine, readOnly: true, log, removeSlice: async () => undefined });
    const { entries } = JSON.parse(await readFile(join(volumes, name, 'manifest.json'), 'utf8')) as {
      entries: Record<string, { ino: number; xattrs?: Record<string, string> }>;
    };
    for (const [path, { ino, xattrs = {} }] of Object.entries(entries)) {
      const names = await meta.listxattr(BigInt(ino));
      assert.deepEqual(names.sort(), Object.keys(xattrs).sort(), path);
      for (const each of names)
        assert.equal((await meta.getxattr(BigInt(ino), each)).toString('base64'), xattrs[each], `${path} ${each}`);
      seen += names.length;
    }
    await meta.close();
  }
  assert.ok(seen > 10);
  await rm(folder, { recursive: true });
});
