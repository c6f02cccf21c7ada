// Quotas as a tool handles them: what they need is turned on and counted, sets are exact while clients have changes
// pending, damage is seen and mended.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OwnerKind } from '../../src/filesystem/meta/owner-rows.ts';
import { checkQuotas, deleteQuotaOf, getQuotaOf, listQuotas, setQuotaOf } from '../../src/filesystem/quota.ts';
import { makeTemp } from '../harness/temp.ts';
import { root, TestVolume } from './meta/volume.ts';

const temp = makeTemp();
const name = (text: string): Buffer => Buffer.from(text);
const top = { kind: 'directory', path: '/top' } as const;

async function planted(): Promise<{ volume: TestVolume; close(): Promise<void> }> {
  const volume = await TestVolume.make(temp, { trashDays: 1 });
  const meta = await volume.open();
  const { ino } = await meta.mkdir(root, 1n, name('top'), 0o755);
  const { attr } = await meta.create({ ...root, uid: 5, gid: 6 }, ino, name('f'), 0o644, true);
  await meta.truncate(root, attr.ino, 10_000n);
  await meta.link(root, attr.ino, ino, name('g'));
  return { volume, close: () => meta.close() };
}

test('a quota is exact although the client has everything pending, and stays so', async () => {
  const { volume, close } = await planted();
  const { quota, notes } = await setQuotaOf(volume.url, top, { maxSpace: 1n << 20n });
  assert.deepEqual(quota, { of: '/top', maxSpace: 1n << 20n, maxInodes: 0n, usedSpace: 24_576n, usedInodes: 2n });
  assert.deepEqual(notes, []);
  await setQuotaOf(volume.url, top, { maxInodes: 7n });
  assert.deepEqual(await getQuotaOf(volume.url, top), { ...quota, maxInodes: 7n });
  assert.deepEqual(await checkQuotas(volume.url, {}, false), []);
  await close();
  assert.deepEqual(await volume.violations(), []);
});

test('sums per directory that were not kept are counted when a quota needs them', async () => {
  const { volume, close } = await planted();
  await close();
  volume.set('DirStats', false);
  const meta = await volume.open();
  await meta.mkdir(root, 1n, name('uncounted'), 0o755);
  await meta.close();
  assert.match((await volume.violations()).join(), /sums of a directory/);
  assert.equal((await setQuotaOf(volume.url, top, { maxInodes: 7n })).quota.usedInodes, 2n);
  assert.deepEqual(await volume.violations(), []);
});

test('the first limit of a user has everybody counted', async () => {
  const { volume, close } = await planted();
  await close();
  const { quota } = await setQuotaOf(volume.url, { kind: 'user', id: 5n }, { maxSpace: 1n << 30n });
  assert.deepEqual(quota, { of: 'uid:5', maxSpace: 1n << 30n, maxInodes: -1n, usedSpace: 12_288n, usedInodes: 1n });
  assert.deepEqual(volume.rows('SELECT qtype, qkey, used_inodes FROM jfs_user_group_quota ORDER BY 1, 2'), [
    [OwnerKind.user, 0n, 1n],
    [OwnerKind.user, 5n, 1n],
    [OwnerKind.group, 0n, 1n],
    [OwnerKind.group, 6n, 1n],
  ]);
  const meta = await volume.open();
  await meta.unlink(root, (await meta.lookup(root, 1n, name('top'))).ino, name('f'));
  await meta.close();
  assert.deepEqual(await volume.violations(), []);
  assert.deepEqual(
    (await listQuotas(volume.url)).map(({ of }) => of),
    ['uid:5'],
  );
  await deleteQuotaOf(volume.url, { kind: 'user', id: 5n });
  assert.deepEqual(await listQuotas(volume.url), []);
});

test('rows that are wrong, missing or too many are told, and mended', async () => {
  const { volume, close } = await planted();
  await close();
  await setQuotaOf(volume.url, { kind: 'group', id: 6n }, { maxInodes: 9n });
  await setQuotaOf(volume.url, top, { maxInodes: 9n });
  volume.change(`UPDATE jfs_dir_quota SET used_inodes = -3; DELETE FROM jfs_user_group_quota WHERE qkey = 5;
    UPDATE jfs_user_group_quota SET used_space = 1 WHERE qkey = 6; INSERT INTO jfs_user_group_quota VALUES (1, 99, -1, -1, 4096, 1)`);
  const wrong = await checkQuotas(volume.url, {}, false);
  assert.deepEqual(wrong.map(({ of }) => of).sort(), ['/top', 'gid:6', 'uid:5', 'uid:99']);
  assert.deepEqual(
    (await checkQuotas(volume.url, { directory: '/top' }, true)).map(({ of }) => of),
    ['/top'],
  );
  assert.equal((await checkQuotas(volume.url, { owners: true }, true)).length, 3);
  assert.deepEqual(await checkQuotas(volume.url, {}, false), []);
  assert.equal((await getQuotaOf(volume.url, { kind: 'group', id: 6n })).maxInodes, 9n);
  assert.deepEqual(await volume.violations(), []);
});

test('what cannot have a quota', async () => {
  const { volume, close } = await planted();
  await close();
  const set = (path: string): Promise<unknown> =>
    setQuotaOf(volume.url, { kind: 'directory', path }, { maxInodes: 1n });
  await assert.rejects(set('/missing'), { code: 'not-found' });
  await assert.rejects(set('/top/f'), { code: 'ENOTDIR' });
  await assert.rejects(set('/.trash'), { code: 'refused' });
  await assert.rejects(getQuotaOf(volume.url, top), { code: 'not-found' });
  await assert.rejects(checkQuotas(volume.url, { directory: '/top' }, true), { code: 'not-found' });
});
