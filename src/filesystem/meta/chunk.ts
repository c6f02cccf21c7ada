// Chunks: their rows, and committing slices whose pages are in the store.

import { later } from '../../base/clock.ts';
import { fail } from '../../base/errors.ts';
import type { LedgerEntry } from '../../base/words.ts';
import { type Change, change, type Op, type Query, query, type Row, read, write } from '../sql/op.ts';
import type { MetaContext } from './context.ts';
import type { Appended, CommitWatcher, SliceCommit } from './meta.ts';
import { chunkOf, larger, offsetOf, posInChunk } from './position.ts';
import { attrReply, type Outcome } from './request.ts';
import { bigintAt, bytesAt, numberAt } from './rows.ts';
import { encodeSlices, hole, RECORD } from './slices.ts';
import { nodeById, updateNode } from './statements.ts';
import { type Attr, CHUNK_SIZE, type Ino, MAX_LENGTH, NodeType, type Slice, type SliceId } from './types.ts';
import { fileGrowth, growingFile } from './usage.ts';
import type { UsageDelta } from './usage-rows.ts';

/** Chunk rows with an index beyond this cannot belong to a file of MAX_LENGTH. */
export const MAX_INDX = chunkOf(MAX_LENGTH);

export const chunkRow = (ino: Ino, indx: number, lock = false): Query<Buffer> =>
  query(
    `SELECT BYTES(slices) FROM jfs_chunk WHERE inode = ? AND indx = ?${lock ? ' FOR UPDATE' : ''}`,
    [ino, BigInt(indx)],
    (row) => bytesAt(row, 0),
  );

/**
 * Appends records in SQL, whatever others appended meanwhile. The original client's own append turns the value into
 * TEXT on SQLite, so both sides are taken as bytes.
 */
export const appendSlices = (ino: Ino, indx: number, slices: readonly Slice[]): Change =>
  change(
    'INSERT INTO jfs_chunk (inode, indx, slices) VALUES (?, ?, ?) ON CONFLICT (inode, indx) DO UPDATE SET slices = BYTES(BYTES(jfs_chunk.slices) || excluded.slices)',
    ino,
    BigInt(indx),
    encodeSlices(slices),
  );

/** Zeros over every existing chunk row strictly between two; those without a row are zeros already. */
export const zeroRowsBetween = (ino: Ino, first: number, last: number): Change =>
  change(
    'UPDATE jfs_chunk SET slices = BYTES(BYTES(slices) || ?) WHERE inode = ? AND indx > ? AND indx < ?',
    encodeSlices([hole(0, CHUNK_SIZE)]),
    ino,
    BigInt(first),
    BigInt(last),
  );

export const insertChunkRef = (id: SliceId, size: number, refs = 1): Change =>
  change('INSERT INTO jfs_chunk_ref (chunkid, size, refs) VALUES (?, ?, ?)', id, BigInt(size), BigInt(refs));

export const insertLedgerEntry = (entry: LedgerEntry): Change =>
  change(
    'INSERT INTO pageseal_page (slice_id, indx, tag, page_key) VALUES (?, ?, ?, ?)',
    entry.sliceId,
    BigInt(entry.indx),
    entry.tag,
    entry.pageKey,
  );

/** One of these, made as long as the next power of two by repetition: each length is a statement of its own. */
export function oneOf(values: readonly bigint[]): { readonly list: string; readonly params: readonly bigint[] } {
  const [first = 0n] = values;
  const length = 2 ** Math.ceil(Math.log2(Math.max(values.length, 1)));
  const params = [...values, ...new Array<bigint>(length - values.length).fill(first)];
  return { list: `(${params.map(() => '?').join(', ')})`, params };
}

/** How many records a chunk row has. */
export interface ChunkRecords {
  readonly indx: number;
  readonly records: number;
}

const RECORDS = 'SELECT c.indx, LENGTH(BYTES(c.slices)) FROM jfs_chunk c';
const decodeRecords = (row: Row): ChunkRecords => ({ indx: numberAt(row, 0), records: numberAt(row, 1) / RECORD });

const recordsOfChunks = (ino: Ino, indexes: readonly number[]): Query<ChunkRecords> => {
  const { list, params } = oneOf(indexes.map(BigInt));
  return query(`${RECORDS} WHERE c.inode = ? AND c.indx IN ${list}`, [ino, ...params], decodeRecords);
};

