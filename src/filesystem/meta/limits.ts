// What a volume, its directories, users and groups may grow to. An operation asks for the limits that may be in its way
// in its first flight and compares before its write: what the database says, what sessions have committed and not yet
// added to that, and the growth; so no client of ours gets over a limit, however many there are. Of the original client's
// mounts the last seconds are not known.
import { fail } from '../../base/errors.ts';
import { type Op, type Query, query, read } from '../sql/op.ts';
import { type Owner, OwnerKind, type OwnerRow } from './owner-rows.ts';
import { exactQuota, type QuotaRow, type Used } from './quota-rows.ts';
import { bigintAt } from './rows.ts';
import type { Setting } from './setting.ts';
import type { Ino } from './types.ts';
import type { OwnerDelta } from './usage-rows.ts';

export interface Growth extends Used {
  /** Whose it is; absent where nobody's usage grows. */
  readonly owner?: OwnerDelta | undefined;
  /** The same for several nodes at once. */
  readonly owners?: readonly OwnerDelta[];
}

/** One that may be in the way, with what is used of it. */
export type Limit =
  | { readonly of: 'volume'; readonly used: Used }
  | TreeLimit
  | { readonly of: 'owner'; readonly owner: OwnerRow };

/** Once for each way up; what is used is at most so much: see `exactQuota`. */
export interface TreeLimit {
  readonly of: 'tree';
  readonly quota: QuotaRow;
}

const noGrowth: Used = { space: 0n, inodes: 0n };
const plus = (a: Used, b: Used): Used => ({ space: a.space + b.space, inodes: a.inodes + b.inodes });

const exceeds = (maxSpace: bigint, maxInodes: bigint, used: Used, growth: Used): boolean =>
  (growth.space > 0n && maxSpace > 0n && used.space + growth.space > maxSpace) ||
  (growth.inodes > 0n && maxInodes > 0n && used.inodes + growth.inodes > maxInodes);

const total = (counter: string, column: string): string =>
  `CAST(COALESCE((SELECT c.value FROM jfs_counter c WHERE c.name = '${counter}'), 0) + COALESCE(SUM(u.${column}), 0) AS BIGINT)`;

/** With everything that is pending; of one moment. */
export const volumeUsed: Query<Used> = query(
  `SELECT ${total('usedSpace', 'total_space')}, ${total('totalInodes', 'total_inodes')} FROM pageseal_usage u`,
  [],
  (row) => ({ space: bigintAt(row, 0), inodes: bigintAt(row, 1) }),
);

/** The rows of a query as limits. */
export const asLimit = <T>(inner: Query<T>, limit: (found: T) => Limit): Query<Limit> => ({
  ...inner,
  decode: (row) => limit(inner.decode(row)),
});

/** ENOSPC beyond the capacity or the number of inodes of the volume. */
export function checkVolume(limits: readonly Limit[], { capacity, inodes }: Setting, growth: Used): void {
  for (const limit of limits) {
    if (limit.of !== 'volume') continue;
    if (exceeds(capacity, 0n, limit.used, growth))
      throw fail('ENOSPC', `capacity of the volume (${capacity} bytes) is used up`);
    if (exceeds(0n, inodes, limit.used, growth))
      throw fail('ENOSPC', `the volume may have ${inodes} inodes and has them`);
  }
}

/**
 * EDQUOT beyond the quota of any directory above; one to which several ways lead grows as many times. Costs a flight only
 * near a limit: then it has to be known what is pending for just that directory.
 */
export function* checkTrees(limits: readonly Limit[], growth: Used, except: ReadonlySet<Ino> = new Set()): Op<void> {
  const grown = new Map<Ino, { readonly quota: QuotaRow; readonly growth: Used }>();
  for (const limit of limits) {
    if (limit.of !== 'tree' || except.has(limit.quota.ino)) continue;
    const { quota } = limit;
    grown.set(quota.ino, { quota, growth: plus(grown.get(quota.ino)?.growth ?? noGrowth, growth) });
  }
  const near = [...grown.values()].filter((one) => isOver(one.quota, one.growth));
  const exact = yield* read(...near.map(({ quota }) => exactQuota(quota.ino)));
  for (const [i, { growth: more }] of near.entries()) {
    const [quota] = exact[i] ?? [];
    if (quota !== undefined && isOver(quota, more)) throw fail('EDQUOT', `quota of directory ${quota.ino} is used up`);
  }
}

const isOver = ({ maxSpace, maxInodes, usedSpace, usedInodes }: QuotaRow, growth: Used): boolean =>
  exceeds(maxSpace, maxInodes, { space: usedSpace, inodes: usedInodes }, growth);

/** EDQUOT beyond what a user or a group may have. */
export function checkOwners(limits: readonly Limit[], growth: Growth): void {
  const grown = new Map<string, Used>();
  for (const { kind, id, used } of ownersOf(growth))
    grown.set(`${kind} ${id}`, plus(grown.get(`${kind} ${id}`) ?? noGrowth, used));
  for (const limit of limits) {
    if (limit.of !== 'owner') continue;
    const { kind, id, maxSpace, maxInodes, usedSpace, usedInodes } = limit.owner;
    const more = grown.get(`${kind} ${id}`);
    if (more !== undefined && exceeds(maxSpace, maxInodes, { space: usedSpace, inodes: usedInodes }, more))
      throw fail('EDQUOT', `quota of ${kind === OwnerKind.user ? 'user' : 'group'} ${id} is used up`);
  }
}

/** Each user and group that something grows for. */
export const ownersOf = ({ owner, owners = [] }: Growth): (Owner & { readonly used: Used })[] =>
  (owner === undefined ? owners : [owner, ...owners]).flatMap((used) => [
    { kind: OwnerKind.user, id: BigInt(used.uid), used },
    { kind: OwnerKind.group, id: BigInt(used.gid), used },
  ]);
