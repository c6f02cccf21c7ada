// Sums over trees of directories: strictly from the entries, or fast from what is kept per directory (dir_stats), with
// what sessions have not added to that yet. A directory counts itself: one, and 4 KiB. UNION ends at loops of a damaged
// tree.
import { type Op, type Query, query, type Row, read } from '../sql/op.ts';
import { bigintAt } from './rows.ts';
import { NODE_LENGTH, NODE_SPACE, sumOf } from './space.ts';
import { type Attr, type Ino, NodeType } from './types.ts';

export interface TreeSums {
  /** Lengths of files. */
  readonly length: bigint;
  /** What is counted as used: whole units of 4 KiB for every entry, hard links once per entry. */
  readonly size: bigint;
  readonly files: bigint;
  readonly dirs: bigint;
}

const DIRECTORY_SIZE = 4096n;
export const noSums: TreeSums = { length: 0n, size: 0n, files: 0n, dirs: 0n };

export const plusSums = (a: TreeSums, b: TreeSums): TreeSums => ({
  length: a.length + b.length,
  size: a.size + b.size,
  files: a.files + b.files,
  dirs: a.dirs + b.dirs,
});

/** An entry that is no directory; for a directory, itself without entries. */
export function sumsOf(attr: Attr): TreeSums {
  if (attr.type === NodeType.directory) return { length: 0n, size: DIRECTORY_SIZE, files: 0n, dirs: 1n };
  const length = attr.type === NodeType.file ? BigInt(attr.length) : 0n;
  const units = length === 0n ? 1n : (length + DIRECTORY_SIZE - 1n) / DIRECTORY_SIZE;
  return { length, size: units * DIRECTORY_SIZE, files: 1n, dirs: 0n };
}

const DOWN =
  'WITH RECURSIVE down (inode) AS (SELECT CAST(? AS BIGINT) UNION' +
  ' SELECT e.inode FROM jfs_edge e JOIN down ON e.parent = down.inode WHERE e.type = 2)';
const ENTRIES = `SELECT ${sumOf(NODE_LENGTH)}, ${sumOf(NODE_SPACE)}, COUNT(*), ${sumOf('CASE WHEN n.type = 2 THEN 1 ELSE 0 END')}`;

function decode(row: Row): TreeSums {
  const dirs = bigintAt(row, 3);
  return {
    length: bigintAt(row, 0),
    size: bigintAt(row, 1) + DIRECTORY_SIZE,
    files: bigintAt(row, 2) - dirs,
    dirs: dirs + 1n,
  };
}

/** Of the entries of one directory, and itself. */
const ofEntries = (ino: Ino): Query<TreeSums> =>
  query(`${ENTRIES} FROM jfs_edge e JOIN jfs_node n ON n.inode = e.inode WHERE e.parent = ?`, [ino], decode);

const strictly = (ino: Ino): Query<TreeSums> =>
  query(
    `${DOWN} ${ENTRIES} FROM down JOIN jfs_edge e ON e.parent = down.inode JOIN jfs_node n ON n.inode = e.inode`,
    [ino],
    decode,
  );

/** Undefined when a directory has no sums yet. */
const fast = (ino: Ino): Query<TreeSums | undefined> =>
  query(
    `${DOWN} SELECT ${sumOf('s.data_length')}, ${sumOf('s.used_space')}, ${sumOf('s.used_inodes')}, COUNT(*) - 1, COUNT(s.inode)
     FROM down LEFT JOIN jfs_dir_stats s ON s.inode = down.inode`,
    [ino],
    (row) => (bigintAt(row, 4) === bigintAt(row, 3) + 1n ? decode(row) : undefined),
  );

const pending = (ino: Ino): Query<TreeSums> =>
  query(
    `${DOWN} SELECT ${sumOf('u.length')}, ${sumOf('u.space')}, ${sumOf('u.inodes')}
     FROM down JOIN pageseal_usage u ON u.inode = down.inode`,
    [ino],
    (row) => ({ length: bigintAt(row, 0), size: bigintAt(row, 1), files: bigintAt(row, 2), dirs: 0n }),
  );

export interface SumsFrom {
  readonly strict: boolean;
  /** Whether pageseal_usage is there. */
  readonly ours: boolean;
}

export function* entrySums(ino: Ino): Op<TreeSums> {
  const [[sums = noSums]] = yield* read(ofEntries(ino));
  return sums;
}

export function* treeSums(ino: Ino, from: SumsFrom): Op<TreeSums> {
  if (!from.strict) {
    const [[kept]] = yield* read(fast(ino));
    const [[late = noSums]] = from.ours ? yield* read(pending(ino)) : [[]];
    if (kept !== undefined) return plusSums(kept, late);
  }
  const [[sums = noSums]] = yield* read(strictly(ino));
  return sums;
}
