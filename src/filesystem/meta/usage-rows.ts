// Statements of usage.ts: counters, dir_stats and dir_quota rows, all by relative arithmetic.
import { type Change, change, type Query, query, type Row } from '../sql/op.ts';
import { bigintAt } from './rows.ts';
import { NODE_LENGTH, NODE_SPACE } from './space.ts';
import { addCounter, counterValue } from './statements.ts';
import { type Ino, TRASH } from './types.ts';

/** What changed: bytes of data, bytes of space (multiples of 4 KiB), inodes. One file can bring 2^57 bytes. */
export interface Delta {
  readonly length: bigint;
  readonly space: bigint;
  readonly inodes: bigint;
}

export const noDelta: Delta = { length: 0n, space: 0n, inodes: 0n };

export const plus = (a: Delta, b: Delta): Delta => ({
  length: a.length + b.length,
  space: a.space + b.space,
  inodes: a.inodes + b.inodes,
});

/**
 * What one operation changed, in one row. `directory`: whose entries; `quotas`: below which directory; `volume`: the
 * totals as well.
 */
export interface UsageDelta extends Delta {
  readonly directory?: Ino;
  readonly quotas?: Ino;
  readonly volume?: boolean;
  readonly owner?: OwnerDelta;
}

/** What it changed for a user and a group: files and directories count, once per node. */
export interface OwnerDelta {
  readonly uid: number;
  readonly gid: number;
  readonly space: bigint;
  readonly inodes: bigint;
}

/** A row of pageseal_usage: what a session committed and nobody has added to the figures yet. Inode 0: totals only. */
export interface PendingRow {
  readonly sid: bigint;
  readonly ino: Ino;
  readonly total: Delta;
  readonly directory: Delta;
  readonly tree: Delta;
}

/**
 * The first lock of whoever brings figures up to date, counts them anew, sets a quota or moves a directory: all clients
 * take turns then, since what each of them reads of rows and of what is pending has to stand still. The row is one that
 * those who add to the figures change anyway, the original client too.
 */
export const lockFigures: Query<bigint> = counterValue('usedSpace', true);

/** The same for a rename, if one of the names leads to a directory: nor does anybody move one into another meanwhile. */
export const lockTree = (a: Ino, nameA: Buffer, b: Ino, nameB: Buffer): Query<bigint> => {
  const isDirectory = 'EXISTS (SELECT 1 FROM jfs_edge e WHERE e.parent = ? AND e.name = ? AND e.type = 2)';
  const text = `SELECT c.value FROM jfs_counter c WHERE c.name = 'usedSpace' AND (${isDirectory} OR ${isDirectory}) FOR UPDATE`;
  return query(text, [a, nameA, b, nameB], (row) => bigintAt(row, 0));
};

/** Rides in the operation's own transaction. */
export function addPending(sid: bigint, ino: Ino, total: Delta, directory: Delta, tree: Delta): Change {
  return change(
    `INSERT INTO pageseal_usage (sid, inode, total_space, total_inodes, length, space, inodes, tree_space, tree_inodes)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (sid, inode) DO UPDATE SET
     total_space = pageseal_usage.total_space + excluded.total_space,
     total_inodes = pageseal_usage.total_inodes + excluded.total_inodes,
     length = pageseal_usage.length + excluded.length, space = pageseal_usage.space + excluded.space,
     inodes = pageseal_usage.inodes + excluded.inodes, tree_space = pageseal_usage.tree_space + excluded.tree_space,
     tree_inodes = pageseal_usage.tree_inodes + excluded.tree_inodes`,
    sid,
    ino,
    total.space,
    total.inodes,
    directory.length,
    directory.space,
    directory.inodes,
    tree.space,
    tree.inodes,
  );
}

const PENDING =
  'SELECT sid, inode, total_space, total_inodes, length, space, inodes, tree_space, tree_inodes FROM pageseal_usage';

function decodePending(row: Row): PendingRow {
  const at = (column: number): bigint => bigintAt(row, column);
  return {
    sid: bigintAt(row, 0),
    ino: bigintAt(row, 1),
    total: { length: 0n, space: at(2), inodes: at(3) },
    directory: { length: at(4), space: at(5), inodes: at(6) },
    tree: { length: 0n, space: at(7), inodes: at(8) },
  };
}

