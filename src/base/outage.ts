// What is away and comes back: a database or an object store of one mount. Who needs it waits here and tries again, each
// within a bound of its own, and all of them within one bound from the moment it went away: with many who wait one after
// the other nobody's wait adds up, and once the bound is over everybody is told after one attempt, until it is back.
import { type Clock, realClock } from './clock.ts';
import { type FsError, fail, hasCode } from './errors.ts';
import type { Log } from './log.ts';
import { type Counter, counter, gauge } from './metrics.ts';
import { pauseMs } from './retry.ts';

/** How long who waits for what is away, milliseconds. */
export interface Waits {
  /** Data that was written and is not yet stored and committed; behind it fsync and close, and writers without room. */
  readonly writeMs: number;
  /** Everything else that an application waits for: reads, and operations on names and attributes. */
  readonly otherMs: number;
  /** All of that from the moment the mount is to end. */
  readonly endMs: number;
}

export const usualWaits: Waits = {
  // A fail-over and a minute's network cut are well below; as long as the original client's ten attempts with their pauses.
  writeMs: 300_000,
  // A reader holds nothing that could be lost; longer than a minute's cut and the slowest attempt after it.
  otherMs: 120_000,
  // Once to flush and once to close fit into what a keeper gives its worker, and a pod's 30 s into one of them.
  endMs: 20_000,
};

/**
 * What the original client's number of attempts comes to: after the n-th one it waits for n squared seconds. Whoever waits
 * here is told after the same time.
 */
export function waitsOfAttempts(attempts: number): Pick<Waits, 'writeMs' | 'otherMs'> {
  let seconds = 0;
  for (let n = 1; n < attempts; n++) seconds += n * n;
  return { writeMs: seconds * 1000, otherMs: Math.min(seconds * 1000, usualWaits.otherMs) };
}

/** For who does one thing and ends: told after one attempt. */
export const noWaits: Waits = { writeMs: 0, otherMs: 0, endMs: 0 };

/** The first pause is short, since most restarts are; the longest is what a mount adds to the end of an outage. */
const PAUSES = { attempts: Number.POSITIVE_INFINITY, baseMs: 200, capMs: 3000, when: () => true };
/** Without any attempt for so long nothing is known: the next failure begins a new outage. */
const FORGET_MS = 120_000;

export type Wanted = 'store' | 'metadata';

const codes = { store: 'store-unavailable', metadata: 'metadata-unavailable' } as const;

/** Credentials run out and are renewed, while the mount goes on. */
const isAwayError = (thrown: unknown, what: Wanted): thrown is FsError =>
  hasCode(thrown, codes[what], 'unauthenticated');

export class Outage {
  readonly #what: Wanted;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #outages: Counter;
  /** Somebody waits, or did, and it has not been back since. */
  #told = false;
  #since: number | undefined;
  #lastFailure = 0;
  #endAt = Number.POSITIVE_INFINITY;

