// Slices: that records, reference counts, the page ledger and the objects in the store agree. Reads no page's contents.
import type { SliceId } from '../base/words.ts';
import { bounded, rows } from './fsck-tree.ts';
import { bigintAt, bytesAt, numberAt } from './meta/rows.ts';
import { decodeDeletedSlices, decodeSlices } from './meta/slices.ts';
import { pageLength } from './page/geometry.ts';
import { type ObjectKeyLayout, pageObjectKey } from './page/object-key.ts';
import type { PagePlace } from './page/page-store.ts';
import { type Engine, query, read } from './sql/op.ts';
import type { ObjectStore } from './store/store.ts';

/** Chunk rows per query: at most 2500 records of 24 bytes each, so tens of megabytes at the very worst. */
const CHUNK_ROWS = 500;

interface SliceUse {
  /** Stored length, as records and counts agree on it. */
  size: number;
  records: number;
  refs: number;
}

/** Every slice that any row names, in memory: about 100 bytes each, 16,000 slices per TiB of large files. */
export type Slices = Map<SliceId, SliceUse>;

export interface SliceReport {
  readonly findings: string[];
  readonly slices: Slices;
}

/** Reads every chunk, delslices and chunk_ref row and compares them. */
export async function checkSlices(engine: Engine): Promise<SliceReport> {
  const slices: Slices = new Map();
  const findings: string[] = [];
  await readChunks(engine, slices, findings);
  await readDeleted(engine, slices, findings);
  const counted = await rows(engine, 'SELECT chunkid, size, refs FROM jfs_chunk_ref WHERE chunkid != 0', (row) => ({
    id: bigintAt(row, 0),
    size: numberAt(row, 1),
    refs: numberAt(row, 2),
  }));
  for (const { id, size, refs } of counted) {
    const use = slices.get(id);
    if (use !== undefined && use.size !== size)
      findings.push(`slice ${id} has ${use.size} bytes in chunks and ${size} in its count`);
    slices.set(id, { size: use?.size ?? size, records: use?.records ?? 0, refs });
  }
  const wrong = [...slices]
    .filter(([, use]) => use.records !== use.refs && (use.records > 0 || use.refs > 0))
    .map(([id, use]) => `slice ${id} is used ${use.records} times and counted ${use.refs} times`);
  return { findings: [...bounded(findings), ...bounded(wrong)], slices };
}

async function readChunks(engine: Engine, slices: Slices, findings: string[]): Promise<void> {
  let last = 0n;
  for (;;) {
    const page = await engine.view(function* () {
      const text = `SELECT id, inode, indx, BYTES(slices) FROM jfs_chunk WHERE id > ? ORDER BY id LIMIT ${CHUNK_ROWS}`;
      const [found] = yield* read(
        query(text, [last], (row) => ({
          id: bigintAt(row, 0),
          what: `chunk ${bigintAt(row, 2)} of inode ${bigintAt(row, 1)}`,
          bytes: bytesAt(row, 3),
        })),
      );
      return found;
    });
    for (const { id, what, bytes } of page) {
      last = id;
      note(slices, findings, what, () => decodeSlices(bytes, what));
    }
    if (page.length < CHUNK_ROWS) return;
  }
}

async function readDeleted(engine: Engine, slices: Slices, findings: string[]): Promise<void> {
  const deleted = await rows(engine, 'SELECT chunkid, BYTES(slices) FROM jfs_delslices', (row) => ({
    what: `deleted slices of ${bigintAt(row, 0)}`,
    bytes: bytesAt(row, 1),
  }));
  for (const { what, bytes } of deleted) note(slices, findings, what, () => decodeDeletedSlices(bytes, what));
}

/** Counts the records of one row; a row that cannot be read is a finding of its own. */
function note(
  slices: Slices,
  findings: string[],
  what: string,
  decode: () => readonly { readonly id: SliceId; readonly size: number }[],
): void {
  try {
    for (const { id, size } of decode()) {
      if (id === 0n) continue; // a hole
      const use = slices.get(id);
      if (use === undefined) slices.set(id, { size, records: 1, refs: 0 });
      else {
        if (use.size !== size) findings.push(`${what}: slice ${id} has ${size} bytes here and ${use.size} elsewhere`);
        use.records++;
      }
    }
  } catch (error) {
    findings.push(error instanceof Error ? error.message : String(error));
  }
}

/** The pages of every slice that something uses. */
export function* placesOf(slices: Slices, pageSize: number): Generator<PagePlace> {
  for (const [sliceId, { size, records }] of slices)
    for (let indx = 0; records > 0 && indx * pageSize < size; indx++)
      yield { sliceId, indx, length: pageLength(size, indx, pageSize) };
}

/** Every page has its object. */
export async function checkObjects(
  store: ObjectStore,
  layout: ObjectKeyLayout,
  slices: Slices,
  pageSize: number,
): Promise<string[]> {
  const present = new Set<string>();
  for await (const { key } of store.list(`${layout.volumeName}/chunks/`)) present.add(key);
  const missing: string[] = [];
  for (const place of placesOf(slices, pageSize)) {
    const key = pageObjectKey(layout, place);
    if (!present.has(key)) missing.push(`object ${key} is missing`);
  }
  return bounded(missing);
}

/** Pages without a ledger row, of those that something uses. */
export async function countUnledgered(engine: Engine, slices: Slices, pageSize: number): Promise<number> {
  const ledgered = new Set<string>();
  const found = await rows(engine, 'SELECT slice_id, indx FROM pageseal_page', (row) => `${row[0]}_${row[1]}`);
  for (const key of found) ledgered.add(key);
  let missing = 0;
  for (const { sliceId, indx } of placesOf(slices, pageSize)) if (!ledgered.has(`${sliceId}_${indx}`)) missing++;
  return missing;
}
