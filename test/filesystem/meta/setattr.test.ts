// setattr: what is stored, what is answered, what is refused.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import type { Caller } from '../../../src/base/words.ts';
import type { AtimeMode } from '../../../src/filesystem/meta/atime.ts';
import type { AttrChange } from '../../../src/filesystem/meta/types.ts';
import { bytes, root, type TreeVolume, treeVolume, user } from './tree-volume.ts';

let volume: TreeVolume;
beforeEach(async () => {
  volume = await treeVolume({ trashDays: 0 });
});
afterEach(() => volume.close());

async function file(mode: number, owner: Caller = user(5)): Promise<bigint> {
  const { attr } = await volume.tree.create(owner, 1n, bytes('f'), 0o600, true);
  volume.exec('UPDATE jfs_node SET mode = ?, ctime = 5, ctimensec = 0 WHERE inode = ?', BigInt(mode), attr.ino);
  return attr.ino;
}
const mode = (ino: bigint) => Number(volume.row('SELECT mode FROM jfs_node WHERE inode = ?', ino)?.[0]);
const set = (caller: Caller, ino: bigint, change: AttrChange) => volume.tree.setattr(caller, ino, change);
/** As the kernel's requests come: already judged, with all groups. */
const kernel = (caller: Caller): Caller => ({ ...caller, vouched: true });

test('what changes nothing writes nothing', async () => {
  const ino = await file(0o644);
  const before = volume.rows('SELECT * FROM jfs_node');
  const attr = await set(user(5), ino, { mode: 0o644, uid: 5, gid: 5 });
  assert.deepEqual(volume.rows('SELECT * FROM jfs_node'), before);
  assert.equal(attr.ctime, 5000n);
  await set(user(5), ino, {});
  assert.deepEqual(volume.rows('SELECT * FROM jfs_node'), before);
});

test('what is answered is what is stored', async () => {
  const ino = await file(0o644);
  const attr = await set(root, ino, {
    mode: 0o4711,
    uid: 8,
    gid: 9,
    atime: 1_700_000_000_123_456_789n,
    mtime: 'now',
    flags: 0x20,
  });
  assert.deepEqual(await volume.tree.getattr(ino), attr);
  assert.deepEqual(
    [attr.mode, attr.uid, attr.gid, attr.flags, attr.atime],
    [0o711, 8, 9, 0x20, 1_700_000_000_123_456_789n],
  );
  assert.deepEqual(volume.row('SELECT atime, atimensec FROM jfs_node WHERE inode = ?', ino), [
    1_700_000_000_123_456n,
    789n,
  ]);
  assert.ok(attr.ctime === attr.mtime && attr.ctime > 5000n);
});

test('times before 1970 are kept as 1970', async () => {
  const ino = await file(0o644);
  const attr = await set(root, ino, { mtime: -5n });
  assert.equal(attr.mtime, 0n);
  assert.deepEqual(volume.row('SELECT mtime, mtimensec FROM jfs_node WHERE inode = ?', ino), [0n, 0n]);
});

for (const [before, caller, after] of [
  [0o6755, root, 0o755],
  [0o6745, root, 0o2745],
  [0o6755, user(5), 0o755],
  [0o6745, user(5), 0o2745],
] as const)
  test(`chown by ${caller.uid} turns ${before.toString(8)} into ${after.toString(8)}`, async () => {
    const ino = await file(before);
    await set(caller, ino, { gid: 5 });
    assert.equal(mode(ino), after);
  });

test('chown leaves the bits of a directory alone', async () => {
  const { ino } = await volume.tree.mkdir(root, 1n, bytes('d'), 0o777);
  volume.exec('UPDATE jfs_node SET mode = ? WHERE inode = ?', 0o6777n, ino);
  assert.equal((await set(root, ino, { uid: 4, gid: 4 })).mode, 0o6777);
});

test('who may change what', async () => {
  const ino = await file(0o640);
  const refused: [code: string, Caller, AttrChange][] = [
    ['EPERM', user(6), { mode: 0o600 }],
    ['EPERM', user(5), { uid: 6 }],
    ['EPERM', user(6), { gid: 6 }],
    ['EPERM', user(5), { gid: 77 }],
    ['EACCES', user(6), { mtime: 'now' }],
    ['EACCES', user(6), { mtime: 5n }],
    ['EPERM', user(6), { flags: 0x20 }],
    ['EPERM', user(5), { flags: 1 }],
  ];
  for (const [code, caller, change] of refused)
    await assert.rejects(set(caller, ino, change), { code }, JSON.stringify(code));
  volume.exec('UPDATE jfs_node SET uid = 0, mode = 438 WHERE inode = ?', ino);
  await assert.rejects(set(user(6), ino, { mtime: 5n }), { code: 'EPERM' }, 'times of a file of root');
  await set(user(6), ino, { mtime: 'now' });
  await assert.rejects(set(root, 999n, { mode: 1 }), { code: 'ENOENT' });
  await assert.rejects(set(root, 0x7fffffff10000000n, { mode: 1 }), { code: 'EPERM' });
});

test('a member through the kernel keeps what the kernel allowed', async () => {
  const ino = await file(0o664);
  await set(kernel(user(6)), ino, { mtime: 5n });
  await set(kernel(user(5)), ino, { gid: 77 });
  assert.equal((await set(kernel(user(5)), ino, { mode: 0o2775 })).mode, 0o2775);
});

test('a writer who is not the owner clears set-id bits and nothing else', async () => {
  const ino = await file(0o6755);
  assert.equal((await set(user(6), ino, { mode: 0o755 })).mode, 0o755);
  await assert.rejects(set(user(6), ino, { mode: 0o4755 }), { code: 'EPERM' });
});

test('chmod by a stranger to the group drops setgid', async () => {
  const ino = await file(0o755);
  volume.exec('UPDATE jfs_node SET gid = 50 WHERE inode = ?', ino);
  assert.equal((await set(user(5), ino, { mode: 0o2755 })).mode, 0o755);
  assert.equal((await set(root, ino, { mode: 0o2755 })).mode, 0o2755);
});

test('an immutable node keeps owner, mode and times until root takes the flag', async () => {
  const ino = await file(0o644);
  await set(root, ino, { flags: 1 });
  for (const change of [{ mode: 0o600 }, { uid: 7 }, { mtime: 5n }])
    await assert.rejects(set(root, ino, change), { code: 'EPERM' });
  await set(root, ino, { flags: 0 });
  await set(root, ino, { mode: 0o600 });
});

test('atime alone is moved by a look, when it is due', async () => {
  const ino = await file(0o644);
  const hour = 3_600_000_000_000n;
  const looked = async (atime: bigint, mtime: bigint, mode: AtimeMode): Promise<boolean> => {
    const before = await set(root, ino, { atime, mtime });
    await volume.tree.accessed(ino, mode);
    const after = await volume.tree.getattr(ino);
    assert.deepEqual({ ...after, atime: 0n }, { ...before, atime: 0n }, 'nothing else');
    return after.atime !== before.atime;
  };
  const now = BigInt(Date.now()) * 1_000_000n;
  const [recent, later] = [now + hour, now + 2n * hour];
  assert.equal(await looked(1n, 2n, 'noatime'), false);
  assert.equal(await looked(1n, 2n, 'relatime'), true);
  assert.equal(await looked(recent, later, 'relatime'), true, 'not later than the change');
  assert.equal(await looked(later, recent, 'relatime'), false);
  assert.equal(await looked(later, recent, 'strictatime'), false, 'not a second old');
  assert.equal(await looked(now - 25n * hour, 5n, 'strictatime'), true);
});
