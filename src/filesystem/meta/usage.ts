// Usage of the volume, of directories and of quota trees, of users and groups (spec 5.10). Each operation leaves what it
// changed in rows of its own session, in its own transaction; a timer adds those rows to the figures that all clients
// share, which every writer would otherwise wait for. So a crash loses nothing: whoever opens the volume next adds what the
// dead left. At any moment a figure and what is pending for it together are exact.
import { fail } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { align4K } from '../../base/units.ts';
import type { Caller } from '../../base/words.ts';
import { type Change, type Engine, type Op, type Query, read, withChanges, write } from '../sql/op.ts';
import { asLimit, checkLimits, type Growth, type Limit, ownersOf, volumeUsed } from './limits.ts';
import {
  addOwnerUsage,
  addPendingOwner,
  anyOwnerLimit,
  deletePendingOwner,
  type Owner,
  OwnerKind,
  type OwnerRef,
  ownerLimit,
  pendingOwners,
} from './owner-rows.ts';
import { inTrash } from './permission.ts';
import { smaller } from './position.ts';
import {
  addQuotaUsage,
  anyQuota,
  exactQuota,
  type QuotaRow,
  quotasAbove,
  treeLimits,
  treeLimitsOfBoth,
  type Used,
} from './quota-rows.ts';
import type { Setting } from './setting.ts';
import { counterValue, nodeById } from './statements.ts';
import { type Attr, type Ino, NodeType, type VolumeUsage } from './types.ts';
import {
  addDirStats,
  addPending,
  addVolumeUsage,
  type Delta,
  deletePending,
  hasStats,
  lockFigures,
  noDelta,
  type OwnerDelta,
  pendingRows,
  plus,
  rebuildDirStats,
  type UsageDelta,
} from './usage-rows.ts';

/** As the original client flushes them. */
const FLUSH_MS = 1000;
/** Rows in one flush transaction. */
const FLUSH_GROUP = 500;
const DIRECTORY_SPACE = 4096n;
/**
 * Sums are signed 64-bit columns, and a few sparse files can fill them: a sum that overflows would be lost. Half of the
 * range is left, since several clients may grow files before any of them sees the sum.
 */
const MAX_SPACE = 1n << 62n;
const PIB = 1n << 50n;
const TEN_MI = 10n << 20n;

/** What an entry of this node counts in its directory: only regular files have a data length. */
export const weightOf = (attr: Pick<Attr, 'type' | 'length'>): Delta => ({
  length: attr.type === NodeType.file ? attr.length : 0n,
  space: attr.type === NodeType.file ? align4K(attr.length) : 4096n,
  inodes: 1n,
});

/** The difference that a new length of a regular file makes; its inode counts already. */
export const growthOf = (oldLength: bigint, newLength: bigint): Delta => ({
  length: newLength - oldLength,
  space: align4K(newLength) - align4K(oldLength),
  inodes: 0n,
});

/** The same with whose growth it is. */
export function fileGrowth({ uid, gid, length }: Attr, newLength: bigint): Delta & { readonly owner: OwnerDelta } {
  const growth = growthOf(length, newLength);
  return { ...growth, owner: { uid, gid, space: growth.space, inodes: 0n } };
}

/** A directory of an hour of the trash, which belongs to root. */
export const hourUsage = (sign: 1n | -1n): UsageDelta => ({
  volume: true,
  length: 0n,
  space: sign * DIRECTORY_SPACE,
  inodes: sign,
  owner: { uid: 0, gid: 0, space: sign * DIRECTORY_SPACE, inodes: sign },
});

/** What is going to grow, for `limitsOf`. */
export interface Growing {
  /** An entry in this directory. */
  readonly directory?: Ino;
  /** The contents of this file, wherever it has names. */
  readonly file?: Ino;
  readonly volume?: boolean;
  /** May name one twice. */
  readonly owners?: readonly OwnerRef[];
}

export const growingFile = (ino: Ino): Growing => ({
  file: ino,
  volume: true,
  owners: [
    { kind: OwnerKind.user, of: ino },
    { kind: OwnerKind.group, of: ino },
  ],
});

