// Figures that are kept beside what they count: totals of the volume, sums of directories, usage of quotas. They are
// written some time after what they count, so they are compared only while nobody is at work, or when asked for.

import { treeUsage } from '../meta/namespace-statements.ts';
import { type OwnerCheck, OwnerKind, wrongOwners } from '../meta/owner-rows.ts';
import { bigintAt } from '../meta/rows.ts';
import { NODE_LENGTH, NODE_SPACE, sumOf } from '../meta/space.ts';
import { type Ino, TRASH } from '../meta/types.ts';
import { type Engine, type Op, query, type Row, read } from '../sql/op.ts';
import { type Check, type Scope, scopeSql } from './checks.ts';

const at = (row: Row, i: number): bigint => bigintAt(row, i);

const counted = `n.inode NOT IN (1, ${TRASH})`;

/** What the counters should say. */
export const usedSpaceSql = `SELECT ${sumOf(NODE_SPACE)} FROM jfs_node n WHERE ${counted}`;
export const totalInodesSql = `SELECT COUNT(*) FROM jfs_node n WHERE ${counted}`;

const totalChecks: readonly Check[] = [
  {
    kind: 'wrong-space',
    whole: true,
    sql: `SELECT t.used AS subject, c.value FROM jfs_counter c, (SELECT (${usedSpaceSql}) AS used) t
      WHERE c.name = 'usedSpace' AND c.value <> t.used`,
    say: (row) => `${at(row, 1)} bytes are counted as used, ${at(row, 0)} are`,
  },
  {
    kind: 'wrong-inodes',
    whole: true,
    sql: `SELECT t.used AS subject, c.value FROM jfs_counter c, (SELECT (${totalInodesSql}) AS used) t
      WHERE c.name = 'totalInodes' AND c.value <> t.used`,
    say: (row) => `${at(row, 1)} inodes are counted as used, ${at(row, 0)} are`,
  },
];

/** Each directory with its sums and those of its entries; directories in the trash need no sums. */
const sums = `SELECT p.inode AS subject, s.inode AS kept, s.data_length, s.used_space, s.used_inodes,
    COALESCE(r.length, 0), COALESCE(r.space, 0), COALESCE(r.inodes, 0)
  FROM jfs_node p LEFT JOIN jfs_dir_stats s ON s.inode = p.inode
  LEFT JOIN (SELECT e.parent AS parent, ${sumOf(NODE_LENGTH)} AS length, ${sumOf(NODE_SPACE)} AS space, COUNT(*) AS inodes
    FROM jfs_edge e JOIN jfs_node n ON n.inode = e.inode GROUP BY e.parent) r ON r.parent = p.inode
  WHERE p.type = 2 AND p.inode <> ${TRASH}`;

const sumChecks: readonly Check[] = [
  {
    kind: 'missing-sums',
    // The original client makes the root's with its first entry.
    sql: `${sums} AND p.inode < ${TRASH} AND p.parent < ${TRASH} AND s.inode IS NULL AND (p.inode <> 1 OR r.inodes > 0)
      AND NOT EXISTS (SELECT 1 FROM jfs_detached_node d WHERE d.inode = p.inode)`,
    say: (row) => `directory ${at(row, 0)} has no sums of its entries`,
  },
  {
    kind: 'wrong-sums',
    sql: `${sums} AND s.inode IS NOT NULL AND (s.data_length <> COALESCE(r.length, 0)
      OR s.used_space <> COALESCE(r.space, 0) OR s.used_inodes <> COALESCE(r.inodes, 0))`,
    say: (row) =>
      `directory ${at(row, 0)} counts ${at(row, 2)} bytes, ${at(row, 3)} of space and ${at(row, 4)} entries; ` +
      `it has ${at(row, 5)}, ${at(row, 6)} and ${at(row, 7)}`,
  },
];

export const figureChecks = (dirStats: boolean): readonly Check[] => [...totalChecks, ...(dirStats ? sumChecks : [])];

export interface QuotaUsage {
  readonly ino: Ino;
  readonly counted: { readonly space: bigint; readonly inodes: bigint };
  readonly is: { readonly space: bigint; readonly inodes: bigint };
}

/** Quotas whose usage is not that of their trees. */
export async function wrongQuotas(engine: Engine, scope: Scope | undefined): Promise<QuotaUsage[]> {
  const where = scope === undefined ? '' : 'WHERE q.inode IN (SELECT inode FROM scope)';
  const text = `${scope === undefined ? '' : scopeSql(scope)} SELECT q.inode, q.used_space, q.used_inodes FROM jfs_dir_quota q ${where}`;
  const quotas = await engine.view(function* () {
    const [found] = yield* read(
      query(text, [], (row) => ({ ino: at(row, 0), counted: { space: at(row, 1), inodes: at(row, 2) } })),
    );
    return found;
  });
  const wrong: QuotaUsage[] = [];
  for (const { ino, counted } of quotas) {
    const is = await engine.view(() => usageOf(ino));
    if (is.space !== counted.space || is.inodes !== counted.inodes) wrong.push({ ino, counted, is });
  }
  return wrong;
}

function* usageOf(ino: Ino): Op<{ readonly space: bigint; readonly inodes: bigint }> {
  const [[found]] = yield* read(treeUsage(ino));
  return { space: found?.space ?? 0n, inodes: found?.inodes ?? 0n };
}

export async function wrongOwnersOf(engine: Engine): Promise<OwnerCheck[]> {
  const [found] = await engine.view(() => read(wrongOwners));
  return found;
}

export const sayOwner = ({ kind, id, says, found }: OwnerCheck): string =>
  `${kind === OwnerKind.user ? 'user' : 'group'} ${id} counts ${says?.space ?? 'no'} bytes and ${says?.inodes ?? 'no'} ` +
  `inodes, and owns ${found.space} and ${found.inodes}`;

export const sayQuota = ({ ino, counted, is }: QuotaUsage): string =>
  `quota of directory ${ino} counts ${counted.space} bytes and ${counted.inodes} inodes, it has ${is.space} and ${is.inodes}`;