  constructor(what: Wanted, log: Log, clock: Clock = realClock) {
    this.#what = what;
    this.#log = log;
    this.#clock = clock;
    this.#outages = counter('pageseal_outages_total', 'Times the store or the database was away', {
      name: 'what',
      value: what,
    });
    gauge(`pageseal_${what}_away_seconds`, `For how long the ${what} has been away; 0: it is there`, () =>
      this.#since === undefined ? 0 : Math.round((clock.now() - this.#since) / 1000),
    );
  }

  /** The last that was heard is that it is away. */
  get away(): boolean {
    return this.#since !== undefined;
  }

  /** From now on nobody waits longer than so. */
  endWithin(ms: number): void {
    this.#endAt = Math.min(this.#endAt, this.#clock.now() + ms);
  }

  /** What is left of that. */
  get endsInMs(): number {
    return Math.max(0, this.#endAt - this.#clock.now());
  }

  /**
   * Tries again while it is away, up to `forMs`; rejects as the last attempt did, and at once with what no attempt mends.
   * `signal` ends a pause with `cancelled`; it is asked for only when there is one.
   */
  outlast<T>(work: (attempt: number) => Promise<T>, forMs: number, signal?: () => AbortSignal | undefined): Promise<T> {
    const began = this.#clock.now();
    return this.watched(work(1)).catch((thrown: unknown) => this.#again(work, began + forMs, forMs, thrown, signal));
  }

  /** Takes note of how an attempt ended, and waits for nothing. */
  watched<T>(work: Promise<T>): Promise<T> {
    return work.then(
      (result) => {
        if (this.#since !== undefined) this.#back();
        return result;
      },
      (thrown: unknown) => {
        if (isAwayError(thrown, this.#what)) this.#gone();
        else if (this.#since !== undefined && !hasCode(thrown, 'cancelled', 'EINTR')) this.#back();
        throw thrown;
      },
    );
  }

  async #again<T>(
    work: (attempt: number) => Promise<T>,
    ownEnd: number,
    forMs: number,
    first: unknown,
    signal?: () => AbortSignal | undefined,
  ): Promise<T> {
    let thrown = first;
    for (let attempt = 1; isAwayError(thrown, this.#what); attempt++) {
      const now = this.#clock.now();
      const until = Math.min(ownEnd, (this.#since ?? now) + forMs, this.#endAt);
      if (now >= until) throw thrown;
      this.#tell(thrown);
      await this.#pause(Math.min(pauseMs(PAUSES, attempt), until - now), thrown, signal?.());
      try {
        return await this.watched(work(attempt + 1));
      } catch (next) {
        thrown = next;
      }
    }
    throw thrown;
  }

  /** A moment by its clock. */
  moment(ms: number, signal: AbortSignal): Promise<void> {
    return this.#clock.sleep(ms, signal);
  }

  async #pause(ms: number, failure: FsError, signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.#clock.sleep(ms, signal);
    } catch {
      throw fail('cancelled', `waiting for the ${this.#what}: cancelled`, { cause: failure });
    }
  }

  #gone(): void {
    const now = this.#clock.now();
    const known = this.#since !== undefined && now - this.#lastFailure < FORGET_MS;
    this.#lastFailure = now;
    if (known) return;
    this.#since = now;
    this.#told = false;
  }

  #tell(thrown: FsError): void {
    if (this.#told) return;
    this.#told = true;
    this.#outages.inc();
    this.#log.warn(`${this.#what} is away: what needs it waits`, { error: thrown.message });
  }

  #back(): void {
    const seconds = Math.round((this.#clock.now() - (this.#since ?? 0)) / 1000);
    this.#since = undefined;
    if (this.#told) this.#log.info(`${this.#what} is back`, { seconds });
    this.#told = false;
  }
}

/** Both of a mount, and how long who waits for them. */
export interface Outages {
  readonly store: Outage;
  readonly metadata: Outage;
  readonly waits: Waits;
}

export function outagesOf(log: Log, waits: Partial<Waits> = {}, clock?: Clock): Outages {
  return {
    store: new Outage('store', log, clock),
    metadata: new Outage('metadata', log, clock),
    waits: { ...usualWaits, ...waits },
  };
}

export const isAway = ({ store, metadata }: Outages): boolean => store.away || metadata.away;

export function endWithin({ store, metadata, waits }: Outages): void {
  store.endWithin(waits.endMs);
  metadata.endWithin(waits.endMs);
}

/** How often it is looked whether what did not end in time waits for something that is away. */
const LOOK_MS = 1000;

/** For the end of a mount, after `endWithin`: what hangs because something is away is given up, whatever attempt it is in. */
export async function unlessAway<T>(work: Promise<T>, outages: Outages, attempted: string): Promise<T> {
  const ended = new AbortController();
  try {
    return await Promise.race([work, giveUp(outages, attempted, ended.signal)]);
  } finally {
    ended.abort();
  }
}

async function giveUp(outages: Outages, attempted: string, ended: AbortSignal): Promise<never> {
  const { metadata, waits } = outages;
  for (let ms = metadata.endsInMs + LOOK_MS; ; ms = LOOK_MS) {
    await metadata.moment(ms, ended);
    if (!isAway(outages)) continue;
    const [code, what] = metadata.away
      ? (['metadata-unavailable', 'metadata'] as const)
      : (['store-unavailable', 'store'] as const);
    throw fail(code, `${attempted}: the ${what} is away, given up after ${waits.endMs / 1000} s`);
  }
}
