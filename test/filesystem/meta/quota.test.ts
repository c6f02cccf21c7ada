// Limits of directories, users and groups: who gets over which, and who does not although it is close.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../../src/base/errors.ts';
import type { Caller } from '../../../src/base/words.ts';
import type { OpenedMeta } from '../../../src/filesystem/meta/open-meta.ts';
import { OwnerKind, setOwnerLimit } from '../../../src/filesystem/meta/owner-rows.ts';
import { setQuota } from '../../../src/filesystem/meta/quota-rows.ts';
import { type Ino, NodeType } from '../../../src/filesystem/meta/types.ts';
import { makeTemp } from '../../harness/temp.ts';
import { quotaVolume } from './quota-volume.ts';
import { root } from './volume.ts';

const temp = makeTemp();
const name = (text: string): Buffer => Buffer.from(text);
const user = (uid: number, gid = uid): Caller => ({ ...root, uid, gid });
const over = (error: unknown): boolean => hasCode(error, 'EDQUOT');
const KIB = 1024n;

const make = async (meta: OpenedMeta | undefined, parent: Ino, text: string, caller = root): Promise<Ino> =>
  (await there(meta).create(caller, parent, name(text), 0o644, true)).attr.ino;

const directory = async (meta: OpenedMeta | undefined, parent: Ino, text: string): Promise<Ino> =>
  (await there(meta).mkdir(root, parent, name(text), 0o777)).ino;

function there<T>(value: T | undefined): T {
  assert.ok(value !== undefined);
  return value;
}

test('two clients together stay below the quota of a directory, to the byte', async () => {
  let [top, sub] = [0n, 0n];
  const { clients, close, wrong } = await quotaVolume(temp, {}, async (meta, change) => {
    top = await directory(meta, 1n, 'top');
    sub = await directory(meta, top, 'sub');
    await change(setQuota(top, { maxSpace: 64n * KIB, maxInodes: 4n }));
  });
  const [ours, theirs] = [there(clients[0]), there(clients[1])];
  const file = await make(theirs, sub, 'f');
  await ours.truncate(root, file, 56n * KIB);
  await assert.rejects(theirs.truncate(root, file, 60n * KIB + 1n), over);
  await assert.rejects(theirs.fallocate(root, file, 0, 60n * KIB, 1n), over);
  await theirs.truncate(root, file, 60n * KIB);
  await assert.rejects(make(ours, top, 'g'), over, 'no space for an inode');
  await theirs.truncate(root, file, 1n);
  await make(ours, top, 'g');
  await make(theirs, sub, 'h');
  await assert.rejects(make(ours, top, 'i'), over, 'four inodes are there');
  await assert.rejects(ours.link(root, file, sub, name('again')), over);
  await theirs.unlink(root, sub, name('h'));
  await ours.link(root, file, sub, name('again'));
  assert.deepEqual(await wrong(), []);
  assert.deepEqual(await close(), []);
});

test('a file with two names below a quota grows twice there; what moves in counts whole, within it not at all', async () => {
  let [top, sub, outside] = [0n, 0n, 0n];
  const { clients, close } = await quotaVolume(temp, {}, async (meta, change) => {
    top = await directory(meta, 1n, 'top');
    sub = await directory(meta, top, 'sub');
    outside = await directory(meta, 1n, 'outside');
    await change(setQuota(top, { maxSpace: 40n * KIB }));
  });
  const [ours, theirs] = [there(clients[0]), there(clients[1])];
  const file = await make(ours, top, 'f');
  await ours.link(root, file, sub, name('g'));
  await assert.rejects(theirs.truncate(root, file, 17n * KIB + 1n), over, 'twice 20 KiB and the directory');
  await theirs.truncate(root, file, 16n * KIB);
  await ours.rename(root, sub, name('g'), top, name('h'), 0);
  const tree = await directory(theirs, outside, 'tree');
  await make(ours, tree, 'x');
  await assert.rejects(ours.rename(root, outside, name('tree'), top, name('tree'), 0), over);
  await ours.unlink(root, top, name('h'));
  await ours.rename(root, outside, name('tree'), top, name('tree'), 0);
  await theirs.rename(root, top, name('tree'), sub, name('tree'), 0);
  assert.deepEqual(await close(), []);
});

test('a directory that goes leaves what was pending for it to those above', async () => {
  for (const trashDays of [0, 1]) {
    let [top, sub] = [0n, 0n];
    const { clients, close } = await quotaVolume(temp, { trashDays }, async (meta, change) => {
      top = await directory(meta, 1n, 'top');
      sub = await directory(meta, top, 'sub');
      await make(meta, sub, 'f');
      await change(setQuota(top, { maxSpace: 1n << 30n }), setQuota(1n, { maxInodes: 100n }));
    });
    await there(clients[0]).unlink(root, sub, name('f'));
    await there(clients[1]).rmdir(root, top, name('sub'));
    await there(clients[0]).rmdir(root, 1n, name('top'));
    assert.deepEqual(await close(), []);
  }
});

test('users and groups: files and directories count for them, links and the trash change nothing', async () => {
  let shared = 0n;
  const { clients, close, volume, wrong } = await quotaVolume(
    temp,
    { trashDays: 1, owners: true },
    async (meta, change) => {
      shared = await directory(meta, 1n, 'shared');
      await change(setOwnerLimit({ kind: OwnerKind.user, id: 1000n }, { maxSpace: 32n * KIB, maxInodes: 3n }));
      await change(setOwnerLimit({ kind: OwnerKind.group, id: 7n }, { maxInodes: 2n }));
    },
  );
  const [ours, theirs] = [there(clients[0]), there(clients[1])];
  const file = await make(ours, shared, 'f', user(1000));
  await theirs.mkdir(user(1000), shared, name('d'), 0o755);
  await assert.rejects(theirs.truncate(root, file, 28n * KIB + 1n), over, 'whoever writes');
  await theirs.truncate(root, file, 28n * KIB);
  for (const text of ['l', 'm', 'n']) await ours.symlink(user(1000), shared, name(text), name('x'));
  await ours.mknod(user(1000), shared, name('p'), NodeType.fifo, 0o600, 0);
  await ours.link(user(1000), file, shared, name('again'));
  await assert.rejects(make(ours, shared, 'g', user(1000)), over);
  await ours.unlink(root, shared, name('again'));
  await ours.unlink(root, shared, name('f'));
  await assert.rejects(make(ours, shared, 'g', user(1000)), over, 'the trash counts');
  assert.deepEqual(await wrong(), []);

  await make(ours, shared, 'one', user(1, 7));
  const two = await make(theirs, shared, 'two', user(2, 7));
  await assert.rejects(make(ours, shared, 'three', user(3, 7)), over);
  const four = await make(ours, shared, 'four', user(2, 8));
  await assert.rejects(theirs.setattr(user(2, 7), four, { gid: 7 }), over, 'what changes hands too');
  await theirs.setattr(root, two, { gid: 8 });
  await ours.setattr(root, four, { gid: 7, uid: 5 });
  assert.deepEqual(await close(), []);
  const rows = volume.rows(
    'SELECT * FROM jfs_user_group_quota WHERE qkey = 7 OR qtype = 1 AND qkey = 1000 ORDER BY 1, 2',
  );
  assert.deepEqual(rows, [
    [1n, 1000n, 32n * KIB, 3n, 32n * KIB, 2n],
    [2n, 7n, -1n, 2n, 8n * KIB, 2n],
  ]);
});
