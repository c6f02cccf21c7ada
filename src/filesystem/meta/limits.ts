// What a volume, its directories, users and groups may grow to. An operation asks for the limits that may be in its way
// in its first flight and compares before its write: what the database says, what sessions have committed and not yet
// added to that, and the growth. Near a limit it asks again under a lock; so no client of ours gets over one, however many
// there are. Of the original client's
// mounts the last seconds are not known.
import { fail } from '../../base/errors.ts';
import { type Op, type Query, query, read } from '../sql/op.ts';
import { type Owner, OwnerKind, type OwnerRow } from './owner-rows.ts';
import { exactQuota, type Quota, type QuotaRow, type Used } from './quota-rows.ts';
import { bigintAt } from './rows.ts';
import type { Ino } from './types.ts';
import { lockFigures, type OwnerDelta } from './usage-rows.ts';

export interface Growth extends Used {
  /** Whose it is; absent where nobody's usage grows. */
  readonly owner?: OwnerDelta | undefined;
  /** The same for several nodes at once. */
  readonly owners?: readonly OwnerDelta[];
}

/** One that may be in the way, with what is used of it. */
export type Limit = (
  | { readonly of: 'volume'; readonly max: Used; readonly used: Used }
  /** Once for each way up; what is used is at most so much: see `exactQuota`. */
  | { readonly of: 'tree'; readonly quota: QuotaRow }
  | { readonly of: 'owner'; readonly owner: OwnerRow }
) & {
  /** How it was asked for. */
  readonly ask: Query<Limit>;
};

export type TreeLimit = Extract<Limit, { readonly of: 'tree' }>;

type Found = Limit extends infer L ? (L extends Limit ? Omit<L, 'ask'> : never) : never;

const noGrowth: Used = { space: 0n, inodes: 0n };
const plus = (a: Used, b: Used): Used => ({ space: a.space + b.space, inodes: a.inodes + b.inodes });

const exceeds = (max: Used, used: Used, growth: Used): boolean =>
  (growth.space > 0n && max.space > 0n && used.space + growth.space > max.space) ||
  (growth.inodes > 0n && max.inodes > 0n && used.inodes + growth.inodes > max.inodes);

const total = (counter: string, column: string): string =>
  `CAST(COALESCE((SELECT c.value FROM jfs_counter c WHERE c.name = '${counter}'), 0) + COALESCE(SUM(u.${column}), 0) AS BIGINT)`;

/** With everything that is pending; of one moment. */
export const volumeUsed: Query<Used> = query(
  `SELECT ${total('usedSpace', 'total_space')}, ${total('totalInodes', 'total_inodes')} FROM pageseal_usage u`,
  [],
  (row) => ({ space: bigintAt(row, 0), inodes: bigintAt(row, 1) }),
);

/** The rows of a query as limits. */
export function asLimit<T>(inner: Query<T>, limit: (found: T) => Found): Query<Limit> {
  const ask: Query<Limit> = { ...inner, decode: (row) => ({ ...limit(inner.decode(row)), ask }) as Limit };
  return ask;
}

/**
 * Operations that may be under way at the same time, each unseen by the others: who leaves room for as many of its own
 * size need not wait for them. Twenty clients with three connections each.
 */
const AT_ONCE = 64n;

/**
 * ENOSPC beyond the capacity or the number of inodes of the volume, EDQUOT beyond the quota of a directory, a user or a
 * group. Costs flights only near a limit: there one operation after the other looks at it, and takes effect before the
 * next one does.
 */
export function* checkLimits(limits: readonly Limit[], growth: Growth, except: ReadonlySet<Ino> = new Set()): Op<void> {
  if (!isNear(limits, growth, except)) return;
  const asked = [...new Set(limits.map(({ ask }) => ask))];
  const [, ...again] = yield* read(lockFigures, ...asked);
  const settled = again.flat();
  checkVolume(settled, growth);
  checkOwners(settled, growth);
  yield* checkTrees(settled, growth, except);
}

function isNear(limits: readonly Limit[], growth: Growth, except: ReadonlySet<Ino>): boolean {
  const grown = ownersGrown(growth);
  return limits.some((limit) => {
    if (limit.of === 'volume') return exceeds(limit.max, limit.used, times(growth, AT_ONCE));
    if (limit.of === 'owner') {
      const more = grown.get(ownerKey(limit.owner));
      return more !== undefined && isOver(limit.owner, times(more, AT_ONCE));
    }
    return !except.has(limit.quota.ino) && isOver(limit.quota, times(growth, AT_ONCE));
  });
}

const times = ({ space, inodes }: Used, factor: bigint): Used => ({ space: space * factor, inodes: inodes * factor });

function checkVolume(limits: readonly Limit[], growth: Used): void {
  for (const limit of limits) {
    if (limit.of !== 'volume') continue;
    const { max, used } = limit;
    if (exceeds({ space: max.space, inodes: 0n }, used, growth))
      throw fail('ENOSPC', `capacity of the volume (${max.space} bytes) is used up`);
    if (exceeds({ space: 0n, inodes: max.inodes }, used, growth))
      throw fail('ENOSPC', `the volume may have ${max.inodes} inodes and has them`);
  }
}

/**
 * One to which several ways lead grows as many times. Where it comes to it, a flight tells what is pending for just that
 * directory.
 */
function* checkTrees(limits: readonly Limit[], growth: Used, except: ReadonlySet<Ino>): Op<void> {
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

const isOver = ({ maxSpace, maxInodes, usedSpace, usedInodes }: Quota, growth: Used): boolean =>
  exceeds({ space: maxSpace, inodes: maxInodes }, { space: usedSpace, inodes: usedInodes }, growth);

function checkOwners(limits: readonly Limit[], growth: Growth): void {
  const grown = ownersGrown(growth);
  for (const limit of limits) {
    if (limit.of !== 'owner') continue;
    const { kind, id } = limit.owner;
    const more = grown.get(ownerKey(limit.owner));
    if (more !== undefined && isOver(limit.owner, more))
      throw fail('EDQUOT', `quota of ${kind === OwnerKind.user ? 'user' : 'group'} ${id} is used up`);
  }
}

const ownerKey = ({ kind, id }: Owner): string => `${kind} ${id}`;

function ownersGrown(growth: Growth): ReadonlyMap<string, Used> {
  const grown = new Map<string, Used>();
  for (const { used, ...owner } of ownersOf(growth))
    grown.set(ownerKey(owner), plus(grown.get(ownerKey(owner)) ?? noGrowth, used));
  return grown;
}

/** Each user and group that something grows for. */
export const ownersOf = ({ owner, owners = [] }: Growth): (Owner & { readonly used: Used })[] =>
  (owner === undefined ? owners : [owner, ...owners]).flatMap((used) => [
    { kind: OwnerKind.user, id: BigInt(used.uid), used },
    { kind: OwnerKind.group, id: BigInt(used.gid), used },
  ]);