/** From one chunk to another, but no more than `limit` rows. */
export const recordsBetween = (ino: Ino, first: number, last: number, limit: number): Query<ChunkRecords> =>
  query(
    `${RECORDS} WHERE c.inode = ? AND c.indx >= ? AND c.indx <= ? ORDER BY c.indx LIMIT ?`,
    [ino, BigInt(first), BigInt(last), BigInt(limit)],
    decodeRecords,
  );

/** Of the chunk in which the file ends, and of so many behind it. */
const recordsFromEnd = (ino: Ino, more: number): Query<ChunkRecords> =>
  query(
    `${RECORDS} JOIN jfs_node n ON n.inode = c.inode WHERE c.inode = ?
     AND c.indx >= n.length / ${CHUNK_SIZE} AND c.indx <= n.length / ${CHUNK_SIZE} + ?`,
    [ino, BigInt(more)],
    decodeRecords,
  );

export function* chunkIndexes(ino: Ino, from: number, limit: number): Op<number[]> {
  if (from > MAX_INDX) return [];
  const [found] = yield* read(
    query(
      'SELECT indx FROM jfs_chunk WHERE inode = ? AND indx >= ? ORDER BY indx LIMIT ?',
      [ino, BigInt(from), BigInt(limit)],
      (row) => numberAt(row, 0),
    ),
  );
  return found;
}

/** Directories of a file that may have several; none for one whose row says which it is in. */
export const manyParentsOf = (ino: Ino): Query<Ino> =>
  query(
    'SELECT e.parent FROM jfs_node n JOIN jfs_edge e ON e.inode = n.inode WHERE n.inode = ? AND COALESCE(n.parent, 0) = 0',
    [ino],
    (row) => bigintAt(row, 0),
  );

/** Directories whose sums and quotas a change of the file's length touches. `many` was read with it. */
export const directoriesOf = (attr: Attr, many: readonly Ino[]): readonly Ino[] =>
  attr.parent === 0n ? many : [attr.parent];

/** A hard-linked file counts in each directory but once in total, an unlinked one that is still open only in total. */
export function growthDeltas(attr: Attr, parents: readonly Ino[], newLength: bigint): UsageDelta[] {
  const { owner, ...growth } = fileGrowth(attr, newLength);
  if (growth.length === 0n) return [];
  if (parents.length === 0 || attr.nlink === 0) return [{ ...growth, volume: true, owner }];
  return parents.map((parent, i) => ({
    ...{ ...growth, directory: parent, quotas: parent },
    ...(i === 0 && { volume: true, owner }),
  }));
}

/** EPERM for what is no file, as the format's own client answers. */
export function checkFile(attr: Attr | undefined, ino: Ino, attempted: string): asserts attr is Attr {
  if (attr === undefined) throw fail('ENOENT', `${attempted} inode ${ino}: it is gone`);
  if (attr.type !== NodeType.file) throw fail('EPERM', `${attempted} inode ${ino}: not a file`);
}

/** Records of slices that are committed, and what is known of the file then. */
interface Commit {
  readonly commits: readonly SliceCommit[];
  /** Where the records go, once the file's length is known for certain. */
  readonly place: (attr: Attr) => readonly SliceCommit[];
  /** What there is in those chunks already. */
  readonly before: Query<ChunkRecords>;
}

/**
 * All slices in one transaction. A commit that was sent but not answered is recognised by the chunk_ref rows of its ids,
 * not by its request: the same kernel request may commit different slices after a takeover.
 */
export function commitSlices(
  ctx: MetaContext,
  ino: Ino,
  commits: readonly SliceCommit[],
  watcher?: CommitWatcher,
): Promise<Attr> {
  const before = recordsOfChunks(ino, [...new Set(commits.map(({ indx }) => indx))]);
  const commit = { commits, place: () => commits, before };
  return ctx.write({}, attrReply, () => commitOp(ctx, ino, commit, watcher), { ofData: true });
}

/**
 * The same for bytes that belong at the end of the file, wherever that is by now: other clients may have made it longer
 * since they were written here. The node is locked when its length is looked at, so appends of all clients that do so lie
 * one after the other, each slice in one piece. Where a slice crosses the end of a chunk it gets a record on either side.
 */
