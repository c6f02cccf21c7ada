// Usage of the volume, of directories and of quota trees (spec 5.10). Operations report what they changed after their
// commit; the sums are kept in memory and added to the database from a timer and at close, so a crash can lose the last
// seconds of them. Limits are checked against what the database said last plus what is not yet flushed.
import { fail } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { align4K } from '../../base/units.ts';
import { type Engine, type Op, query, read, write } from '../sql/op.ts';
import { bigintAt } from './rows.ts';
import type { Setting } from './setting.ts';
import { counterValue } from './statements.ts';
import { type Attr, type Ino, NodeType, type VolumeUsage } from './types.ts';
import {
  addDirStats,
  addQuotaUsage,
  addVolumeUsage,
  type Delta,
  hasStats,
  noDelta,
  plus,
  type QuotaRow,
  quotasAbove,
  rebuildDirStats,
} from './usage-rows.ts';

/** Volume totals and directory sums, as the original client flushes them; quotas every third time. */
const FLUSH_MS = 1000;
const QUOTA_FLUSH_MS = 3000;
/** Directories in one flush transaction. */
const FLUSH_GROUP = 500;
const PIB = 1n << 50n;
const TEN_MI = 10n << 20n;

/** What an entry of this node counts in its directory: only regular files have a data length. */
export const weightOf = (attr: Pick<Attr, 'type' | 'length'>): Delta => ({
  length: attr.type === NodeType.file ? attr.length : 0,
  space: attr.type === NodeType.file ? align4K(attr.length) : 4096,
  inodes: 1,
});

export const negative = (delta: Delta): Delta => ({
  length: -delta.length,
  space: -delta.space,
  inodes: -delta.inodes,
});

/** The difference that a new length of a regular file makes; its inode counts already. */
export const growthOf = (oldLength: number, newLength: number): Delta => ({
  length: newLength - oldLength,
  space: align4K(newLength) - align4K(oldLength),
  inodes: 0,
});

export class Usage {
  readonly #engine: Engine;
  readonly #log: Log;
  readonly #setting: () => Setting;
  /** As the counters said last. */
  #used = noDelta;
  #volume = noDelta;
  #directories = new Map<Ino, Delta>();
  #trees = new Map<Ino, Delta>();
  #hasQuotas = false;
  #timer: NodeJS.Timeout | undefined;
  #quotaTimer: NodeJS.Timeout | undefined;
  #flushing: Promise<void> = Promise.resolve();

  constructor(engine: Engine, log: Log, setting: () => Setting) {
    this.#engine = engine;
    this.#log = log;
    this.#setting = setting;
  }

  /** Whether any directory quota is set, as of the last refresh: without one, rename need not sum up trees. */
  get hasQuotas(): boolean {
    return this.#hasQuotas;
  }

