// Statements on jfs_user_group_quota (what users and groups own, and may) and on what sessions have pending for it. Files
// and directories count, once per node wherever they are, also in the trash; links and special files count nothing, but
// their owners have rows: so counts the original client's own check, which is what judges.
import { type Change, change, type Query, query, type Row } from '../sql/op.ts';
import { decodeQuota, type Limits, type Quota, type Used } from './quota-rows.ts';
import { bigintAt } from './rows.ts';
import { NODE_SPACE, sumOf } from './space.ts';
import { type Ino, ROOT, TRASH } from './types.ts';

/** qtype of a row. */
export const OwnerKind = { user: 1n, group: 2n } as const;
export type OwnerKind = (typeof OwnerKind)[keyof typeof OwnerKind];

export interface Owner {
  readonly kind: OwnerKind;
  readonly id: bigint;
}

export interface OwnerRow extends Owner, Quota {}

/** What a session committed and nobody has added to the rows yet. */
export interface PendingOwner extends Owner, Used {
  readonly sid: bigint;
}

const kindAt = (row: Row, i: number): OwnerKind =>
  bigintAt(row, i) === OwnerKind.user ? OwnerKind.user : OwnerKind.group;
const decodeRow = (row: Row): OwnerRow => ({ kind: kindAt(row, 0), id: bigintAt(row, 1), ...decodeQuota(row, 2) });

/** Rides in the operation's own transaction. A change of nothing makes the owner known. */
export const addPendingOwner = (sid: bigint, { kind, id }: Owner, { space, inodes }: Used): Change =>
  change(
    `INSERT INTO pageseal_owner_usage (sid, qtype, qkey, space, inodes) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (sid, qtype, qkey) DO UPDATE SET space = pageseal_owner_usage.space + excluded.space,
     inodes = pageseal_owner_usage.inodes + excluded.inodes`,
    ...[sid, kind, id, space, inodes],
  );

/** Of a session and of those that are gone; of all for `everyone`. */
export const pendingOwners = (sid: bigint, everyone: boolean, limit: number): Query<PendingOwner> =>
  query(
    `SELECT sid, qtype, qkey, space, inodes FROM pageseal_owner_usage
     ${everyone ? '' : 'WHERE sid = ? OR sid NOT IN (SELECT s.sid FROM jfs_session2 s)'} ORDER BY sid, qtype, qkey LIMIT ${limit} FOR UPDATE`,
    everyone ? [] : [sid],
    (row) => ({
      sid: bigintAt(row, 0),
      kind: kindAt(row, 1),
      id: bigintAt(row, 2),
      space: bigintAt(row, 3),
      inodes: bigintAt(row, 4),
    }),
  );

export const deletePendingOwner = ({ sid, kind, id }: PendingOwner): Change =>
  change('DELETE FROM pageseal_owner_usage WHERE sid = ? AND qtype = ? AND qkey = ?', sid, kind, id);

/** A session goes on under another id, which may have rows already. */
export const movePendingOwners = (from: bigint, to: bigint): Change =>
  change('UPDATE pageseal_owner_usage SET sid = ? WHERE sid = ?', to, from);

/** A row that is not there yet has no limits. */
export const addOwnerUsage = ({ kind, id, space, inodes }: Owner & Used): Change =>
  change(
    `INSERT INTO jfs_user_group_quota (qtype, qkey, max_space, max_inodes, used_space, used_inodes) VALUES (?, ?, -1, -1, ?, ?)
     ON CONFLICT (qtype, qkey) DO UPDATE SET used_space = jfs_user_group_quota.used_space + excluded.used_space,
     used_inodes = jfs_user_group_quota.used_inodes + excluded.used_inodes`,
    ...[kind, id, space, inodes],
  );

/** Of root, by a tool without a session: where owners are counted, there are rows. */
export const addRootUsage = ({ space, inodes }: Used): Change[] =>
  [OwnerKind.user, OwnerKind.group].map((kind) =>
    change(
      `INSERT INTO jfs_user_group_quota (qtype, qkey, max_space, max_inodes, used_space, used_inodes)
       SELECT ?, 0, -1, -1, ?, ? WHERE EXISTS (SELECT 1 FROM jfs_user_group_quota)
       ON CONFLICT (qtype, qkey) DO UPDATE SET used_space = jfs_user_group_quota.used_space + excluded.used_space,
       used_inodes = jfs_user_group_quota.used_inodes + excluded.used_inodes`,
      ...[kind, space, inodes],
    ),
  );

const COLUMNS = 'q.qtype, q.qkey, q.max_space, q.max_inodes, q.used_space, q.used_inodes';

export const anyOwnerLimit: Query<bigint> = query(
  'SELECT qkey FROM jfs_user_group_quota WHERE max_space > 0 OR max_inodes > 0 LIMIT 1',
  [],
  (row) => bigintAt(row, 0),
);

/** A user or a group by its number, or that of a node. */
export type OwnerRef = Owner | { readonly kind: OwnerKind; readonly of: Ino };

const latePlus = (used: string, pending: string): string =>
  `CAST(q.${used} + (SELECT COALESCE(SUM(u.${pending}), 0) FROM pageseal_owner_usage u WHERE u.qtype = q.qtype AND u.qkey = q.qkey) AS BIGINT)`;

/** Only when it has limits, and with everything that is pending. */
export function ownerLimit(ref: OwnerRef): Query<OwnerRow> {
  const column = ref.kind === OwnerKind.user ? 'uid' : 'gid';
  const key = 'id' in ref ? '?' : `(SELECT n.${column} FROM jfs_node n WHERE n.inode = ?)`;
  return query(
    `SELECT q.qtype, q.qkey, q.max_space, q.max_inodes, ${latePlus('used_space', 'space')}, ${latePlus('used_inodes', 'inodes')}
     FROM jfs_user_group_quota q WHERE q.qtype = ? AND q.qkey = ${key} AND (q.max_space > 0 OR q.max_inodes > 0)`,
    [ref.kind, 'id' in ref ? ref.id : ref.of],
    decodeRow,
  );
}

