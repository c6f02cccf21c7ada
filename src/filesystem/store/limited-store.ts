// A store whose bytes per second are bounded, each way, as a setting of the volume says. Everybody waits in turn: what a
// request may send or has received is paid before the next one starts.

import type { FileHandle } from 'node:fs/promises';
import { type Clock, realClock } from '../../base/clock.ts';
import { fail } from '../../base/errors.ts';
import { MiB } from '../../base/units.ts';
import {
  type ListOptions,
  noVersions,
  type ObjectInfo,
  type ObjectStore,
  type PutOptions,
  type Versions,
} from './store.ts';

/** The record counts in Mbit/s, of a million bits. */
const BYTES_PER_MBIT = 1e6 / 8;
/** Of what is long. */
const STEP = MiB;
/** What may go at once after a pause. */
const BURST_MS = 1000;

/** Bytes of a direction. Debts are allowed, so that a page longer than a burst passes, and are worked off by who is next. */
export class ByteRate {
  readonly #bytesPerMs: number;
  readonly #clock: Clock;
  /** When all that was taken will have been earned. */
  #paidAt: number;

  constructor(mbitPerS: number, clock: Clock = realClock) {
    this.#bytesPerMs = (mbitPerS * BYTES_PER_MBIT) / 1000;
    this.#clock = clock;
    this.#paidAt = clock.now();
  }

  /** Resolves when `bytes` may go, in the order of the calls. What is given up while waiting stays paid for. */
  async take(bytes: number, signal?: AbortSignal): Promise<void> {
    const now = this.#clock.now();
    const from = Math.max(this.#paidAt, now - BURST_MS);
    this.#paidAt = from + bytes / this.#bytesPerMs;
    const wait = this.#paidAt - now;
    if (wait <= 0) return;
    try {
      await this.#clock.sleep(wait, signal);
    } catch {
      throw fail('cancelled', 'waiting for the bandwidth limit: cancelled');
    }
  }
}

export interface Limits {
  readonly upload?: ByteRate | undefined;
  readonly download?: ByteRate | undefined;
}

export class LimitedStore implements ObjectStore {
  readonly description: string;
  readonly #store: ObjectStore;
  readonly #limits: Limits;

  constructor(store: ObjectStore, limits: Limits) {
    this.#store = store;
    this.#limits = limits;
    this.description = store.description;
  }

  /** Paid when it is known how much it was: the reader gets its bytes when they would have arrived. */
  async get(key: string, signal?: AbortSignal, maxBytes?: number): Promise<Buffer> {
    const bytes = await this.#store.get(key, signal, maxBytes);
    await this.#limits.download?.take(bytes.length, signal);
    return bytes;
  }

  async put(key: string, parts: readonly Buffer[], signal?: AbortSignal, options?: PutOptions): Promise<void> {
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    await this.#limits.upload?.take(bytes, signal);
    return this.#store.put(key, parts, signal, options);
  }

  async putFile(key: string, file: FileHandle, size: number): Promise<void> {
    // In steps, between which pages have their turn; then it goes in one go.
    for (let left = size; left > 0; left -= STEP) await this.#limits.upload?.take(Math.min(left, STEP));
    return this.#store.putFile(key, file, size);
  }

  delete(key: string): Promise<void> {
    return this.#store.delete(key);
  }

  deleteMany(keys: readonly string[]): Promise<void> {
    return this.#store.deleteMany(keys);
  }

  head(key: string): Promise<ObjectInfo | undefined> {
    return this.#store.head(key);
  }

  list(prefix: string, options?: ListOptions): AsyncIterable<ObjectInfo> {
    return this.#store.list(prefix, options);
  }

  async removeVersions(prefix: string): Promise<Versions> {
    return (await this.#store.removeVersions?.(prefix)) ?? noVersions;
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}
