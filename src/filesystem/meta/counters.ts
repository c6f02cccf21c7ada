// Ids that are never given out twice, and the election of background jobs, both by rows of jfs_counter. Increments are
// durable before their ids are used: an id that a power cut makes free again would give one object two contents.
import { fail } from '../../base/errors.ts';
import { type Engine, type Op, read, write } from '../sql/op.ts';
import { addToLocked, counterValue } from './statements.ts';

/** The original client's batches; what is left of one at the end is lost, which the format allows. */
export const INODE_BATCH = 1024n;
export const SLICE_BATCH = 4096n;
/** The next batch is fetched when this part of the current one is left. */
const PREFETCH_PART = 10n;
/** 0 is nothing and 1 the root; a counter that says so was written by nobody. */
const FIRST_ID = 1n;

/** Adds n and answers the new value. */
export function* increment(name: string, n: bigint): Op<bigint> {
  const [[value]] = yield* read(counterValue(name, true));
  yield* write(addToLocked(name, value, n));
  return (value ?? 0n) + n;
}

interface Batch {
  next: bigint;
  readonly end: bigint;
}

export class IdBatches {
  readonly #engine: Engine;
  readonly #counter: string;
  readonly #size: bigint;
  #current: Batch = { next: 0n, end: 0n };
  #following: Batch | undefined;
  #fetching: Promise<void> | undefined;

  constructor(engine: Engine, counter: string, size: bigint) {
    this.#engine = engine;
    this.#counter = counter;
    this.#size = size;
  }

  /** All who find none left wait for the same fetch, and hear of its failure together. */
  async next(): Promise<bigint> {
    for (;;) {
      const id = this.#take();
      if (id !== undefined) return id;
      await this.#fetch();
    }
  }

  #take(): bigint | undefined {
    if (this.#current.next >= this.#current.end) {
      if (this.#following === undefined) return undefined;
      this.#current = this.#following;
      this.#following = undefined;
    }
    const batch = this.#current;
    const id = batch.next;
    batch.next += 1n;
    const left = batch.end - batch.next;
    if (left * PREFETCH_PART <= this.#size && this.#following === undefined && this.#fetching === undefined)
      // A failure shows at the next call, which fetches again.
      this.#fetch().catch(() => undefined);
    return id;
  }

  #fetch(): Promise<void> {
    this.#fetching ??= this.#engine
      // Ids of a batch whose answer was lost are not used.
      .run(() => increment(this.#counter, this.#size), { durable: true, looksItself: true })
      .then((end) => {
        const next = end - this.#size;
        if (next < FIRST_ID)
          throw fail('metadata-damaged', `counter ${this.#counter}: wanted 1 or more, found ${next}`);
        this.#following = { next, end };
      })
      .finally(() => {
        this.#fetching = undefined;
      });
    return this.#fetching;
  }
}

/**
 * Set-if-small: one client per interval gets true and runs the job. Seconds, as the format has them.
 */
export function* electJob(counter: string, nowSeconds: bigint, interval: bigint): Op<boolean> {
  const [[last]] = yield* read(counterValue(counter, true));
  if ((last ?? 0n) > nowSeconds - interval) return false;
  yield* write(addToLocked(counter, last, nowSeconds - (last ?? 0n)));
  return true;
}
