// Rows that a compaction leaves, with the trash on and off; what happens when the chunk changed; slices kept for later.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LedgerEntry } from '../../../src/base/words.ts';
import { planCompaction } from '../../../src/filesystem/meta/compaction-plan.ts';
import type { OpenedMeta } from '../../../src/filesystem/meta/open-meta.ts';
import { ROOT } from '../../../src/filesystem/meta/types.ts';
import { makeTemp } from '../../harness/temp.ts';
import { root, TestVolume } from './volume.ts';

const temp = makeTemp();
const PAGE = 100;

const row = (sliceId: bigint, indx = 0): LedgerEntry => ({
  sliceId,
  indx,
  tag: Buffer.alloc(16),
  pageKey: Buffer.alloc(61),
});

/** A file whose chunk 0 has three records of one slice each. */
async function threeRecords(meta: OpenedMeta): Promise<bigint> {
  const { attr } = await meta.create(root, ROOT, Buffer.from('file'), 0o644, true);
  for (const pos of [0, 50, 100]) {
    const id = await meta.newSliceId();
    const slice = { pos, id, size: PAGE, off: 0, len: PAGE };
    await meta.commitSlices(root, attr.ino, [{ indx: 0, slice, ledger: [row(id)], mtime: 0n }]);
  }
  return attr.ino;
}

async function prepared(meta: OpenedMeta, ino: bigint) {
  const plan = planCompaction((await meta.readChunk(ino, 0)).slices);
  assert.ok(plan);
  const id = await meta.newSliceId();
  return { ino, indx: 0, plan, id, ledger: [row(id), row(id, 1)] };
}

const idsOf = async (meta: OpenedMeta, ino: bigint) => (await meta.readChunk(ino, 0)).slices.map(({ id }) => id);

test('with the trash on, old slices keep their references in one delslices row until their time has come', async () => {
  const volume = await TestVolume.make(temp, { trashDays: 2 });
  const meta = await volume.open();
  const ino = await threeRecords(meta);
  const replacement = await prepared(meta, ino);
  // Somebody appends meanwhile: it stays behind the new slice.
  const late = await meta.newSliceId();
  const slice = { pos: 7, id: late, size: 1, off: 0, len: 1 };
  await meta.commitSlices(root, ino, [{ indx: 0, slice, ledger: [row(late)], mtime: 0n }]);
  const before = await meta.getattr(ino);
  assert.deepEqual(await meta.replaceRecords(replacement), []);
  assert.deepEqual(await meta.getattr(ino), before);
  const { id } = replacement;
  assert.deepEqual((await meta.readChunk(ino, 0)).slices, [{ pos: 0, id, size: 200, off: 0, len: 200 }, slice]);
  assert.deepEqual(volume.rows('SELECT chunkid, hex(slices) FROM jfs_delslices'), [
    [id, [1, 2, 3].map((old) => `${'0'.repeat(15)}${old}00000064`).join('')],
  ]);
  assert.deepEqual(volume.rows('SELECT refs FROM jfs_chunk_ref'), [[1n], [1n], [1n], [1n], [1n]]);
  assert.deepEqual(
    (await volume.violations()).filter((text) => !text.includes('sums') && !text.includes('totals')),
    [],
  );
  await meta.runJobs();
  assert.equal(volume.rows('jfs_delslices').length, 1);

  // Two days later.
  volume.change(
    `UPDATE jfs_delslices SET deleted = deleted - 2 * 86400 - 1; DELETE FROM jfs_counter WHERE name = 'lastCleanupTrash'`,
  );
  await meta.runJobs();
  assert.deepEqual(volume.rows('jfs_delslices'), []);
  assert.deepEqual(volume.removed, [1n, 2n, 3n]);
  assert.deepEqual(volume.rows('SELECT chunkid FROM jfs_chunk_ref ORDER BY chunkid'), [[id], [late]]);
  assert.deepEqual(volume.rows('SELECT slice_id, indx FROM pageseal_page ORDER BY 1, 2'), [
    [id, 0n],
    [id, 1n],
    [late, 0n],
  ]);
  await meta.close();
  assert.deepEqual(await volume.violations(), []);
});

test('with the trash off, old slices go at once unless something else refers to them', async () => {
  const volume = await TestVolume.make(temp, { trashDays: 0 });
  const meta = await volume.open();
  const ino = await threeRecords(meta);
  // As a clone or a copied range leaves it.
  volume.change('UPDATE jfs_chunk_ref SET refs = 2 WHERE chunkid = 2');
  const replacement = await prepared(meta, ino);
  const old = await meta.replaceRecords(replacement);
  assert.deepEqual(
    old?.map(({ id }) => id),
    [1n, 2n, 3n],
  );
  assert.deepEqual(volume.removed, []);
  await meta.removeReplaced(old ?? []);
  assert.deepEqual(volume.removed, [1n, 3n]);
  assert.deepEqual(volume.rows('SELECT chunkid, refs FROM jfs_chunk_ref ORDER BY 1'), [
    [2n, 1n],
    [replacement.id, 1n],
  ]);
  assert.deepEqual(volume.rows('jfs_delslices'), []);
  assert.deepEqual(await idsOf(meta, ino), [replacement.id]);
  await meta.close();
});

test('a chunk that begins otherwise by now is left alone, and the new slice goes', async () => {
  const volume = await TestVolume.make(temp, { trashDays: 0 });
  const meta = await volume.open();
  const ino = await threeRecords(meta);
  const [first, second] = [await prepared(meta, ino), await prepared(meta, ino)];
  assert.ok(await meta.replaceRecords(first));
  assert.equal(await meta.replaceRecords(second), undefined);
  await meta.abandonSlice({ id: second.id, size: second.plan.size });
  assert.deepEqual(volume.removed, [second.id]);
  // One that did commit is not abandoned, whatever its compaction believes.
  await meta.abandonSlice({ id: first.id, size: first.plan.size });
  assert.deepEqual(volume.removed, [second.id]);
  assert.deepEqual(await idsOf(meta, ino), [first.id]);
  // Of a file that is gone.
  const third = await meta.newSliceId();
  await meta.unlink(root, ROOT, Buffer.from('file'));
  assert.equal(await meta.replaceRecords({ ...first, id: third }), undefined);
  await meta.close();
  assert.deepEqual(await volume.violations(), []);
});

test('the hourly job takes what an abandoned slice left when its client died', async () => {
  const volume = await TestVolume.make(temp, { trashDays: 0 });
  const meta = await volume.open();
  volume.change('INSERT INTO jfs_chunk_ref VALUES (4000, 100, 0)');
  await meta.runJobs();
  assert.deepEqual([volume.removed, volume.rows('jfs_chunk_ref')], [[4000n], []]);
  await meta.close();
});
