// Statements on jfs_dir_quota, and on what sessions have pending for them. What a row says and
// what is pending for it together are always what is there: so a row that is made, or counted anew, begins with the
// difference of the two, in one statement.
import { type Change, change, type Query, query, type Row } from '../sql/op.ts';
import { bigintAt } from './rows.ts';
import { NODE_SPACE, sumOf } from './space.ts';
import { type Ino, TRASH } from './types.ts';

/** Limits of 0 and less are none. */
export interface Quota {
  readonly maxSpace: bigint;
  readonly maxInodes: bigint;
  readonly usedSpace: bigint;
  readonly usedInodes: bigint;
}

export interface QuotaRow extends Quota {
  readonly ino: Ino;
}

/** What a limit is compared with. */
export interface Used {
  readonly space: bigint;
  readonly inodes: bigint;
}

const QUOTA = 'q.max_space, q.max_inodes, q.used_space, q.used_inodes';
export const decodeQuota = (row: Row, at: number): Quota => ({
  maxSpace: bigintAt(row, at),
  maxInodes: bigintAt(row, at + 1),
  usedSpace: bigintAt(row, at + 2),
  usedInodes: bigintAt(row, at + 3),
});
const decodeRow = (row: Row): QuotaRow => ({ ino: bigintAt(row, 0), ...decodeQuota(row, 1) });
const decodePair = (row: Row): Used => ({ space: bigintAt(row, 0), inodes: bigintAt(row, 1) });

export const anyQuota: Query<Ino> = query('SELECT inode FROM jfs_dir_quota LIMIT 1', [], (row) => bigintAt(row, 0));

/** From where `start` says upwards. The depth bound ends the walk on a damaged tree; UNION alone would not, since the depth differs. */
const upwards = (start: string): string =>
  `WITH RECURSIVE up(origin, inode, depth) AS (
     ${start} UNION ALL
     SELECT up.origin, n.parent, up.depth + 1 FROM up JOIN jfs_node n ON n.inode = up.inode
     WHERE n.parent > 0 AND n.inode <> 1 AND n.inode < ${TRASH} AND up.depth < 4096)`;

const ANY_QUOTA = 'EXISTS (SELECT 1 FROM jfs_dir_quota)';
const DIRECTORY = `SELECT CAST(? AS BIGINT), CAST(? AS BIGINT), 0 WHERE ${ANY_QUOTA}`;
const DIRECTORIES = `SELECT d.inode, d.inode, 0 FROM jfs_node d WHERE d.inode IN (?, ?) AND ${ANY_QUOTA}`;
/** Where the node has a name; a row that names no parent may have many. */
const NAMES = `SELECT n.inode, CASE WHEN n.parent > 0 THEN n.parent ELSE e.parent END, 0 FROM jfs_node n
   LEFT JOIN jfs_edge e ON e.inode = n.inode AND COALESCE(n.parent, 0) = 0 WHERE n.inode = ?`;

/** Quotas of a directory and of all above it, nearest first; what is in the trash is below none. */
export const quotasAbove = (ino: Ino): Query<QuotaRow> =>
  query(
    `${upwards(DIRECTORY)} SELECT q.inode, ${QUOTA} FROM up JOIN jfs_dir_quota q ON q.inode = up.inode ORDER BY up.depth`,
    [ino, ino],
    decodeRow,
  );

/** At most what is pending below any directory: cheap, and mostly enough to see that no limit is near. */
const atMost = (column: string): string =>
  `(SELECT COALESCE(SUM(CASE WHEN u.${column} > 0 THEN u.${column} ELSE 0 END), 0) FROM pageseal_usage u)`;

const LIMITS = `SELECT q.inode, q.max_space, q.max_inodes,
   CAST(q.used_space + ${atMost('tree_space')} AS BIGINT), CAST(q.used_inodes + ${atMost('tree_inodes')} AS BIGINT),
   up.origin FROM up JOIN jfs_dir_quota q ON q.inode = up.inode`;

/**
 * The same with at most what is used of them by now: for a new entry of a directory, or for the contents of a file, once
 * for each of its names.
 */
export const treeLimits = (ino: Ino, kind: 'directory' | 'file'): Query<QuotaRow> =>
  kind === 'directory'
    ? query(`${upwards(DIRECTORY)} ${LIMITS}`, [ino, ino], decodeRow)
    : query(`${upwards(NAMES)} ${LIMITS}`, [ino], decodeRow);

/** Of two directories, and below which of them. */
export const treeLimitsOfBoth = (a: Ino, b: Ino): Query<{ readonly origin: Ino; readonly quota: QuotaRow }> =>
  query(`${upwards(DIRECTORIES)} ${LIMITS}`, [a, b], (row) => ({ origin: bigintAt(row, 5), quota: decodeRow(row) }));

export const quotaOf = (ino: Ino): Query<QuotaRow> =>
  query(`SELECT q.inode, ${QUOTA} FROM jfs_dir_quota q WHERE q.inode = ?`, [ino], decodeRow);

export const allQuotas: Query<QuotaRow> = query(
  `SELECT q.inode, ${QUOTA} FROM jfs_dir_quota q ORDER BY q.inode`,
  [],
  decodeRow,
);

export const addQuotaUsage = (ino: Ino, { space, inodes }: Used): Change =>
  change(
    'UPDATE jfs_dir_quota SET used_space = used_space + ?, used_inodes = used_inodes + ? WHERE inode = ?',
    space,
    inodes,
    ino,
  );

