// When a mount compacts, and how it ends: metadata and pages that wait as long as the test likes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LedgerEntry } from '../../../src/base/words.ts';
import type { CompactionMeta } from '../../../src/filesystem/meta/compaction.ts';
import { Compactions } from '../../../src/filesystem/vfs/compactions.ts';
import { MemoryPages, silent } from './doubles.ts';

const slice = (id: bigint, pos: number) => ({ pos, id, size: 10, off: 0, len: 10 });

/** Every chunk has two records of pages that are there; `gate` holds up what is written. */
async function setUp(gate: Promise<void>, background = true) {
  const pages = new MemoryPages(64);
  const ledger: LedgerEntry[] = [];
  for (const id of [1n, 2n]) ledger.push(await pages.write({ sliceId: id, indx: 0, length: 10 }, Buffer.alloc(10, 1)));
  pages.beforeWrite = () => gate;
  const [read, replaced, abandoned] = [[] as string[], [] as string[], [] as bigint[]];
  let next = 10n;
  const meta: CompactionMeta = {
    readChunk: async (ino, indx) => {
      read.push(`${ino}/${indx}`);
      return { slices: [slice(1n, 0), slice(2n, 20)], ledger };
    },
    newSliceId: async () => next++,
    replaceRecords: async ({ ino, indx }) => {
      replaced.push(`${ino}/${indx}`);
      return [];
    },
    removeReplaced: async () => undefined,
    abandonSlice: async ({ id }) => void abandoned.push(id),
  };
  return { compactions: new Compactions({ meta, pages, log: silent, background }), read, replaced, abandoned };
}

const turns = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await new Promise(setImmediate);
};

test('one compaction of a chunk at a time, two in all; the rest waits its turn', async () => {
  const gate = Promise.withResolvers<void>();
  const { compactions, read, replaced } = await setUp(gate.promise);
  for (let i = 0; i < 3; i++) for (const ino of [5n, 6n, 7n]) compactions.seen(ino, 0, 5);
  await turns();
  assert.deepEqual(read, ['5/0', '6/0']);
  gate.resolve();
  await turns();
  assert.deepEqual(replaced.sort(), ['5/0', '6/0', '7/0']);
  await compactions.stop(1000);
});

test('few records are left alone, and each hundred that writes pass is looked at once', async () => {
  const { compactions, read } = await setUp(Promise.resolve());
  compactions.seen(1n, 0, 4);
  for (let records = 1; records <= 98; records++) void compactions.appended(1n, 0, records, 1);
  void compactions.appended(1n, 0, 203, 64);
  await turns();
  assert.deepEqual(read, ['1/0']);
  void compactions.appended(2n, 0, 99, 1);
  void compactions.appended(3n, 0, 351, 1);
  await turns();
  assert.deepEqual(read, ['1/0', '2/0', '3/0']);
  await compactions.stop(1000);
});

test('without background work only a write that left far too many waits', async () => {
  const { compactions, replaced } = await setUp(Promise.resolve(), false);
  compactions.seen(1n, 0, 2400);
  assert.equal(compactions.appended(1n, 0, 2499, 1), undefined);
  await turns();
  assert.deepEqual(replaced, []);
  await compactions.appended(1n, 0, 2500, 1);
  assert.deepEqual(replaced, ['1/0']);
  await compactions.stop(1000);
});

test('the end does not wait for a store that hangs, and takes on nothing more', async () => {
  const gate = Promise.withResolvers<void>();
  const { compactions, read, replaced, abandoned } = await setUp(gate.promise);
  for (const ino of [5n, 6n, 7n]) compactions.seen(ino, 0, 5);
  await turns();
  await compactions.stop(10);
  compactions.seen(8n, 0, 5);
  assert.equal(await compactions.appended(8n, 0, 2500, 1), undefined);
  gate.resolve();
  await turns();
  assert.deepEqual(read, ['5/0', '6/0']);
  assert.equal(replaced.length + abandoned.length, 2);
});
