// A store that tries again what may work the next time: only store-unavailable, never a missing object or a full store.
import type { FileHandle } from 'node:fs/promises';
import { hasCode } from '../../base/errors.ts';
import { counter, type Timer, timer } from '../../base/metrics.ts';
import { pauseAfter, type RetryPolicy, retry } from '../../base/retry.ts';
import { retryAfterMs } from './retry-after.ts';
import {
  type ListOptions,
  noVersions,
  type ObjectInfo,
  type ObjectStore,
  type PutOptions,
  type Versions,
} from './store.ts';

/** About five seconds in all: an application waits behind it, and a kernel request may not hang for minutes. */
export const storeRetry: RetryPolicy = {
  attempts: 6,
  baseMs: 200,
  capMs: 3000,
  when: (thrown) => hasCode(thrown, 'store-unavailable'),
  atLeastMs: retryAfterMs,
};

const requests = (value: string): Timer =>
  timer('pageseal_store_requests', 'Requests to the object store', { name: 'method', value });
const [gets, puts, deletes] = [requests('get'), requests('put'), requests('delete')];
const gotBytes = counter('pageseal_store_read_bytes_total', 'Bytes of objects fetched');
const putBytes = counter('pageseal_store_written_bytes_total', 'Bytes of objects stored');

async function timed<T>(kind: Timer, work: () => Promise<T>): Promise<T> {
  const start = performance.now();
  try {
    return await work();
  } finally {
    kind.add(performance.now() - start);
  }
}

export class RetryingStore implements ObjectStore {
  readonly description: string;
  readonly #store: ObjectStore;
  readonly #policy: RetryPolicy;
  readonly #retries = counter('pageseal_store_retries_total', 'Requests to the object store that were sent again');

  constructor(store: ObjectStore, policy: RetryPolicy = storeRetry) {
    this.#store = store;
    this.description = store.description;
    this.#policy = {
      ...policy,
      when: (thrown) => {
        const again = policy.when(thrown);
        if (again) this.#retries.inc();
        return again;
      },
    };
  }

  get(key: string, signal?: AbortSignal, maxBytes?: number): Promise<Buffer> {
    return timed(gets, async () => {
      const object = await retry(() => this.#store.get(key, signal, maxBytes), this.#policy, signal);
      gotBytes.inc(object.length);
      return object;
    });
  }

  /** Every attempt sends the same buffers: an object key never has two contents. */
  put(key: string, parts: readonly Buffer[], signal?: AbortSignal, options?: PutOptions): Promise<void> {
    return timed(puts, async () => {
      await retry(() => this.#store.put(key, parts, signal, options), this.#policy, signal);
      for (const part of parts) putBytes.inc(part.length);
    });
  }

  putFile(key: string, file: FileHandle, size: number): Promise<void> {
    return retry(() => this.#store.putFile(key, file, size), this.#policy);
  }

  delete(key: string): Promise<void> {
    return timed(deletes, () => retry(() => this.#store.delete(key), this.#policy));
  }

  deleteMany(keys: readonly string[]): Promise<void> {
    return timed(deletes, () => retry(() => this.#store.deleteMany(keys), this.#policy));
  }

  head(key: string): Promise<ObjectInfo | undefined> {
    return retry(() => this.#store.head(key), this.#policy);
  }

  /** What is with the caller already is not listed again: each attempt goes on behind it. */
  async *list(prefix: string, options: ListOptions = {}): AsyncIterable<ObjectInfo> {
    let { after } = options;
    for (let attempt = 1; ; attempt++) {
      try {
        for await (const object of this.#store.list(prefix, { ...options, ...(after !== undefined && { after }) })) {
          yield object;
          after = object.key;
          attempt = 1;
        }
        return;
      } catch (thrown) {
        await pauseAfter(this.#policy, attempt, thrown);
      }
    }
  }

  async removeVersions(prefix: string): Promise<Versions> {
    return retry(async () => (await this.#store.removeVersions?.(prefix)) ?? noVersions, this.#policy);
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}
