// Reads every row that names a slice, chunks, delayed deletions and counts, into an index, of one moment: on a
// volume in use nothing then looks wrong that is not.
import { setImmediate } from 'node:timers/promises';
import type { OnProgress } from '../../base/progress.ts';
import { type Scope, scopeSql } from '../fsck/checks.ts';
import { bigintAt, bytesAt, numberAt } from '../meta/rows.ts';
import { decodeDeletedSlices, decodeSlices } from '../meta/slices.ts';
import { type Query, query, read, type Snapshot } from '../sql/op.ts';
import { openSnapshot } from '../sql/open-engine.ts';
import type { SliceIndex } from './slice-index.ts';

/** Chunk rows per query: at most 2500 records of 24 bytes each, so tens of megabytes at the very worst. */
const CHUNK_ROWS = 500;
const COUNT_ROWS = 5000;

export interface SliceScan {
  /** Rows that cannot be read, as text: what they name is not in the index. */
  readonly damaged: readonly string[];
  /** Rows of jfs_chunk_ref for id 0: the original client's load of a dump leaves one. */
  readonly zeroRows: number;
}

interface Keyed {
  readonly key: bigint;
}

/** Fills `index`, which is emptied first. With a scope by the chunks of files in it only. */
export async function scanSlices(
  metaUrl: string,
  index: SliceIndex,
  onProgress?: OnProgress,
  scope?: Scope,
): Promise<SliceScan> {
  const snapshot = await openSnapshot(metaUrl);
  try {
    return await scan(snapshot, index, onProgress, scope);
  } finally {
    await snapshot.close();
  }
}

async function scan(
  snapshot: Snapshot,
  index: SliceIndex,
  onProgress: OnProgress | undefined,
  scope: Scope | undefined,
): Promise<SliceScan> {
  index.clear();
  const damaged: string[] = [];
  let done = 0;
  let zeroRows = 0;
  const attempt = (work: () => void): void => {
    try {
      work();
    } catch (thrown) {
      damaged.push(thrown instanceof Error ? thrown.message : String(thrown));
    }
    onProgress?.(++done, undefined);
  };
  const chunkRows = (after: bigint, limit: number): Query<BytesRow> => chunksAfter(after, limit, scope);
  await pages(snapshot, chunkRows, CHUNK_ROWS, ({ what, bytes }) =>
    attempt(() => {
      for (const { id, size } of decodeSlices(bytes, what)) if (id !== 0n) index.addRecord(id, size);
    }),
  );
  if (scope !== undefined) return { damaged, zeroRows };
  await pages(snapshot, delayedRows, CHUNK_ROWS, ({ what, bytes }) =>
    attempt(() => {
      for (const { id, size } of decodeDeletedSlices(bytes, what)) if (id !== 0n) index.addDelayed(id, size);
    }),
  );
  await pages(snapshot, countRows, COUNT_ROWS, ({ key, size, refs }) => {
    if (key === 0n) zeroRows++;
    else index.addCount(key, size, refs);
  });
  return { damaged, zeroRows };
}

/** Every row of a table, in order of its key. */
async function pages<T extends Keyed>(
  snapshot: Snapshot,
  page: (after: bigint, limit: number) => Query<T>,
  limit: number,
  each: (row: T) => void,
): Promise<void> {
  for (let after = -1n; ; ) {
    const [rows] = await snapshot.view(() => read(page(after, limit)));
    for (const row of rows) {
      after = row.key;
      each(row);
    }
    if (rows.length < limit) return;
    // Heartbeats and progress have their turn.
    await setImmediate();
  }
}

interface BytesRow extends Keyed {
  readonly what: string;
  readonly bytes: Buffer;
}

const chunksAfter = (after: bigint, limit: number, scope: Scope | undefined): Query<BytesRow> =>
  query(
    `${scope === undefined ? '' : scopeSql(scope)} SELECT id, inode, indx, BYTES(slices) FROM jfs_chunk WHERE id > ?
      ${scope === undefined ? '' : 'AND inode IN (SELECT inode FROM scope)'} ORDER BY id LIMIT ${limit}`,
    [after],
    (row) => ({
      key: bigintAt(row, 0),
      what: `chunk ${bigintAt(row, 2)} of inode ${bigintAt(row, 1)}`,
      bytes: bytesAt(row, 3),
    }),
  );

const delayedRows = (after: bigint, limit: number): Query<BytesRow> =>
  query(
    `SELECT chunkid, BYTES(slices) FROM jfs_delslices WHERE chunkid > ? ORDER BY chunkid LIMIT ${limit}`,
    [after],
    (row) => ({
      key: bigintAt(row, 0),
      what: `delayed slices ${bigintAt(row, 0)}`,
      bytes: bytesAt(row, 1),
    }),
  );

const countRows = (after: bigint, limit: number): Query<Keyed & { readonly size: number; readonly refs: number }> =>
  query(
    `SELECT chunkid, size, refs FROM jfs_chunk_ref WHERE chunkid > ? ORDER BY chunkid LIMIT ${limit}`,
    [after],
    (row) => ({ key: bigintAt(row, 0), size: numberAt(row, 1), refs: numberAt(row, 2) }),
  );