  /** At open and at each heartbeat: other clients change totals and quotas too. */
  async refresh(): Promise<void> {
    const [space, inodes, quota] = await this.#engine.view(function* () {
      const anyQuota = query('SELECT inode FROM jfs_dir_quota LIMIT 1', [], (row) => bigintAt(row, 0));
      const [used, total, quotas] = yield* read(counterValue('usedSpace'), counterValue('totalInodes'), anyQuota);
      return [used[0] ?? 0n, total[0] ?? 0n, quotas.length > 0] as const;
    });
    this.#used = { length: 0, space: Number(space), inodes: Number(inodes) };
    this.#hasQuotas = quota;
  }

  /**
   * Inside an operation, before its write: may entries below these directories grow by so much? ENOSPC for the volume,
   * EDQUOT for a directory quota. Costs a flight only when the volume has quotas.
   */
  *checkGrowth(parents: Ino | readonly Ino[], growth: Pick<Delta, 'space' | 'inodes'>): Op<void> {
    if (growth.space <= 0 && growth.inodes <= 0) return;
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
    const over = (max: bigint, used: bigint, by: number, more: number): boolean =>
      by > 0 && max > 0n && used + BigInt(by + more) > max;
    if (
      over(quota.maxSpace, quota.usedSpace, growth.space, pending.space) ||
      over(quota.maxInodes, quota.usedInodes, growth.inodes, pending.inodes)
    )
      throw fail('EDQUOT', `quota of directory ${quota.ino} is used up`);
  }

  #checkVolume(growth: Pick<Delta, 'space' | 'inodes'>): void {
    const { capacity, inodes } = this.#setting();
    const used = plus(this.#used, this.#volume);
    if (growth.space > 0 && capacity > 0n && BigInt(used.space + growth.space) > capacity)
      throw fail('ENOSPC', `capacity of the volume (${capacity} bytes) is used up`);
    if (growth.inodes > 0 && inodes > 0n && BigInt(used.inodes + growth.inodes) > inodes)
      throw fail('ENOSPC', `the volume may have ${inodes} inodes and has them`);
  }

  /** Deltas name the directory they happened in; those of the asked ones themselves are certainly below the quota. */
  #pendingUnder(quota: Ino, parents: readonly Ino[]): Delta {
    let sum = noDelta;
    for (const ino of new Set([quota, ...parents])) sum = plus(sum, this.#trees.get(ino) ?? noDelta);
    return sum;
  }

  /** An entry came, went or grew in `parent`: volume totals, the directory's sums and the quotas above. */
  add(parent: Ino, delta: Delta): void {
    this.addVolume(delta);
    this.addDirectory(parent, delta);
    this.addTree(parent, delta);
  }

  /** Volume totals only: nodes that go without an entry (the last close of an unlinked file). */
  addVolume(delta: Pick<Delta, 'space' | 'inodes'>): void {
    this.#volume = plus(this.#volume, { ...delta, length: 0 });
    this.#schedule();
  }

  /** The direct sums of one directory only: a move within the volume. */
  addDirectory(ino: Ino, delta: Delta): void {
    if (!this.#setting().dirStats) return;
    this.#directories.set(ino, plus(this.#directories.get(ino) ?? noDelta, delta));
    this.#schedule();
  }

  /** Quotas of `ino` and of all directories above it. Resolved at the flush: see settle. */
  addTree(ino: Ino, delta: Pick<Delta, 'space' | 'inodes'>): void {
    if (!this.#hasQuotas) return;
    this.#trees.set(ino, plus(this.#trees.get(ino) ?? noDelta, { ...delta, length: 0 }));
    this.#quotaTimer ??= setTimeout(() => this.#background(() => this.settle()), QUOTA_FLUSH_MS).unref();
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => this.#background(() => this.flush()), FLUSH_MS).unref();
  }

  #background(work: () => Promise<void>): void {
    work().catch((thrown: unknown) => {
      this.#log.warn('usage not flushed, trying again', { reason: String(thrown) });
      this.#schedule();
    });
  }

  /**
   * Adds pending quota deltas to the rows. To be awaited before a directory is renamed while hasQuotas: afterwards its
   * pending changes would count for its new ancestors.
   */
  async settle(): Promise<void> {
    clearTimeout(this.#quotaTimer);
    this.#quotaTimer = undefined;
    const taken = this.#trees;
    if (taken.size === 0) return;
    this.#trees = new Map();
    try {
      await this.#engine.run(() => flushTrees(taken));
    } catch (thrown) {
      for (const [ino, delta] of taken) this.#trees.set(ino, plus(this.#trees.get(ino) ?? noDelta, delta));
      throw thrown;
    }
  }

  /** Adds pending volume totals and directory sums to the rows. One at a time. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const next = this.#flushing.then(() => this.#flush());
    this.#flushing = next.catch(() => undefined);
    return next;
  }

  async #flush(): Promise<void> {
    const volume = this.#volume;
    const taken = this.#directories;
    if (volume === noDelta && taken.size === 0) return;
    this.#volume = noDelta;
    this.#directories = new Map();
    // What is being flushed counts as used from now on.
    this.#used = plus(this.#used, volume);
    let totals = volume;
    try {
      do {
        const group = [...taken].slice(0, FLUSH_GROUP);
        const sum = totals;
        await this.#engine.run(() => flushDirectories(sum, group));
        totals = noDelta;
        for (const [ino] of group) taken.delete(ino);
      } while (taken.size > 0);
    } catch (thrown) {
      this.#volume = plus(this.#volume, totals);
      this.#used = plus(this.#used, { length: 0, space: -totals.space, inodes: -totals.inodes });
      for (const [ino, delta] of taken) this.#directories.set(ino, plus(this.#directories.get(ino) ?? noDelta, delta));
      throw thrown;
    }
  }

  /** Before the database closes: everything that is pending. */
  async close(): Promise<void> {
    await this.flush();
    await this.settle();
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
    let usedBytes = positive(space + BigInt(this.#volume.space));
    let usedInodes = positive(inodes + BigInt(this.#volume.inodes));
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
      usedBytes = positive(nearest.usedSpace + BigInt(pending.space));
      usedInodes = positive(nearest.usedInodes + BigInt(pending.inodes));
    }
    return { totalBytes: usedBytes + freeBytes, usedBytes, totalInodes: usedInodes + freeInodes, usedInodes };
  }
}

const smaller = (a: bigint, b: bigint): bigint => (a < b ? a : b);

function* flushDirectories(volume: Delta, group: readonly (readonly [Ino, Delta])[]): Op<void> {
  const found = yield* read(...group.map(([ino]) => hasStats(ino)));
  const directories = group.map(([ino, delta], i) =>
    found[i]?.length === 0 ? rebuildDirStats(ino) : addDirStats(ino, delta),
  );
  yield* write(...addVolumeUsage(volume), ...directories);
}

function* flushTrees(taken: ReadonlyMap<Ino, Delta>): Op<void> {
  const entries = [...taken];
  const found = yield* read(...entries.map(([ino]) => quotasAbove(ino)));
  yield* write(...entries.flatMap(([, delta], i) => (found[i] ?? []).map((quota) => addQuotaUsage(quota.ino, delta))));
}
