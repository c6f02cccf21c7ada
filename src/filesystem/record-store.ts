// A volume's store, with the credentials that its record has now: who exchanges them, at the store and by `config`, need not
// mount anything again. The record is looked at when the store refuses, and never otherwise.
import type { FileHandle } from 'node:fs/promises';
import { FsError, hasCode } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { readSetting } from './meta/read-setting.ts';
import type { Reader } from './sql/op.ts';
import {
  type ListOptions,
  noVersions,
  type ObjectInfo,
  type ObjectStore,
  type PutOptions,
  type StoreSettings,
  type Versions,
} from './store/store.ts';
import { storeSettings } from './store-settings.ts';

export interface RecordStoreParts {
  /** As it was opened. */
  readonly store: ObjectStore;
  readonly settings: StoreSettings;
  /** What the caller says goes before the record still. */
  readonly given: Partial<StoreSettings> | undefined;
  readonly engine: Reader;
  readonly open: (settings: StoreSettings) => Promise<ObjectStore>;
  readonly log: Log;
}

/** A store that refuses for good is asked all the time; its record need not be. */
const LOOK_EVERY_MS = 5000;

const credentials = ['accessKey', 'secretKey', 'sessionToken'] as const;
const refuses = (thrown: unknown): boolean => hasCode(thrown, 'unauthenticated', 'permission-denied');

export class RecordStore implements ObjectStore {
  readonly description: string;
  readonly #parts: RecordStoreParts;
  #store: ObjectStore;
  #settings: StoreSettings;
  /** Requests may be under way there; closed when the next exchange comes, which is hours away. */
  #previous: ObjectStore | undefined;
  #looking: Promise<void> | undefined;
  #lookedAt = Number.NEGATIVE_INFINITY;

  constructor(parts: RecordStoreParts) {
    this.#parts = parts;
    this.#store = parts.store;
    this.#settings = parts.settings;
    this.description = parts.store.description;
  }

  get(key: string, signal?: AbortSignal, maxBytes?: number): Promise<Buffer> {
    return this.#once((store) => store.get(key, signal, maxBytes));
  }

  put(key: string, parts: readonly Buffer[], signal?: AbortSignal, options?: PutOptions): Promise<void> {
    return this.#once((store) => store.put(key, parts, signal, options));
  }

  putFile(key: string, file: FileHandle, size: number): Promise<void> {
    return this.#once((store) => store.putFile(key, file, size));
  }

  delete(key: string): Promise<void> {
    return this.#once((store) => store.delete(key));
  }

  deleteMany(keys: readonly string[]): Promise<void> {
    return this.#once((store) => store.deleteMany(keys));
  }

  head(key: string): Promise<ObjectInfo | undefined> {
    return this.#once((store) => store.head(key));
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncIterable<ObjectInfo> {
    let { after } = options;
    for (;;) {
      const used = this.#store;
      try {
        for await (const object of used.list(prefix, { ...options, ...(after !== undefined && { after }) })) {
          yield object;
          after = object.key;
        }
        return;
      } catch (thrown) {
        if (!refuses(thrown) || !(await this.#exchanged(used))) throw thrown;
      }
    }
  }

  removeVersions(prefix: string): Promise<Versions> {
    return this.#once(async (store) => (await store.removeVersions?.(prefix)) ?? noVersions);
  }

  async close(): Promise<void> {
    await this.#looking?.catch(() => undefined);
    await Promise.all([this.#store.close(), this.#previous?.close()]);
  }

  async #once<T>(work: (store: ObjectStore) => Promise<T>): Promise<T> {
    const used = this.#store;
    try {
      return await work(used);
    } catch (thrown) {
      if (!refuses(thrown) || !(await this.#exchanged(used))) throw thrown;
      return work(this.#store);
    }
  }

  /** Whether there is another store now than the one that refused. */
  async #exchanged(refusing: ObjectStore): Promise<boolean> {
    if (this.#store !== refusing) return true;
    if (this.#looking === undefined) {
      const now = performance.now();
      if (now - this.#lookedAt < LOOK_EVERY_MS) return false;
      this.#lookedAt = now;
      this.#looking = this.#look().finally(() => {
        this.#looking = undefined;
      });
    }
    await this.#looking;
    return this.#store !== refusing;
  }

  /** Failures are those of the look; what the store said is what the caller hears. */
  async #look(): Promise<void> {
    const { engine, given, open, log } = this.#parts;
    try {
      const found = storeSettings(await readSetting(engine), given);
      // Another place is another store, with other objects: for that it takes a mount.
      if (credentials.every((name) => found[name] === this.#settings[name])) return;
      const settings = { ...this.#settings, ...pick(found) };
      const store = await open(settings);
      await this.#previous?.close();
      this.#previous = this.#store;
      this.#store = store;
      this.#settings = settings;
      log.info('store: going on with the credentials that the record has now', { store: this.description });
    } catch (thrown) {
      log.warn('store: what the record has now does not open it either', { error: FsError.from(thrown).message });
    }
  }
}

/** Also what is gone: a token that the record has no more. */
const pick = ({ accessKey, secretKey, sessionToken }: StoreSettings): Partial<StoreSettings> =>
  ({
    accessKey,
    secretKey,
    sessionToken,
  }) as Partial<StoreSettings>;
