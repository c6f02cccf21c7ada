// One of several processes leads: it holds a Lease and renews it. By the rules of client-go: nobody's clock but one's own
// counts, since another's lease is over when it was not seen to change for its duration; the leader gives up before that.
import { setTimeout as sleep } from 'node:timers/promises';
import { FsError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { isConflict } from './api-error.ts';
import type { KubeClient } from './client.ts';
import { microTimeText } from './conditions.ts';
import type { Lease } from './objects.ts';
import { leases } from './resources.ts';

export interface LeaderOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly name: string;
  /** Of this process alone. */
  readonly identity: string;
  readonly times?: LeaderTimes;
}

export interface LeaderTimes {
  readonly leaseMs: number;
  /** A leader that could not renew for so long stops leading; less than leaseMs, so that never two lead. */
  readonly renewWithinMs: number;
  readonly retryMs: number;
}

const TIMES: LeaderTimes = { leaseMs: 15_000, renewWithinMs: 10_000, retryMs: 2000 };
/** client-go spreads its attempts as much. */
const JITTER = 1.2;

export class Leader {
  readonly #options: LeaderOptions;
  readonly #times: LeaderTimes;
  #seen: { readonly version: string; readonly at: number } | undefined;
  /** Somebody else held it at the last look. */
  #taken = false;

  constructor(options: LeaderOptions) {
    this.#options = options;
    this.#times = options.times ?? TIMES;
  }

  /**
   * Waits for its turn, leads until told to end or until the lease is lost, gives the lease back. `lead` is told by its
   * signal. Answers whether the lease was lost.
   */
  async run(lead: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<'ended' | 'lost'> {
    while (!signal.aborted && !(await this.#attempt())) await this.#pause(signal);
    if (signal.aborted) return 'ended';
    log.info('leading', { lease: this.#options.name, identity: this.#options.identity });
    const ended = new AbortController();
    const over = new AbortController();
    const leading = lead(AbortSignal.any([signal, over.signal])).finally(() => ended.abort());
    // Renewed until the work has ended, which may be after it was told to.
    const keeping = this.#keep(ended.signal).then((lost) => {
      if (lost) over.abort();
      return lost;
    });
    const [worked, kept] = await Promise.allSettled([leading, keeping]);
    const lost = kept.status === 'rejected' || kept.value;
    if (lost) log.error('the lease was lost', { lease: this.#options.name });
    else await this.#release();
    if (worked.status === 'rejected') throw worked.reason;
    return lost ? 'lost' : 'ended';
  }

  async #pause(signal: AbortSignal): Promise<void> {
    const ms = this.#times.retryMs * (1 + Math.random() * (JITTER - 1));
    await sleep(ms, undefined, { signal }).catch(() => undefined);
  }

  /** True once renewing failed for too long. */
  async #keep(signal: AbortSignal): Promise<boolean> {
    let renewed = performance.now();
    while (!signal.aborted) {
      await this.#pause(signal);
      if (signal.aborted) return false;
      if (await this.#attempt()) renewed = performance.now();
      // Written by another: it was taken away, and nothing is to be waited for.
      else if (this.#taken || performance.now() - renewed > this.#times.renewWithinMs) return true;
    }
    return false;
  }

  /** Whether the lease is ours now. */
  async #attempt(): Promise<boolean> {
    try {
      return await this.#take();
    } catch (thrown) {
      // Somebody else wrote it meanwhile.
      if (!isConflict(thrown)) log.warn('the lease cannot be read or written', { error: FsError.from(thrown).message });
      return false;
    }
  }

  async #take(): Promise<boolean> {
    const { client, namespace, name, identity } = this.#options;
    const signal = AbortSignal.timeout(this.#times.renewWithinMs);
    const found = await client.find(leases, { namespace, name }, signal);
    const now = microTimeText(new Date());
    const seconds = Math.max(1, Math.round(this.#times.leaseMs / 1000));
    const mine = { holderIdentity: identity, leaseDurationSeconds: seconds, renewTime: now };
    if (found === undefined) {
      const spec = { ...mine, acquireTime: now, leaseTransitions: 0 };
      await client.create(leases, { metadata: { namespace, name }, spec });
      return true;
    }
    const { spec = {} } = found;
    this.#taken = spec.holderIdentity !== identity && spec.holderIdentity !== '';
    if (spec.holderIdentity === identity) {
      await client.replace(leases, { ...found, spec: { ...spec, ...mine } });
      return true;
    }
    if (!this.#isOver(found)) return false;
    const leaseTransitions = (spec.leaseTransitions ?? 0) + 1;
    await client.replace(leases, { ...found, spec: { ...mine, acquireTime: now, leaseTransitions } });
    return true;
  }

  /** Given back, or not changed for its duration by our own clock. */
  #isOver({ metadata, spec }: Lease): boolean {
    if (spec?.holderIdentity === undefined || spec.holderIdentity === '') return true;
    const version = metadata.resourceVersion ?? '';
    if (this.#seen?.version !== version) this.#seen = { version, at: performance.now() };
    const ms = (spec.leaseDurationSeconds ?? 0) * 1000 || this.#times.leaseMs;
    return performance.now() - this.#seen.at > ms;
  }

  /** So that the next one need not wait. */
  async #release(): Promise<void> {
    const { client, namespace, name, identity } = this.#options;
    try {
      const found = await client.get(leases, { namespace, name });
      if (found.spec?.holderIdentity !== identity) return;
      const now = microTimeText(new Date());
      const spec = { ...found.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: now };
      await client.replace(leases, { ...found, spec });
      log.info('gave the lease back', { lease: name });
    } catch (thrown) {
      log.warn('the lease could not be given back', { error: FsError.from(thrown).message });
    }
  }
}
