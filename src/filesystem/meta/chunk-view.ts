// What a reader needs of a chunk: its records, and the ledger rows of the slices that they name.
import { fail } from '../../base/errors.ts';
import type { LedgerEntry } from '../../base/words.ts';
import { type Dialect, type Op, type Query, query, type Row, read } from '../sql/op.ts';
import { chunkRow, oneOf } from './chunk.ts';
import type { ChunkView } from './meta.ts';
import { bigintAt, bytesAt, numberAt } from './rows.ts';
import { decodeSlices, RECORD } from './slices.ts';
import type { Ino, SliceId } from './types.ts';

const decodeEntry = (row: Row): LedgerEntry => ({
  sliceId: bigintAt(row, 0),
  indx: numberAt(row, 1),
  tag: bytesAt(row, 2),
  pageKey: bytesAt(row, 3),
});

/** Slices in one statement: a list of thousands would come near the bounds of databases. */
const LEDGER_GROUP = 512;

/** The rows of all these slices, in few statements with few different texts: a chunk can have thousands of slices. */
export function ledgerOf(ids: readonly SliceId[]): Query<LedgerEntry>[] {
  const queries: Query<LedgerEntry>[] = [];
  for (let at = 0; at < ids.length; at += LEDGER_GROUP) queries.push(ledgerOfGroup(ids.slice(at, at + LEDGER_GROUP)));
  return queries;
}

function ledgerOfGroup(ids: readonly SliceId[]): Query<LedgerEntry> {
  const { list, params } = oneOf(ids);
  return query(
    `SELECT slice_id, indx, tag, page_key FROM pageseal_page WHERE slice_id IN ${list} ORDER BY slice_id, indx`,
    params,
    decodeEntry,
  );
}

const nodeExists = (ino: Ino): Query<bigint> =>
  query('SELECT inode FROM jfs_node WHERE inode = ?', [ino], (row) => bigintAt(row, 0));

/** How the slice's number lies in record `k`, whose bytes PostgreSQL can look at one by one. */
const ID = Array.from({ length: 8 }, (_, i) => `(get_byte(c.slices, k * ${RECORD} + ${4 + i})::int8 << ${56 - 8 * i})`);

/**
 * Records and ledger rows in one statement, so that a read waits once. The records come as the row without a slice; what
 * is concatenated makes a value that is not taken apart and unpacked anew for each byte; OFFSET keeps the planner from
 * going through all of the ledger.
 */
const VIEW = `WITH c AS MATERIALIZED (SELECT BYTES(c.slices) || CAST('' AS BYTEA) AS slices
   FROM jfs_node n LEFT JOIN jfs_chunk c ON c.inode = n.inode AND c.indx = ? WHERE n.inode = ?)
 SELECT CAST(NULL AS BIGINT), CAST(NULL AS BIGINT), c.slices, CAST(NULL AS BYTEA) FROM c UNION ALL
 SELECT p.slice_id, p.indx, p.tag, p.page_key FROM
   (SELECT DISTINCT ${ID.join(' | ')} AS id FROM c CROSS JOIN LATERAL generate_series(0, length(c.slices) / ${RECORD} - 1) AS k) s
   CROSS JOIN LATERAL (SELECT p.slice_id, p.indx, p.tag, p.page_key FROM pageseal_page p WHERE p.slice_id = s.id OFFSET 0) p`;

type Part = { readonly records: Buffer | undefined } | LedgerEntry;

const viewOf = (ino: Ino, indx: number): Query<Part> =>
  query(VIEW, [BigInt(indx), ino], (row) =>
    row[0] === null ? { records: row[2] === null ? undefined : bytesAt(row, 2) } : decodeEntry(row),
  );

/** Records in commit order. `ledger` is false for volumes without our tables or without pages that are sealed. */
export function* readChunk(ino: Ino, indx: number, ledger: boolean, dialect: Dialect): Op<ChunkView> {
  if (ledger && dialect === 'postgres') return yield* readAtOnce(ino, indx);
  const [[bytes], [exists]] = yield* read(chunkRow(ino, indx), nodeExists(ino));
  if (exists === undefined) throw gone(ino, indx);
  const slices = decoded(ino, indx, bytes);
  const ids = [...new Set(slices.map((slice) => slice.id))].filter((id) => id !== 0n);
  if (!ledger || ids.length === 0) return { slices, ledger: [] };
  const entries = yield* read(...ledgerOf(ids));
  return { slices, ledger: entries.flat() };
}

function* readAtOnce(ino: Ino, indx: number): Op<ChunkView> {
  const [parts] = yield* read(viewOf(ino, indx));
  const entries = parts.flatMap((part) => ('records' in part ? [] : [part]));
  const found = parts.find((part) => 'records' in part);
  if (found === undefined) throw gone(ino, indx);
  return { slices: decoded(ino, indx, found.records), ledger: entries };
}

const gone = (ino: Ino, indx: number): Error => fail('ENOENT', `read chunk ${indx} of inode ${ino}: it is gone`);

const decoded = (ino: Ino, indx: number, bytes: Buffer | undefined): ReturnType<typeof decodeSlices> =>
  bytes === undefined ? [] : decodeSlices(bytes, `chunk ${indx} of inode ${ino}`);