/** Of a session and of those that are gone; of all for `everyone`. */
export const pendingRows = (sid: bigint, everyone: boolean, limit: number): Query<PendingRow> =>
  query(
    `${PENDING} ${everyone ? '' : 'WHERE sid = ? OR sid NOT IN (SELECT s.sid FROM jfs_session2 s)'} ORDER BY sid, inode LIMIT ${limit} FOR UPDATE`,
    everyone ? [] : [sid],
    decodePending,
  );

/** A session goes on under another id. */
export const movePending = (from: bigint, to: bigint): Change =>
  change('UPDATE pageseal_usage SET sid = ? WHERE sid = ?', to, from);

export const deletePending = ({ sid, ino }: PendingRow): Change =>
  change('DELETE FROM pageseal_usage WHERE sid = ? AND inode = ?', sid, ino);

export function addVolumeUsage(delta: Delta): Change[] {
  const changes: Change[] = [];
  if (delta.space !== 0n) changes.push(addCounter('usedSpace', delta.space));
  if (delta.inodes !== 0n) changes.push(addCounter('totalInodes', delta.inodes));
  return changes;
}

/** A row when the directory has its sums, or when it is gone or in the trash and needs none. */
export const hasStats = (ino: Ino): Query<bigint> =>
  query(
    `SELECT inode FROM jfs_dir_stats WHERE inode = ? UNION ALL
     SELECT ? WHERE NOT EXISTS (SELECT 1 FROM jfs_node WHERE inode = ? AND COALESCE(parent, 0) < ${TRASH})`,
    [ino, ino, ino],
    (row) => bigintAt(row, 0),
  );

export const addDirStats = (ino: Ino, delta: Delta): Change =>
  change(
    'UPDATE jfs_dir_stats SET data_length = data_length + ?, used_space = used_space + ?, used_inodes = used_inodes + ? WHERE inode = ?',
    delta.length,
    delta.space,
    delta.inodes,
    ino,
  );

const pendingSum = (column: string): string =>
  `(SELECT COALESCE(SUM(u.${column}), 0) FROM pageseal_usage u WHERE u.inode = ?)`;

/**
 * A directory without sums gets them from its entries, as the original client does when an update finds no row. Less what
 * is pending for it, which will be added.
 */
export const rebuildDirStats = (ino: Ino): Change =>
  change(
    `INSERT INTO jfs_dir_stats (inode, data_length, used_space, used_inodes)
     SELECT ?, COALESCE(SUM(${NODE_LENGTH}), 0) - ${pendingSum('length')},
       COALESCE(SUM(${NODE_SPACE}), 0) - ${pendingSum('space')},
       COUNT(*) - ${pendingSum('inodes')}
     FROM jfs_edge e JOIN jfs_node n ON n.inode = e.inode WHERE e.parent = ?
     ON CONFLICT (inode) DO NOTHING`,
    ...Array.from({ length: 5 }, () => ino),
  );

/** Of every directory, as found: for a volume that did not keep them. */
export const recountDirStats = (): Change[] => {
  const late = (column: string): string =>
    `(SELECT COALESCE(SUM(u.${column}), 0) FROM pageseal_usage u WHERE u.inode = p.inode)`;
  return [
    change('DELETE FROM jfs_dir_stats'),
    change(
      `INSERT INTO jfs_dir_stats (inode, data_length, used_space, used_inodes)
       SELECT p.inode, COALESCE(SUM(${NODE_LENGTH}), 0) - ${late('length')},
         COALESCE(SUM(CASE WHEN n.inode IS NULL THEN 0 ELSE ${NODE_SPACE} END), 0) - ${late('space')},
         COUNT(n.inode) - ${late('inodes')}
       FROM jfs_node p LEFT JOIN jfs_edge e ON e.parent = p.inode LEFT JOIN jfs_node n ON n.inode = e.inode
       WHERE p.type = 2 AND p.inode <> ? GROUP BY p.inode`,
      TRASH,
    ),
  ];
};
