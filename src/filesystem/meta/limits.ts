// What a volume, its directories, users and groups may grow to. Asked inside an operation, before its write: a limit is
// compared with what the database says, what sessions have committed and not yet added to that, and the growth; so no
// client of ours gets over it, however many there are. Of the original client's mounts the last seconds are not known.
import { fail } from '../../base/errors.ts';
import { type Op, type Query, query, read } from '../sql/op.ts';
import { OwnerKind, type OwnerRow, ownerLimit } from './owner-rows.ts';
import { pendingAtMost, pendingBelow, type QuotaRow, quotasAbove, type Used } from './quota-rows.ts';
import { bigintAt } from './rows.ts';
import type { Setting } from './setting.ts';
import { sumOf } from './space.ts';
import { counterValue } from './statements.ts';
import type { Ino } from './types.ts';
import type { OwnerDelta } from './usage-rows.ts';

export interface Growth extends Used {
  /** Whose it is; absent where nobody's usage grows. */
  readonly owner?: OwnerDelta | undefined;
  /** The same for several nodes at once. */
  readonly owners?: readonly OwnerDelta[];
}

const noGrowth: Used = { space: 0n, inodes: 0n };
const plus = (a: Used, b: Used): Used => ({ space: a.space + b.space, inodes: a.inodes + b.inodes });

const exceeds = (maxSpace: bigint, maxInodes: bigint, used: Used, growth: Used): boolean =>
  (growth.space > 0n && maxSpace > 0n && used.space + growth.space > maxSpace) ||
  (growth.inodes > 0n && maxInodes > 0n && used.inodes + growth.inodes > maxInodes);

const pendingTotal: Query<Used> = query(
  `SELECT ${sumOf('total_space')}, ${sumOf('total_inodes')} FROM pageseal_usage`,
  [],
  (row) => ({ space: bigintAt(row, 0), inodes: bigintAt(row, 1) }),
);

/** ENOSPC beyond the capacity or the number of inodes of the volume. Costs a flight only when it has limits. */
export function* checkVolumeLimits({ capacity, inodes }: Setting, growth: Used): Op<void> {
  if ((capacity <= 0n || growth.space <= 0n) && (inodes <= 0n || growth.inodes <= 0n)) return;
  const used = yield* volumeUsed();
  if (exceeds(capacity, 0n, used, growth))
    throw fail('ENOSPC', `capacity of the volume (${capacity} bytes) is used up`);
  if (exceeds(0n, inodes, used, growth)) throw fail('ENOSPC', `the volume may have ${inodes} inodes and has them`);
}

/** With everything that is pending. */
export function* volumeUsed(): Op<Used> {
  const [[space = 0n], [inodes = 0n], [late = noGrowth]] = yield* read(
    counterValue('usedSpace'),
    counterValue('totalInodes'),
    pendingTotal,
  );
  return plus({ space, inodes }, late);
}

/** EDQUOT beyond the quota of any directory above these; a directory that is named twice grows twice. */
export function* checkTreeLimits(parents: readonly Ino[], growth: Used, except: ReadonlySet<Ino>): Op<void> {
  if (parents.length === 0) return;
  const [[atMost = noGrowth], ...above] = yield* read(pendingAtMost, ...parents.map((parent) => quotasAbove(parent)));
  const grown = new Map<Ino, { readonly quota: QuotaRow; readonly growth: Used }>();
  for (const quota of above.flat())
    if (!except.has(quota.ino))
      grown.set(quota.ino, { quota, growth: plus(grown.get(quota.ino)?.growth ?? noGrowth, growth) });
  const near = [...grown.values()].filter((one) => isOver(one.quota, one.growth, atMost));
  if (near.length === 0) return;
  const pending = yield* read(...near.map(({ quota }) => pendingBelow(quota.ino)));
  for (const [i, { quota, growth: more }] of near.entries())
    if (isOver(quota, more, pending[i]?.[0] ?? noGrowth))
      throw fail('EDQUOT', `quota of directory ${quota.ino} is used up`);
}

const isOver = ({ maxSpace, maxInodes, usedSpace, usedInodes }: QuotaRow, growth: Used, pending: Used): boolean =>
  exceeds(maxSpace, maxInodes, plus({ space: usedSpace, inodes: usedInodes }, pending), growth);

/** EDQUOT beyond what a user or a group may have. */
export function* checkOwnerLimits({ owner, owners = [] }: Growth): Op<void> {
  const users = new Map<bigint, Used>();
  const groups = new Map<bigint, Used>();
  for (const one of owner === undefined ? owners : [owner, ...owners]) {
    users.set(BigInt(one.uid), plus(users.get(BigInt(one.uid)) ?? noGrowth, one));
    groups.set(BigInt(one.gid), plus(groups.get(BigInt(one.gid)) ?? noGrowth, one));
  }
  const asked = [
    ...[...users].map(([id, growth]) => ({ kind: OwnerKind.user, id, growth })),
    ...[...groups].map(([id, growth]) => ({ kind: OwnerKind.group, id, growth })),
  ].filter(({ growth }) => growth.space > 0n || growth.inodes > 0n);
  if (asked.length === 0) return;
  const rows = yield* read(...asked.map(ownerLimit));
  for (const [i, { growth }] of asked.entries()) checkOwner(rows[i]?.[0], growth);
}

function checkOwner(row: OwnerRow | undefined, growth: Used): void {
  if (row === undefined) return;
  const used = { space: row.usedSpace, inodes: row.usedInodes };
  if (exceeds(row.maxSpace, row.maxInodes, used, growth))
    throw fail('EDQUOT', `quota of ${row.kind === OwnerKind.user ? 'user' : 'group'} ${row.id} is used up`);
}
