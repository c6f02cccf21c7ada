// What the rows of a file system still hold, counted; and the same as a bare question, for the transaction that must know.
import { bigintAt } from '../meta/rows.ts';
import { TRASH } from '../meta/types.ts';
import { type Dialect, type Op, type Query, query, type Reader, read } from '../sql/op.ts';

export interface RowsLeft {
  /** Files, directories, links; without root and trash. */
  readonly inodes: bigint;
  readonly trash: bigint;
  readonly sustained: bigint;
  readonly pendingSlices: bigint;
  readonly delayedSlices: bigint;
  readonly snapshots: bigint;
  readonly volumes: bigint;
}

const count = (text: string): Query<bigint> => query(text, [], (row) => bigintAt(row, 0));

/** Without hours of the trash, which are empty or whose entries count. */
const BELOW_ROOT = `n.inode <> 1 AND n.inode < ${TRASH}`;
const IN_TRASH = `EXISTS (SELECT 1 FROM jfs_edge e WHERE e.inode = n.inode AND e.parent > ${TRASH})`;
const OUTSIDE = `EXISTS (SELECT 1 FROM jfs_edge e WHERE e.inode = n.inode AND e.parent < ${TRASH})`;
const OPEN_UNLINKED = 'n.nlink = 0 AND EXISTS (SELECT 1 FROM jfs_sustained s WHERE s.inode = n.inode)';
const DETACHED = 'EXISTS (SELECT 1 FROM jfs_detached_node d WHERE d.inode = n.inode)';

const counts = {
  nodes: count(
    `SELECT COUNT(*) FROM jfs_node n WHERE ${BELOW_ROOT} AND (${OUTSIDE} OR NOT ${IN_TRASH}) AND NOT (${OPEN_UNLINKED}) AND NOT ${DETACHED}`,
  ),
  // Names that lead nowhere: damage, and names all the same.
  looseEdges: count(
    `SELECT COUNT(*) FROM jfs_edge e WHERE e.parent < ${TRASH} AND NOT EXISTS (SELECT 1 FROM jfs_node n WHERE n.inode = e.inode)`,
  ),
  trash: count(`SELECT COUNT(DISTINCT e.inode) FROM jfs_edge e WHERE e.parent > ${TRASH}`),
  sustained: count(
    'SELECT COUNT(DISTINCT s.inode) FROM jfs_sustained s LEFT JOIN jfs_node n ON n.inode = s.inode WHERE n.inode IS NULL OR n.nlink = 0',
  ),
  deletedFiles: count('SELECT COUNT(*) FROM jfs_delfile'),
  pending: count('SELECT COUNT(*) FROM jfs_chunk_ref WHERE chunkid <> 0 AND refs <= 0'),
  slices: count('SELECT COUNT(*) FROM jfs_chunk_ref WHERE chunkid <> 0'),
  chunks: count('SELECT COUNT(*) FROM jfs_chunk'),
  delayed: count('SELECT COUNT(*) FROM jfs_delslices'),
  detached: count('SELECT COUNT(*) FROM jfs_detached_node'),
} as const;

const snapshotRows = count('SELECT COUNT(*) FROM pageseal_snapshot');
const volumeRows = count('SELECT COUNT(*) FROM pageseal_volume');

/** `ours`: whether our tables are there. In one view, so of one moment. */
export const countRows = (reader: Reader, ours: boolean): Promise<RowsLeft> => reader.view(() => countAll(ours));

function* countAll(ours: boolean): Op<RowsLeft> {
  const names = Object.keys(counts) as (keyof typeof counts)[];
  const found = yield* read(...names.map((name) => counts[name]));
  const [[snapshots = 0n], [volumes = 0n]] = yield* read(
    ours ? snapshotRows : undefined,
    ours ? volumeRows : undefined,
  );
  const of = (name: keyof typeof counts): bigint => found[names.indexOf(name)]?.[0] ?? 0n;
  const files = of('nodes') + of('trash') + of('sustained') + of('detached') + of('delayed');
  const waiting = of('deletedFiles') + of('pending');
  // Data of nothing that is left: counted as in use by somebody who died.
  const lost = of('slices') > 0n ? of('slices') : of('chunks');
  return {
    inodes: of('nodes') + of('looseEdges'),
    trash: of('trash'),
    sustained: of('sustained'),
    pendingSlices: files === 0n && waiting === 0n ? lost : waiting,
    delayedSlices: of('delayed'),
    snapshots: snapshots + of('detached'),
    volumes,
  };
}

/** A row for each kind of thing that is left, whichever; cheap however much there is. */
const probes: readonly Query<bigint>[] = [
  `SELECT 1 FROM jfs_node n WHERE ${BELOW_ROOT} LIMIT 1`,
  `SELECT 1 FROM jfs_edge WHERE parent <> ${TRASH} LIMIT 1`,
  'SELECT 1 FROM jfs_sustained LIMIT 1',
  'SELECT 1 FROM jfs_delfile LIMIT 1',
  'SELECT 1 FROM jfs_delslices LIMIT 1',
  'SELECT 1 FROM jfs_chunk LIMIT 1',
  'SELECT 1 FROM jfs_chunk_ref WHERE chunkid <> 0 LIMIT 1',
  'SELECT 1 FROM jfs_detached_node LIMIT 1',
  'SELECT 1 FROM pageseal_snapshot LIMIT 1',
  'SELECT 1 FROM pageseal_volume LIMIT 1',
].map(count);

/**
 * PostgreSQL: whoever is in the middle of a transaction is waited for, and whoever begins one waits. SQLite's write
 * transaction is alone anyhow.
 */
const tablesLocked: Query<undefined> = query(
  'LOCK TABLE jfs_node, jfs_edge, jfs_chunk, jfs_chunk_ref, jfs_delfile, jfs_delslices, jfs_sustained, jfs_session2, jfs_detached_node, pageseal_snapshot, pageseal_volume IN SHARE ROW EXCLUSIVE MODE',
  [],
  () => undefined,
);

/** First in its transaction: nobody adds a row until that ends. */
export function* anythingLeft(dialect: Dialect): Op<boolean> {
  const [, ...found] = yield* read(dialect === 'postgres' ? tablesLocked : undefined, ...probes);
  return found.some((rows) => rows.length > 0);
}