/** What is pending, of all sessions, for a directory and those below it: few rows, each followed upwards. */
const PENDING_BELOW = `WITH RECURSIVE up(start, inode, depth) AS (
   SELECT u.inode, u.inode, 0 FROM (SELECT DISTINCT inode FROM pageseal_usage WHERE tree_space <> 0 OR tree_inodes <> 0) u
   UNION ALL SELECT up.start, n.parent, up.depth + 1 FROM up JOIN jfs_node n ON n.inode = up.inode
   WHERE up.inode <> ? AND n.parent > 0 AND n.inode <> 1 AND n.inode < ${TRASH} AND up.depth < 4096)`;
const IS_BELOW = 'u.inode IN (SELECT start FROM up WHERE up.inode = ?)';

const withPending = (column: string, pending: string): string =>
  `CAST(q.${column} + (SELECT COALESCE(SUM(u.${pending}), 0) FROM pageseal_usage u WHERE ${IS_BELOW}) AS BIGINT)`;

/** A quota with just what is used of it, of one moment. */
export const exactQuota = (ino: Ino): Query<QuotaRow> =>
  query(
    `${PENDING_BELOW} SELECT q.inode, q.max_space, q.max_inodes, ${withPending('used_space', 'tree_space')},
     ${withPending('used_inodes', 'tree_inodes')} FROM jfs_dir_quota q WHERE q.inode = ?`,
    [ino, ino, ino, ino],
    decodeRow,
  );

/**
 * Of the empty directory behind a name, row by row: locked, so that nobody adds them to the figures meanwhile. The node
 * has to be locked before, so that no more come.
 */
export const pendingOf = (parent: Ino, name: Buffer): Query<Used> =>
  query(
    `SELECT u.tree_space, u.tree_inodes FROM pageseal_usage u WHERE (u.tree_space <> 0 OR u.tree_inodes <> 0)
     AND u.inode = (SELECT e.inode FROM jfs_edge e WHERE e.parent = ? AND e.name = ? AND e.type = 2) ORDER BY u.sid FOR UPDATE`,
    [parent, name],
    decodePair,
  );

/** For a directory that goes: what was pending for it counts elsewhere. */
export const dropPendingTree = (ino: Ino): Change =>
  change('UPDATE pageseal_usage SET tree_space = 0, tree_inodes = 0 WHERE inode = ?', ino);

const DOWN = `WITH RECURSIVE down (inode) AS (SELECT CAST(? AS BIGINT) UNION
  SELECT e.inode FROM jfs_edge e JOIN down ON e.parent = down.inode WHERE e.type = 2)`;
const BELOW = 'FROM down JOIN jfs_edge e ON e.parent = down.inode JOIN jfs_node n ON n.inode = e.inode';
const PENDING = 'FROM pageseal_usage u JOIN down d ON d.inode = u.inode';

/** What is below a directory, and what of it is pending; of one moment. */
export const treeAndPending = (ino: Ino): Query<{ readonly below: Used; readonly pending: Used }> =>
  query(
    `${DOWN} SELECT (SELECT ${sumOf(NODE_SPACE)} ${BELOW}), (SELECT COUNT(*) ${BELOW}),
       (SELECT ${sumOf('u.tree_space')} ${PENDING}), (SELECT ${sumOf('u.tree_inodes')} ${PENDING})`,
    [ino],
    (row) => ({ below: decodePair(row), pending: { space: bigintAt(row, 2), inodes: bigintAt(row, 3) } }),
  );

/** Absent limits stay as they are. */
export interface Limits {
  readonly maxSpace?: bigint;
  readonly maxInodes?: bigint;
}

/** Makes the row with what is below the directory, or changes the limits of the one that is there. */
export function setQuota(ino: Ino, { maxSpace, maxInodes }: Limits): Change {
  const sets = [
    ...(maxSpace === undefined ? [] : ['max_space = excluded.max_space']),
    ...(maxInodes === undefined ? [] : ['max_inodes = excluded.max_inodes']),
  ];
  const then = sets.length === 0 ? 'DO NOTHING' : `DO UPDATE SET ${sets.join(', ')}`;
  return change(
    `${DOWN} INSERT INTO jfs_dir_quota (inode, max_space, max_inodes, used_space, used_inodes)
     SELECT ?, ?, ?, (SELECT ${sumOf(NODE_SPACE)} ${BELOW}) - (SELECT ${sumOf('u.tree_space')} ${PENDING}),
       (SELECT COUNT(*) ${BELOW}) - (SELECT ${sumOf('u.tree_inodes')} ${PENDING})
     WHERE 1 = 1 ON CONFLICT (inode) ${then}`,
    ...[ino, ino, maxSpace ?? 0n, maxInodes ?? 0n],
  );
}

/** Of the row that is there: its usage as it is found to be. */
export const recountQuota = (ino: Ino): Change =>
  change(
    `${DOWN} UPDATE jfs_dir_quota SET
       used_space = (SELECT ${sumOf(NODE_SPACE)} ${BELOW}) - (SELECT ${sumOf('u.tree_space')} ${PENDING}),
       used_inodes = (SELECT COUNT(*) ${BELOW}) - (SELECT ${sumOf('u.tree_inodes')} ${PENDING}) WHERE inode = ?`,
    ino,
    ino,
  );

/** What the row should say, beside what it says: of the same moment. */
export const quotaCheck = (ino: Ino): Query<{ readonly row: QuotaRow; readonly found: Used }> =>
  query(
    `${DOWN} SELECT q.inode, ${QUOTA},
       (SELECT ${sumOf(NODE_SPACE)} ${BELOW}) - (SELECT ${sumOf('u.tree_space')} ${PENDING}),
       (SELECT COUNT(*) ${BELOW}) - (SELECT ${sumOf('u.tree_inodes')} ${PENDING})
     FROM jfs_dir_quota q WHERE q.inode = ?`,
    [ino, ino],
    (row) => ({ row: decodeRow(row), found: { space: bigintAt(row, 5), inodes: bigintAt(row, 6) } }),
  );
