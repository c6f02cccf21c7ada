// Rows that copying a range without its data leaves: records split at chunk borders, references, zeros, what is refused.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ErrorCode, hasCode } from '../../../src/base/errors.ts';
import type { Caller } from '../../../src/base/words.ts';
import type { OpenedMeta } from '../../../src/filesystem/meta/open-meta.ts';
import { CHUNK_SIZE, MAX_LENGTH, ROOT } from '../../../src/filesystem/meta/types.ts';
import { makeTemp } from '../../harness/temp.ts';
import { root, TestVolume } from './volume.ts';

const temp = makeTemp();
const is = (code: ErrorCode) => (thrown: unknown) => hasCode(thrown, code);
const CHUNK = BigInt(CHUNK_SIZE);

async function file(meta: OpenedMeta, name: string): Promise<bigint> {
  return (await meta.create(root, ROOT, Buffer.from(name), 0o644, true)).attr.ino;
}

async function write(meta: OpenedMeta, ino: bigint, indx: number, pos: number, len: number): Promise<bigint> {
  const id = await meta.newSliceId();
  await meta.commitSlices(root, ino, [{ indx, slice: { pos, id, size: len, off: 0, len }, ledger: [], mtime: 1n }]);
  return id;
}

const recordsOf = async (meta: OpenedMeta, ino: bigint, indx: number) =>
  (await meta.readChunk(ino, indx)).slices.map(({ pos, id, size, off, len }) => [pos, id, size, off, len]);

test('records are split at chunk borders, holes are zeros only where something lies below', async () => {
  const volume = await TestVolume.make(temp, { trashDays: 0 });
  const meta = await volume.open();
  const [from, to] = [await file(meta, 'from'), await file(meta, 'to')];
  const a = await write(meta, from, 0, 100, 1000);
  const b = await write(meta, from, 0, 300, 200);
  const below = await write(meta, to, 2, 0, 4000);
  const size = BigInt(1500);
  const place = (ino: bigint, offset: bigint) => ({ ino, offset });
  const done = await meta.copyRange(root, place(from, 50n), place(to, 2n * CHUNK - 300n), size);
  assert.equal(done.copied, 1050n, 'up to the end of the source');
  assert.equal(done.attr.length, 2n * CHUNK + 4000n);
  assert.deepEqual(await recordsOf(meta, to, 1), [
    [CHUNK_SIZE - 300, 0n, 0, 0, 50],
    [CHUNK_SIZE - 250, a, 1000, 0, 200],
    [CHUNK_SIZE - 50, b, 200, 0, 50],
  ]);
  assert.deepEqual(await recordsOf(meta, to, 2), [
    [0, below, 4000, 0, 4000],
    [0, b, 200, 50, 150],
    [150, a, 1000, 400, 600],
  ]);
  assert.deepEqual(volume.rows('SELECT chunkid, refs FROM jfs_chunk_ref ORDER BY chunkid'), [
    [a, 3n],
    [b, 3n],
    [below, 1n],
  ]);
  // A hole of the source: the target's chunk without a row gets none, the one with a row a zero record.
  await meta.truncate(root, from, 8n * CHUNK);
  await meta.copyRange(root, place(from, 3n * CHUNK), place(to, 2n * CHUNK + 10n), 4n * CHUNK);
  assert.deepEqual((await recordsOf(meta, to, 2)).at(-1), [10, 0n, 0, 0, 3990]);
  assert.deepEqual(await meta.chunkIndexes(to, 3, 9), []);
  assert.equal((await meta.getattr(to)).length, 6n * CHUNK + 10n);
  for (const name of ['from', 'to']) await meta.unlink(root, ROOT, Buffer.from(name));
  await meta.close();
  assert.deepEqual(volume.rows('jfs_chunk_ref'), []);
  assert.deepEqual(volume.removed.sort(), [a, b, below].sort());
  assert.deepEqual(await volume.violations(), []);
});

test('within one file, apart; overlapping, too long, not a file, append-only: refused', async () => {
  const volume = await TestVolume.make(temp, { capacity: 1n << 30n });
  const meta = await volume.open();
  const ino = await file(meta, 'f');
  const id = await write(meta, ino, 0, 0, 5000);
  const copy = (from: bigint, to: bigint, size: bigint, target = ino) =>
    meta.copyRange(root, { ino, offset: from }, { ino: target, offset: to }, size);
  assert.equal((await copy(0n, 5000n, 5000n)).attr.length, 10_000n);
  assert.deepEqual(await recordsOf(meta, ino, 0), [
    [0, id, 5000, 0, 5000],
    [5000, id, 5000, 0, 5000],
  ]);
  await assert.rejects(copy(0n, 4999n, 5000n), is('EINVAL'));
  await assert.rejects(copy(0n, -1n, 1n), is('EINVAL'));
  await assert.rejects(copy(0n, MAX_LENGTH, 1n), is('EFBIG'));
  await assert.rejects(copy(0n, 1n << 31n, 100n), is('ENOSPC'));
  await assert.rejects(copy(0n, 0n, 1n, ROOT), is('EINVAL'));
  await assert.rejects(copy(0n, 0n, 1n, 999n), is('ENOENT'));
  assert.equal((await copy(10_000n, 0n, 1n)).copied, 0n);
  const other = await file(meta, 'g');
  volume.change(`UPDATE jfs_node SET flags = 2 WHERE inode = ${other}`);
  await assert.rejects(copy(0n, 0n, 1n, other), is('EPERM'));
  await meta.close();
  assert.deepEqual(volume.rows('SELECT refs FROM jfs_chunk_ref'), [[2n]]);
  assert.deepEqual(await volume.violations(), []);
});

test('a copy that was sent again is made once; a large one ends where a call has enough', async () => {
  const volume = await TestVolume.make(temp);
  const meta = await volume.open();
  const [from, to] = [await file(meta, 'from'), await file(meta, 'to')];
  for (let indx = 0; indx < 300; indx++) await write(meta, from, indx, 7, 10);
  await meta.truncate(root, from, 1000n * CHUNK);
  const asked = (unique: bigint, resent: boolean): Caller => ({ ...root, request: { mount: 7n, unique, resent } });
  const copy = (caller: Caller, at: bigint) =>
    meta.copyRange(caller, { ino: from, offset: at }, { ino: to, offset: at }, MAX_LENGTH - at);
  const first = await copy(asked(10n, false), 0n);
  assert.equal(first.copied, 256n * CHUNK);
  assert.deepEqual(await copy(asked(10n, true), 0n), first);
  assert.deepEqual(volume.rows('SELECT DISTINCT refs FROM jfs_chunk_ref WHERE chunkid <= 256'), [[2n]]);
  assert.equal((await copy(root, first.copied)).copied, 744n * CHUNK);
  assert.deepEqual(volume.rows('SELECT DISTINCT refs FROM jfs_chunk_ref'), [[2n]]);
  await meta.close();
  assert.deepEqual(await volume.violations(), []);
});