export const ownerRow = ({ kind, id }: Owner): Query<OwnerRow> =>
  query(`SELECT ${COLUMNS} FROM jfs_user_group_quota q WHERE q.qtype = ? AND q.qkey = ?`, [kind, id], decodeRow);

export const limitedOwners: Query<OwnerRow> = query(
  `SELECT ${COLUMNS} FROM jfs_user_group_quota q WHERE NOT (q.max_space = -1 AND q.max_inodes = -1) ORDER BY q.qtype, q.qkey`,
  [],
  decodeRow,
);

/** Absent limits stay; a new row has usage already when the volume counts owners, else it is counted with all others. */
export function setOwnerLimit({ kind, id }: Owner, { maxSpace, maxInodes }: Limits): Change {
  const sets = [
    ...(maxSpace === undefined ? [] : ['max_space = excluded.max_space']),
    ...(maxInodes === undefined ? [] : ['max_inodes = excluded.max_inodes']),
  ];
  return change(
    `INSERT INTO jfs_user_group_quota (qtype, qkey, max_space, max_inodes, used_space, used_inodes) VALUES (?, ?, ?, ?, 0, 0)
     ON CONFLICT (qtype, qkey) ${sets.length === 0 ? 'DO NOTHING' : `DO UPDATE SET ${sets.join(', ')}`}`,
    ...[kind, id, maxSpace ?? -1n, maxInodes ?? -1n],
  );
}

const COUNTS = 'CASE WHEN n.type IN (1, 2) THEN 1 ELSE 0 END';

/** What every owner has, less what is pending for it: what the rows should say. Unlinked files that are open count too. */
const found = (kind: OwnerKind): string => {
  const key = kind === OwnerKind.user ? 'n.uid' : 'n.gid';
  return `SELECT ${kind} AS qtype, ${key} AS qkey, ${sumOf(`${COUNTS} * ${NODE_SPACE}`)}
      - (SELECT ${sumOf('u.space')} FROM pageseal_owner_usage u WHERE u.qtype = ${kind} AND u.qkey = ${key}) AS space,
    ${sumOf(COUNTS)}
      - (SELECT ${sumOf('u.inodes')} FROM pageseal_owner_usage u WHERE u.qtype = ${kind} AND u.qkey = ${key}) AS inodes
    FROM jfs_node n WHERE n.inode NOT IN (${ROOT}, ${TRASH}) GROUP BY ${key}`;
};
const FOUND = `${found(OwnerKind.user)} UNION ALL ${found(OwnerKind.group)}`;
/** What is pending for owners who have nothing any more. */
const LATE = `SELECT -${sumOf('u.space')} FROM pageseal_owner_usage u WHERE u.qtype = jfs_user_group_quota.qtype AND u.qkey = jfs_user_group_quota.qkey`;

/** All rows as they are found to be, those of owners who have nothing included; limits stay. In one transaction. */
export const recountOwners = (): Change[] => [
  change(
    `UPDATE jfs_user_group_quota SET used_space = (${LATE}), used_inodes = (${LATE.replace('u.space', 'u.inodes')})`,
  ),
  change(
    `INSERT INTO jfs_user_group_quota (qtype, qkey, max_space, max_inodes, used_space, used_inodes)
     SELECT f.qtype, f.qkey, -1, -1, f.space, f.inodes FROM (${FOUND}) f WHERE 1 = 1
     ON CONFLICT (qtype, qkey) DO UPDATE SET used_space = excluded.used_space, used_inodes = excluded.used_inodes`,
  ),
];

export interface OwnerCheck extends Owner {
  /** Undefined: there is no row. */
  readonly says: Used | undefined;
  readonly found: Used;
}

/** Every row that is not what it should be, and every one that is missing. */
export const wrongOwners: Query<OwnerCheck> = query(
  `SELECT f.qtype, f.qkey, f.space, f.inodes, CASE WHEN q.qkey IS NULL THEN 0 ELSE 1 END, q.used_space, q.used_inodes
   FROM (${FOUND}) f LEFT JOIN jfs_user_group_quota q ON q.qtype = f.qtype AND q.qkey = f.qkey
   WHERE q.qkey IS NULL OR q.used_space <> f.space OR q.used_inodes <> f.inodes
   UNION ALL
   SELECT q.qtype, q.qkey, -COALESCE(u.space, 0), -COALESCE(u.inodes, 0), 1, q.used_space, q.used_inodes
   FROM jfs_user_group_quota q LEFT JOIN (SELECT qtype, qkey, ${sumOf('space')} AS space, ${sumOf('inodes')} AS inodes
     FROM pageseal_owner_usage GROUP BY qtype, qkey) u ON u.qtype = q.qtype AND u.qkey = q.qkey
   WHERE NOT EXISTS (SELECT 1 FROM jfs_node n WHERE n.inode NOT IN (${ROOT}, ${TRASH})
     AND ((q.qtype = 1 AND n.uid = q.qkey) OR (q.qtype = 2 AND n.gid = q.qkey)))
   AND (q.used_space <> -COALESCE(u.space, 0) OR q.used_inodes <> -COALESCE(u.inodes, 0))`,
  [],
  (row) => ({
    kind: kindAt(row, 0),
    id: bigintAt(row, 1),
    found: { space: bigintAt(row, 2), inodes: bigintAt(row, 3) },
    says: bigintAt(row, 4) === 0n ? undefined : { space: bigintAt(row, 5), inodes: bigintAt(row, 6) },
  }),
);
