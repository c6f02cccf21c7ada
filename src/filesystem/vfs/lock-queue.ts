// Those of this mount who wait for a lock on one file. A lock given back here goes to the next of them at once; for one
// that another client holds the queue looks now and then, once for all who wait. A look is a read: only who is free to
// have the lock asks for it.
import { FsError, fail } from '../../base/errors.ts';
import { conflictOf } from '../meta/lock-ranges.ts';
import type { HeldLocks, LockAnswer, LockRequest } from '../meta/locks.ts';
import type { Meta } from '../meta/meta.ts';

/** From the first look to the slowest pace, doubling: an idle waiter costs ten short reads a second. */
const FIRST_MS = 2;
const SLOWEST_MS = 100;

interface Waiter {
  readonly request: LockRequest;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (answer: LockAnswer) => void;
  readonly reject: (error: FsError) => void;
  readonly onAbort: () => void;
}

type LockMeta = Pick<Meta, 'locksOn' | 'setLock' | 'sessionId'>;

export class LockQueue {
  readonly #meta: LockMeta;
  readonly #empty: () => void;
  readonly #waiters = new Set<Waiter>();
  /** The one whose request is with the database: it may have the lock before it hears that it was interrupted. */
  #asking: Waiter | undefined;
  #looking = false;
  #again = false;
  #timer: NodeJS.Timeout | undefined;
  #delay = FIRST_MS;

  /** `empty` is called whenever nobody waits any more. */
  constructor(meta: LockMeta, empty: () => void) {
    this.#meta = meta;
    this.#empty = empty;
  }

  /** Resolves with the lock held; rejects with EINTR when interrupted, without it. */
  wait(request: LockRequest, signal: AbortSignal | undefined): Promise<LockAnswer> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { request, signal, resolve, reject, onAbort: () => this.#interrupted(waiter) };
      if (signal?.aborted === true) return reject(interrupted(request));
      signal?.addEventListener('abort', waiter.onAbort);
      this.#waiters.add(waiter);
      this.wake();
    });
  }

  /** A lock on the file was given back, or somebody new waits. */
  wake(): void {
    this.#delay = FIRST_MS;
    if (this.#looking) {
      this.#again = true;
      return;
    }
    clearTimeout(this.#timer);
    this.#timer = undefined;
    void this.#look();
  }

  #interrupted(waiter: Waiter): void {
    if (this.#asking !== waiter) this.#leave(waiter)?.reject(interrupted(waiter.request));
  }

  #leave(waiter: Waiter): Waiter | undefined {
    if (!this.#waiters.delete(waiter)) return undefined;
    waiter.signal?.removeEventListener('abort', waiter.onAbort);
    if (this.#waiters.size === 0) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#empty();
    }
    return waiter;
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    this.#looking = true;
    try {
      do {
        this.#again = false;
        await this.#serve();
      } while (this.#again && this.#waiters.size > 0);
    } catch (thrown) {
      const error = FsError.from(thrown, 'wait for a lock');
      for (const waiter of [...this.#waiters]) this.#leave(waiter)?.reject(error);
    }
    this.#looking = false;
    if (this.#waiters.size === 0) return;
    this.#timer = setTimeout(() => void this.#look(), this.#delay);
    this.#delay = Math.min(2 * this.#delay, SLOWEST_MS);
  }

  /** In the order in which they came. */
  async #serve(): Promise<void> {
    let holders: readonly HeldLocks[] | undefined;
    for (const waiter of this.#waiters) {
      const { family, ino } = waiter.request;
      holders ??= await this.#meta.locksOn(family, ino);
      if (!this.#waiters.has(waiter) || !this.#isFree(holders, waiter.request)) continue;
      this.#asking = waiter;
      try {
        const answer = await this.#meta.setLock(waiter.request);
        if (answer.granted) this.#leave(waiter)?.resolve(answer);
        else if (waiter.signal?.aborted === true) this.#leave(waiter)?.reject(interrupted(waiter.request));
        holders = undefined;
      } finally {
        this.#asking = undefined;
      }
    }
  }

  #isFree(holders: readonly HeldLocks[], request: LockRequest): boolean {
    const sid = this.#meta.sessionId ?? 0n;
    return holders.every(
      (holder) =>
        (holder.sid === sid && holder.owner === request.owner) || conflictOf(holder.ranges, request) === undefined,
    );
  }
}

const interrupted = ({ ino }: LockRequest): FsError => fail('EINTR', `waiting for a lock on inode ${ino}: interrupted`);