export async function commitAppended(
  ctx: MetaContext,
  ino: Ino,
  commits: readonly SliceCommit[],
  watcher?: CommitWatcher,
): Promise<Appended> {
  let records: readonly SliceCommit[] | undefined;
  // Of runs that are begun again, the one that committed is the last to look.
  const place = (attr: Attr): readonly SliceCommit[] => {
    records = oneAfterTheOther(commits, attr.length);
    return records;
  };
  const bytes = commits.reduce((sum, { slice }) => sum + slice.size, 0);
  const before = recordsFromEnd(ino, Math.ceil(bytes / CHUNK_SIZE));
  const commit = { commits, place, before };
  const attr = await ctx.write({}, attrReply, () => commitOp(ctx, ino, commit, watcher), { ofData: true });
  return { attr, records };
}

function oneAfterTheOther(commits: readonly SliceCommit[], start: bigint): SliceCommit[] {
  let at = start;
  return commits.flatMap((commit) => {
    const { size } = commit.slice;
    const records: SliceCommit[] = [];
    for (let off = 0; off < size; ) {
      const pos = posInChunk(at);
      const len = Math.min(size - off, CHUNK_SIZE - pos);
      records.push({ ...commit, indx: chunkOf(at), slice: { ...commit.slice, pos, off, len } });
      off += len;
      at += BigInt(len);
    }
    return records;
  });
}

function* commitOp(
  ctx: MetaContext,
  ino: Ino,
  { commits, place, before }: Commit,
  watcher: CommitWatcher | undefined,
): Op<Outcome<Attr>> {
  const ids = commits.map((commit) => commit.slice.id);
  const [[attr], refs, many, known, ...limits] = yield* read(
    nodeById(ino, true),
    refsOf(ids),
    manyParentsOf(ino),
    before,
    ...ctx.usage.limitsOf(growingFile(ino)),
  );
  checkFile(attr, ino, 'write to');
  if (ids.length > 0 && ids.every((id) => refs.includes(id))) return { answer: attr };
  watcher?.check();
  const records = place(attr);
  const chunks = perChunk(records);
  const length = records.reduce((longest, commit) => larger(longest, endOf(commit)), attr.length);
  yield* ctx.usage.checkGrowth(limits.flat(), fileGrowth(attr, length));
  const mtime = commits.at(-1)?.mtime ?? attr.mtime;
  // As on a local disk: the time of the newest change, not that of its commit, which nobody asked for.
  const ctime = later(mtime, attr.ctime);
  yield* write(
    ...[...chunks].map(([indx, slices]) => appendSlices(ino, indx, slices)),
    ...commits.map(({ slice }) => insertChunkRef(slice.id, slice.size, recordsOf(slice.id, records))),
    ...commits.flatMap((commit) => commit.ledger.map(insertLedgerEntry)),
    updateNode(ino, { length, mtime, ctime }),
  );
  return {
    answer: { ...attr, length, mtime, ctime },
    usage: growthDeltas(attr, directoriesOf(attr, many), length),
    after: () => {
      for (const [indx, { length: added }] of chunks)
        watcher?.grown({ indx, records: recordsIn(known, indx) + added, added });
    },
  };
}

export const recordsIn = (known: readonly ChunkRecords[], indx: number): number =>
  known.find((chunk) => chunk.indx === indx)?.records ?? 0;

const recordsOf = (id: SliceId, records: readonly SliceCommit[]): number =>
  records.filter(({ slice }) => slice.id === id).length;

/** Those that have a count, each id once. */
export function refsOf(ids: readonly SliceId[]): Query<SliceId> {
  const { list, params } = oneOf(ids);
  return query(`SELECT chunkid FROM jfs_chunk_ref WHERE chunkid IN ${list}`, params, (row) => bigintAt(row, 0));
}

function endOf({ indx, slice }: SliceCommit): bigint {
  const end = offsetOf(indx, slice.pos + slice.len);
  if (end > MAX_LENGTH) throw fail('EFBIG', `write up to ${end}: the longest file is ${MAX_LENGTH} bytes`);
  return end;
}

/** Records by chunk, in the order given. */
function perChunk(commits: readonly SliceCommit[]): Map<number, Slice[]> {
  const chunks = new Map<number, Slice[]>();
  for (const { indx, slice } of commits) {
    const list = chunks.get(indx);
    if (list === undefined) chunks.set(indx, [slice]);
    else list.push(slice);
  }
  return chunks;
}
