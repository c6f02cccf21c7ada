// Usage of the volume, of directories and of quota trees (spec 5.10). Each operation leaves what it changed in a row of its
// own session, in its own transaction; a timer adds those rows to the figures that all clients share, which every writer
// would otherwise wait for. So a crash loses nothing: whoever opens the volume next adds what the dead left. Limits are
// checked against what the database said last plus what is not yet added.
import { fail } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { align4K } from '../../base/units.ts';
import { type Change, type Engine, type Op, query, read, withChanges, write } from '../sql/op.ts';
import { smaller } from './position.ts';
import { bigintAt } from './rows.ts';
import type { Setting } from './setting.ts';
import { counterValue } from './statements.ts';
import { type Attr, type Ino, NodeType, type VolumeUsage } from './types.ts';
import {
  addDirStats,
  addPending,
  addQuotaUsage,
  addVolumeUsage,
  type Delta,
  deletePending,
  hasStats,
  noDelta,
  type PendingRow,
  pendingOf,
  pendingRows,
  plus,
  type QuotaRow,
  quotasAbove,
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

export const negative = (delta: Delta): Delta => ({
  length: -delta.length,
  space: -delta.space,
  inodes: -delta.inodes,
});

/** The difference that a new length of a regular file makes; its inode counts already. */
export const growthOf = (oldLength: bigint, newLength: bigint): Delta => ({
  length: newLength - oldLength,
  space: align4K(newLength) - align4K(oldLength),
  inodes: 0n,
});

/** A directory of an hour of the trash, which belongs to root. */
export const hourUsage = (sign: 1n | -1n): UsageDelta => ({
  volume: true,
  length: 0n,
  space: sign * DIRECTORY_SPACE,
  inodes: sign,
});

export class Usage {
  readonly #engine: Engine;
  readonly #log: Log;
  readonly #setting: () => Setting;
  /** Changes when a heartbeat finds the session gone; its rows come along. */
  readonly #sid: () => bigint;
  /** As the counters said last. */
  #used = noDelta;
  #volume = noDelta;
  #trees = new Map<Ino, Delta>();
  #hasQuotas = false;
  #timer: NodeJS.Timeout | undefined;
  #flushing: Promise<void> = Promise.resolve();

  constructor(engine: Engine, log: Log, setting: () => Setting, sid: () => bigint) {
    this.#engine = engine;
    this.#log = log;
    this.#setting = setting;
    this.#sid = sid;
  }

  /** Whether any directory quota is set, as of the last refresh: without one, rename need not sum up trees. */
  get hasQuotas(): boolean {
    return this.#hasQuotas;
  }

  /**
   * At open and at each heartbeat: other clients change totals and quotas too. One that opens the volume adds our pending
   * rows as well, and what is pending here then has to go, or it would count twice from then on.
   */
  async refresh(): Promise<void> {
    const sid = this.#sid();
    const { space, inodes, hasQuotas, pending } = await this.#engine.view(function* () {
      const anyQuota = query('SELECT inode FROM jfs_dir_quota LIMIT 1', [], (row) => bigintAt(row, 0));
      const [used, total, quotas] = yield* read(counterValue('usedSpace'), counterValue('totalInodes'), anyQuota);
      // Read-only openings have no session, and perhaps not that table.
      const [rows] = sid === 0n ? [[]] : yield* read(pendingOf(sid));
      return { space: used[0] ?? 0n, inodes: total[0] ?? 0n, hasQuotas: quotas.length > 0, pending: rows };
    });
    this.#used = { length: 0n, space, inodes };
    this.#hasQuotas = hasQuotas;
    this.#volume = pending.reduce((sum, { total }) => plus(sum, total), noDelta);
    this.#trees.clear();
    for (const { ino, tree } of pending) this.#addTree(ino, tree);
  }

  /**
   * Inside an operation, before its write: may entries below these directories grow by so much? ENOSPC for the volume,
   * EDQUOT for a directory quota. Costs a flight only when the volume has quotas.
   */
  *checkGrowth(parents: Ino | readonly Ino[], growth: Pick<Delta, 'space' | 'inodes'>): Op<void> {
    if (growth.space <= 0n && growth.inodes <= 0n) return;
    this.#checkVolume(growth);
    if (!this.#hasQuotas || !this.#setting().dirStats) return;
    const list = typeof parents === 'bigint' ? [parents] : parents;
    const found = yield* read(...list.map((parent) => quotasAbove(parent)));
    for (const quota of found.flat()) this.#checkTree(quota, list, growth);
  }

  /**
   * The same for nodes that move or get another name: the volume's totals stay, and so does every quota that is above
   * `from` too.
   */
  *checkMove(from: Ino | undefined, to: Ino, growth: Pick<Delta, 'space' | 'inodes'>): Op<void> {
    if (!this.#hasQuotas || !this.#setting().dirStats) return;
    const [above, before] = yield* read(quotasAbove(to), quotasAbove(from ?? 0n));
    const unchanged = new Set(before.map(({ ino }) => ino));
    for (const quota of above) if (!unchanged.has(quota.ino)) this.#checkTree(quota, [to], growth);
  }

  #checkTree(quota: QuotaRow, parents: readonly Ino[], growth: Pick<Delta, 'space' | 'inodes'>): void {
    const pending = this.#pendingUnder(quota.ino, parents);
    const over = (max: bigint, used: bigint, by: bigint, more: bigint): boolean =>
      by > 0n && max > 0n && used + by + more > max;
    if (
      over(quota.maxSpace, quota.usedSpace, growth.space, pending.space) ||
      over(quota.maxInodes, quota.usedInodes, growth.inodes, pending.inodes)
    )
      throw fail('EDQUOT', `quota of directory ${quota.ino} is used up`);
  }

  #checkVolume(growth: Pick<Delta, 'space' | 'inodes'>): void {
    const { capacity, inodes } = this.#setting();
    const used = plus(this.#used, this.#volume);
    if (growth.space > 0n && capacity > 0n && used.space + growth.space > capacity)
      throw fail('ENOSPC', `capacity of the volume (${capacity} bytes) is used up`);
    if (growth.space > 0n && used.space + growth.space > MAX_SPACE)
      throw fail('ENOSPC', `lengths of all files of the volume, holes included, may sum up to ${MAX_SPACE} bytes`);
    if (growth.inodes > 0n && inodes > 0n && used.inodes + growth.inodes > inodes)
      throw fail('ENOSPC', `the volume may have ${inodes} inodes and has them`);
  }

  /** Deltas name the directory they happened in; those of the asked ones themselves are certainly below the quota. */
  #pendingUnder(quota: Ino, parents: readonly Ino[]): Delta {
    let sum = noDelta;
    for (const ino of new Set([quota, ...parents])) sum = plus(sum, this.#trees.get(ino) ?? noDelta);
    return sum;
  }

  /** The rows that keep what an operation changed: to be written in its own transaction. */
  changes(deltas: readonly UsageDelta[]): Change[] {
    const rows = new Map<Ino, { total: Delta; directory: Delta; tree: Delta }>();
    for (const delta of deltas) {
      const directory = this.#setting().dirStats ? delta.directory : undefined;
      const quotas = this.#hasQuotas ? delta.quotas : undefined;
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
    return [...rows].map(([ino, { total, directory, tree }]) => addPending(this.#sid(), ino, total, directory, tree));
  }

  /** After that commit: what limits are checked against. */
  applied(deltas: readonly UsageDelta[]): void {
    if (deltas.length === 0) return;
    for (const delta of deltas) {
      if (delta.volume === true) this.#volume = plus(this.#volume, { ...delta, length: 0n });
      if (delta.quotas !== undefined && this.#hasQuotas) this.#addTree(delta.quotas, delta);
    }
    this.#schedule();
  }

  #addTree(ino: Ino, { space, inodes }: Pick<Delta, 'space' | 'inodes'>): void {
    const sum = plus(this.#trees.get(ino) ?? noDelta, { length: 0n, space, inodes });
    if (sum.space === 0n && sum.inodes === 0n) this.#trees.delete(ino);
    else this.#trees.set(ino, sum);
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
   * Adds what is pending to the figures, also of sessions that are gone. One at a time. To be awaited before a directory
   * is renamed while hasQuotas: afterwards its pending changes would count for its new ancestors. `everyone`: of other
   * living sessions too (theirs are exact as well, and whoever adds them takes the rows).
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
    for (;;) {
      const rows = await this.#engine.run(() => addToFigures(sid, everyone));
      for (const row of rows) {
        this.#used = plus(this.#used, row.total);
        if (row.sid !== sid) continue;
        this.#volume = plus(this.#volume, negative(row.total));
        this.#addTree(row.ino, negative(row.tree));
      }
      if (rows.length < FLUSH_GROUP) return;
    }
  }

  /** Before the database closes: everything that is pending. */
  async close(): Promise<void> {
    await this.flush();
    clearTimeout(this.#timer);
  }

  /** Capacity or 1 PiB doubled until at most 80 % is used; the smallest quota around `root` wins. */
  async statfs(root: Ino): Promise<VolumeUsage> {
    const setting = this.#setting();
    const [space, inodes, quotas] = await this.#engine.view(function* () {
      const [used, total, above] = yield* read(
        counterValue('usedSpace'),
        counterValue('totalInodes'),
        quotasAbove(root),
      );
      return [used[0] ?? 0n, total[0] ?? 0n, above] as const;
    });
    const positive = (value: bigint): bigint => (value > 0n ? value : 0n);
    let usedBytes = positive(space + this.#volume.space);
    let usedInodes = positive(inodes + this.#volume.inodes);
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
      const pending = this.#pendingUnder(nearest.ino, [root]);
      usedBytes = positive(nearest.usedSpace + pending.space);
      usedInodes = positive(nearest.usedInodes + pending.inodes);
    }
    return { totalBytes: usedBytes + freeBytes, usedBytes, totalInodes: usedInodes + freeInodes, usedInodes };
  }
}

/** One transaction: rows go as their figures come. */
function* addToFigures(sid: bigint, everyone: boolean): Op<PendingRow[]> {
  const [rows] = yield* read(pendingRows(sid, everyone, FLUSH_GROUP));
  if (rows.length === 0) return rows;
  const directories = rows.filter((row) => !isNone(row.directory));
  const trees = rows.filter((row) => !isNone(row.tree));
  const known = yield* read(...directories.map(({ ino }) => hasStats(ino)));
  const quotas = yield* read(...trees.map(({ ino }) => quotasAbove(ino)));
  const made = new Set(directories.filter((_, i) => known[i]?.length === 0).map(({ ino }) => ino));
  yield* write(
    ...addVolumeUsage(rows.reduce((sum, { total }) => plus(sum, total), noDelta)),
    ...[...made].map(rebuildDirStats),
    ...directories.map(({ ino, directory }) => addDirStats(ino, directory)),
    ...trees.flatMap(({ tree }, i) => (quotas[i] ?? []).map((quota) => addQuotaUsage(quota.ino, tree))),
    ...rows.map(deletePending),
  );
  return rows;
}

const isNone = ({ length, space, inodes }: Delta): boolean => length === 0n && space === 0n && inodes === 0n;

/** The operation, and in its own write what it changed in the figures. */
export const counted = <R>(usage: Usage, operation: () => Op<R>, deltas: (result: R) => readonly UsageDelta[]): Op<R> =>
  withChanges(operation, (result) => usage.changes(deltas(result)));