/** The group is the caller's or the directory's. */
export const growingDirectory = (ino: Ino, { uid, gid }: Pick<Caller, 'uid' | 'gid'>): Growing => ({
  directory: ino,
  volume: true,
  owners: [
    { kind: OwnerKind.user, id: BigInt(uid) },
    { kind: OwnerKind.group, id: BigInt(gid) },
    { kind: OwnerKind.group, of: ino },
  ],
});

export class Usage {
  readonly #engine: Engine;
  readonly #log: Log;
  readonly #setting: () => Setting;
  /** Changes when a heartbeat finds the session gone; its rows come along. */
  readonly #sid: () => bigint;
  /** Space of the volume as of the last refresh, and what this client has added since. */
  #space = 0n;
  #hasQuotas = false;
  #hasOwnerLimits = false;
  #timer: NodeJS.Timeout | undefined;
  #flushing: Promise<void> = Promise.resolve();

  constructor(engine: Engine, log: Log, setting: () => Setting, sid: () => bigint) {
    this.#engine = engine;
    this.#log = log;
    this.#setting = setting;
    this.#sid = sid;
  }

  /** At open and at each heartbeat: limits that others set are kept from then on. Usage is counted in any case. */
  async refresh(): Promise<void> {
    const { space, quotas, owners } = await this.#engine.view(function* () {
      const [[used = 0n], trees, limits] = yield* read(counterValue('usedSpace'), anyQuota, anyOwnerLimit);
      return { space: used, quotas: trees.length > 0, owners: limits.length > 0 };
    });
    this.#space = space;
    this.#hasQuotas = quotas;
    this.#hasOwnerLimits = owners;
  }

  /** What an operation asks for in its first flight, so that its growth can be checked; nothing where there are no limits. */
  limitsOf({ directory, file, volume = false, owners = [] }: Growing): Query<Limit>[] {
    const { capacity, inodes, dirStats, userGroupQuota } = this.#setting();
    const asked: Query<Limit>[] = [];
    if (volume && (capacity > 0n || inodes > 0n))
      asked.push(asLimit(volumeUsed, (used) => ({ of: 'volume', max: { space: capacity, inodes }, used })));
    if (this.#hasOwnerLimits && userGroupQuota)
      for (const ref of owners) asked.push(asLimit(ownerLimit(ref), (owner) => ({ of: 'owner', owner })));
    const below = directory ?? file;
    if (this.#hasQuotas && dirStats && below !== undefined)
      asked.push(
        asLimit(treeLimits(below, file === undefined ? 'directory' : 'file'), (quota) => ({ of: 'tree', quota })),
      );
    return asked;
  }

  /** Limits or not: what moves has to be counted for a quota that was set a moment ago, too. */
  quotasAbove(from: Ino, to: Ino): Query<{ readonly origin: Ino; readonly quota: QuotaRow }> | undefined {
    return this.#setting().dirStats ? treeLimitsOfBoth(from, to) : undefined;
  }

  /** Before the operation's write. ENOSPC for the volume, EDQUOT for a directory, a user or a group. */
  *checkGrowth(limits: readonly Limit[], growth: Growth): Op<void> {
    if (growth.space <= 0n && growth.inodes <= 0n) return;
    if (growth.space > 0n && this.#space + growth.space > MAX_SPACE)
      throw fail('ENOSPC', `lengths of all files of the volume, holes included, may sum up to ${MAX_SPACE} bytes`);
    yield* checkLimits(limits, growth);
  }

  /** The same with a flight of its own, for work that takes many. */
  *checkAnew(directory: Ino | undefined, growth: Growth): Op<void> {
    const owners = ownersOf(growth);
    const limits = yield* read(...this.limitsOf({ ...(directory && { directory }), volume: true, owners }));
    yield* this.checkGrowth(limits.flat(), growth);
  }

  /** The rows that keep what an operation changed: to be written in its own transaction. */
  changes(deltas: readonly UsageDelta[]): Change[] {
    const { dirStats, userGroupQuota } = this.#setting();
    const rows = new Map<Ino, { total: Delta; directory: Delta; tree: Delta }>();
    for (const delta of deltas) {
      const directory = dirStats ? delta.directory : undefined;
      const quotas = dirStats ? delta.quotas : undefined;
      if (delta.volume === true || directory !== undefined || quotas !== undefined) {
        const ino = directory ?? quotas ?? 0n;
        if (quotas !== undefined && quotas !== ino) throw fail('internal', `usage of ${ino} and ${quotas} in one`);
        const row = rows.get(ino) ?? { total: noDelta, directory: noDelta, tree: noDelta };
        if (delta.volume === true) row.total = plus(row.total, delta);
        if (directory !== undefined) row.directory = plus(row.directory, delta);
        if (quotas !== undefined) row.tree = plus(row.tree, delta);
        rows.set(ino, row);
      }
    }
    const sid = this.#sid();
    // In one order, as whoever adds them to the figures locks them.
    const ordered = [...rows].sort(([a], [b]) => (a < b ? -1 : 1));
    return [
      ...ordered.map(([ino, { total, directory, tree }]) => addPending(sid, ino, total, directory, tree)),
      ...(userGroupQuota ? ownerChanges(deltas).map(({ owner, used }) => addPendingOwner(sid, owner, used)) : []),
    ];
  }

  /** After that commit. */
  applied(deltas: readonly UsageDelta[]): void {
    if (deltas.length === 0) return;
    for (const delta of deltas) if (delta.volume === true) this.#space += delta.space;
    this.#schedule();
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => {
      this.flush().catch((thrown: unknown) => {
        this.#log.warn('usage not flushed, trying again', { reason: String(thrown) });
        this.#schedule();
      });
    }, FLUSH_MS).unref();
  }

  /**
   * Adds what is pending to the figures, also of sessions that are gone. One at a time. `everyone`: of other living
   * sessions too (theirs are exact as well, and whoever adds them takes the rows).
   */
  flush(everyone = false): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const next = this.#flushing.then(() => this.#flush(everyone));
    this.#flushing = next.catch(() => undefined);
    return next;
  }

  async #flush(everyone: boolean): Promise<void> {
    const sid = this.#sid();
    for (const group of [addToFigures, addToOwners])
      while ((await this.#engine.run(() => group(sid, everyone))) >= FLUSH_GROUP);
  }

  /** Before the database closes: everything that is pending. */
  async close(): Promise<void> {
    await this.flush();
    clearTimeout(this.#timer);
  }

  /**
   * Capacity or 1 PiB doubled until at most 80 % is used; the smallest quota around `ino` wins, or around `root` when it
   * has none.
   */
  async statfs(ino: Ino, root = ino): Promise<VolumeUsage> {
    const setting = this.#setting();
    // Read-only openings have no session, and perhaps not the tables of what is pending.
    const ours = this.#sid() !== 0n;
    const { used, quotas } = await this.#engine.view(() => usageAt([ino, root], ours));
    let usedBytes = positive(used.space);
    let usedInodes = positive(used.inodes);
    let totalBytes = setting.capacity;
    if (totalBytes === 0n) for (totalBytes = PIB; usedBytes * 10n > totalBytes * 8n; ) totalBytes *= 2n;
    let freeInodes = positive(setting.inodes - usedInodes);
    if (setting.inodes === 0n) for (freeInodes = TEN_MI; usedInodes > 4n * freeInodes; ) freeInodes *= 2n;
    let freeBytes = positive(totalBytes - usedBytes);
    for (const quota of quotas) {
      if (quota.maxSpace > 0n) freeBytes = smaller(freeBytes, positive(quota.maxSpace - quota.usedSpace));
      if (quota.maxInodes > 0n) freeInodes = smaller(freeInodes, positive(quota.maxInodes - quota.usedInodes));
    }
    const [nearest] = quotas;
    if (nearest !== undefined) {
      usedBytes = positive(nearest.usedSpace);
      usedInodes = positive(nearest.usedInodes);
    }
    return { totalBytes: usedBytes + freeBytes, usedBytes, totalInodes: usedInodes + freeInodes, usedInodes };
  }
}

const positive = (value: bigint): bigint => (value > 0n ? value : 0n);

/** Totals of the volume, and the quotas above a directory, nearest first; with everything that is pending. */
function* usageAt(
  [near, far]: readonly [Ino, Ino],
  ours: boolean,
): Op<{ readonly used: Used; readonly quotas: readonly QuotaRow[] }> {
  const [nearer, outer, [used = noDelta], [space = 0n], [inodes = 0n]] = yield* read(
    quotasAbove(near),
    far === near ? undefined : quotasAbove(far),
    ours ? volumeUsed : undefined,
    ours ? undefined : counterValue('usedSpace'),
    ours ? undefined : counterValue('totalInodes'),
  );
  const above = nearer.length > 0 ? nearer : outer;
  if (!ours) return { used: { space, inodes }, quotas: above };
  const quotas = yield* read(...above.map(({ ino }) => exactQuota(ino)));
  return { used, quotas: quotas.flat() };
}

/** One change per user and group; those of nothing too, since their owner may be new. */
function ownerChanges(deltas: readonly UsageDelta[]): { readonly owner: Owner; readonly used: Used }[] {
  const changes = new Map<string, { owner: Owner; used: Used }>();
  const add = (owner: Owner, { space, inodes }: Used): void => {
    const key = `${owner.kind}-${owner.id}`;
    const used = changes.get(key)?.used ?? { space: 0n, inodes: 0n };
    changes.set(key, { owner, used: { space: used.space + space, inodes: used.inodes + inodes } });
  };
  for (const { owner } of deltas) {
    if (owner === undefined) continue;
    add({ kind: OwnerKind.user, id: BigInt(owner.uid) }, owner);
    add({ kind: OwnerKind.group, id: BigInt(owner.gid) }, owner);
  }
  return [...changes.values()].sort((a, b) => order(a.owner, b.owner));
}

/** That of the rows' key. */
const order = (a: Owner, b: Owner): number => (a.kind === b.kind ? (a.id < b.id ? -1 : 1) : a.kind < b.kind ? -1 : 1);

/** One transaction: rows go as their figures come. */
function* addToFigures(sid: bigint, everyone: boolean): Op<number> {
  const [, rows, anyTree] = yield* read(lockFigures, pendingRows(sid, everyone, FLUSH_GROUP), anyQuota);
  if (rows.length === 0) return 0;
  const directories = rows.filter((row) => !isNone(row.directory));
  const trees = anyTree.length === 0 ? [] : rows.filter((row) => !isNone(row.tree));
  const known = yield* read(...directories.map(({ ino }) => hasStats(ino)));
  const quotas = yield* read(...trees.map(({ ino }) => quotasAbove(ino)));
  const without = directories.filter((_, i) => known[i]?.length === 0).map(({ ino }) => ino);
  // Locked: a directory that goes meanwhile would leave its sums behind.
  const there = yield* read(...without.sort((a, b) => (a < b ? -1 : 1)).map((ino) => nodeById(ino, true)));
  const made = there.flat().filter((node) => !inTrash(node));
  yield* write(
    ...addVolumeUsage(rows.reduce((sum, { total }) => plus(sum, total), noDelta)),
    ...made.map(({ ino }) => rebuildDirStats(ino)),
    ...directories.map(({ ino, directory }) => addDirStats(ino, directory)),
    ...trees.flatMap(({ tree }, i) => (quotas[i] ?? []).map((quota) => addQuotaUsage(quota.ino, tree))),
    ...rows.map(deletePending),
  );
  return rows.length;
}

/** The same for what users and groups own. */
function* addToOwners(sid: bigint, everyone: boolean): Op<number> {
  const [, rows] = yield* read(lockFigures, pendingOwners(sid, everyone, FLUSH_GROUP));
  if (rows.length > 0) yield* write(...rows.map(addOwnerUsage), ...rows.map(deletePendingOwner));
  return rows.length;
}

const isNone = ({ length, space, inodes }: Delta): boolean => length === 0n && space === 0n && inodes === 0n;

/** The operation, and in its own write what it changed in the figures. */
export const counted = <R>(usage: Usage, operation: () => Op<R>, deltas: (result: R) => readonly UsageDelta[]): Op<R> =>
  withChanges(operation, (result) => usage.changes(deltas(result)));
