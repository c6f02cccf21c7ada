// The page store: seals, uploads, fetches, checks against the ledger, opens. Every bound on pages in flight is here; it
// decides nothing about slices or files, and never lets an object through that the ledger does not vouch for.

import { release, sameBytes, wipe } from '../../base/bytes.ts';
import { type ErrorCode, FsError, fail, hasCode } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { Lru } from '../../base/lru.ts';
import { counter } from '../../base/metrics.ts';
import type { Outages } from '../../base/outage.ts';
import { Semaphore } from '../../base/semaphore.ts';
import { MiB } from '../../base/units.ts';
import type { LedgerEntry, LedgerMode, SliceId } from '../../base/words.ts';
import { PageCache } from '../cache/page-cache.ts';
import type { VolumeKey } from '../keys/volume-key.ts';
import type { ObjectStore } from '../store/store.ts';
import { Codec } from './codec.ts';
import { maxCompressedLength, parseCompression } from './compress.ts';
import { type Envelope, envelopeOverhead, parseEnvelope } from './envelope.ts';
import { isPageSize } from './geometry.ts';
import type { Ledger } from './ledger.ts';
import { pageObjectKey, sliceObjectKeys } from './object-key.ts';
import type { PagePlace, PageStore } from './page-store.ts';
import { type EncryptAlgo, openBytes, parseEncryptAlgo } from './seal.ts';

export interface PageStoreOptions {
  /** Bridges moments itself; stays the caller's to close. */
  readonly store: ObjectStore;
  /** Of a mount, whose callers wait while the store is away; absent: they are told at once. */
  readonly outages?: Outages | undefined;
  readonly volumeName: string;
  readonly hashPrefix: boolean;
  /** Bytes. */
  readonly pageSize: number;
  /** Both as the setting record has them. */
  readonly compression: string;
  readonly encryptAlgo: string;
  /** Absent: the volume is not encrypted. Stays the caller's to wipe. */
  readonly key: VolumeKey | undefined;
  /** Absent for a volume that has none yet: it can be read (as lenient) but not written. */
  readonly ledger: { readonly keys: Ledger; readonly mode: LedgerMode } | undefined;
  /** Bytes of opened pages kept in memory. */
  readonly cacheBytes: number;
  readonly log: Log;
}

/** Pages moving in one direction at once hold this much memory, in steps that keep small pages from queueing. */
const IN_FLIGHT_BYTES = 64 * MiB;
const MIN_IN_FLIGHT = 4;
const MAX_IN_FLIGHT = 32;
/** Places sealed lately; a second write to one is a bug that must not reach the store. */
const SEALED_REMEMBERED = 4096;

const failureCodes = [
  'page-damaged',
  'page-mismatch',
  'page-unledgered',
  'metadata-damaged',
  'newer-format',
  'object-missing',
] as const satisfies readonly ErrorCode[];

const failures = Object.fromEntries(
  failureCodes.map((value) => [
    value,
    counter('pageseal_page_failures_total', 'Pages that were refused', { name: 'reason', value }),
  ]),
);
const unledgered = counter('pageseal_pages_without_ledger_total', 'Pages read by their wrapped key, for want of a row');
const opened = counter('pageseal_pages_opened_total', 'Pages fetched and opened');
const sealed = counter('pageseal_pages_sealed_total', 'Pages sealed and stored');

/** What checks may do besides. */
export interface AdoptingPageStore extends PageStore {
  /**
   * The ledger row of a page that has none, by the key that is wrapped in its object: trust on first use. The page is
   * opened. Rejects as `read`, and failed-precondition for a volume without ledger.
   */
  adopt(place: PagePlace): Promise<LedgerEntry>;
}

export function openPageStore(options: PageStoreOptions): AdoptingPageStore {
  if (!isPageSize(options.pageSize))
    throw fail('metadata-damaged', `page size ${options.pageSize}: wanted a power of two from 64 KiB to 16 MiB`);
  return new SealedPageStore(options);
}

class SealedPageStore implements AdoptingPageStore {
  readonly pageSize: number;
  readonly encrypted: boolean;
  readonly #options: PageStoreOptions;
  readonly #codec: Codec;
  readonly #algo: EncryptAlgo;
  readonly #cache: PageCache;
  readonly #uploads: Semaphore;
  readonly #downloads: Semaphore;
  readonly #fetches = new Map<string, Promise<Buffer>>();
  readonly #sealed = new Lru<string, true>(SEALED_REMEMBERED);

  constructor(options: PageStoreOptions) {
    this.#options = options;
    this.pageSize = options.pageSize;
    this.encrypted = options.key !== undefined;
    this.#algo = parseEncryptAlgo(options.encryptAlgo);
    this.#codec = new Codec(parseCompression(options.compression), this.#algo, options.key);
    this.#cache = new PageCache(options.cacheBytes);
    const inFlight = Math.min(MAX_IN_FLIGHT, Math.max(MIN_IN_FLIGHT, Math.floor(IN_FLIGHT_BYTES / this.pageSize)));
    this.#uploads = new Semaphore(inFlight);
    this.#downloads = new Semaphore(inFlight);
  }

  async write(place: PagePlace, plain: Buffer, signal?: AbortSignal): Promise<LedgerEntry | undefined> {
    const objectKey = this.#objectKey(place);
    if (plain.length !== place.length)
      throw fail('internal', `write page ${objectKey}: wanted ${place.length} bytes, found ${plain.length}`);
    if (this.encrypted && this.#options.ledger === undefined)
      throw fail('failed-precondition', `write page ${objectKey}: the volume has no page ledger yet`);
    // No object key ever has two contents: who lost the bytes takes another slice id.
    if (this.#sealed.get(objectKey)) throw fail('internal', `write page ${objectKey}: sealed before`);
    this.#sealed.set(objectKey, true);
    return this.#uploads.run(async () => {
      if (signal?.aborted) throw fail('cancelled', `write page ${objectKey}: cancelled`);
      const { parts, tag, pageKey } = await this.#codec.pack(plain);
      try {
        await this.#put(objectKey, parts, signal);
        for (const part of parts) if (part !== plain) release(part);
        sealed.inc();
        if (tag === undefined || pageKey === undefined) return undefined;
        return this.#ledgerEntry(place, tag, pageKey);
      } finally {
        wipe(pageKey);
      }
    });
  }

  /** Sealed once: every attempt sends the same bytes. */
  #put(objectKey: string, parts: readonly Buffer[], signal: AbortSignal | undefined): Promise<void> {
    const { store, outages } = this.#options;
    const put = (): Promise<void> => store.put(objectKey, parts, signal, { onlyNew: true });
    return outages === undefined ? put() : outages.store.outlast(put, outages.waits.writeMs, () => signal);
  }

  #ledgerEntry(place: PagePlace, tag: Buffer, pageKey: Buffer): LedgerEntry | undefined {
    const { sliceId, indx } = place;
    const sealedKey = this.#options.ledger?.keys.sealPageKey(place, tag, pageKey);
    return sealedKey && { sliceId, indx, tag, pageKey: sealedKey };
  }

  cached({ sliceId, indx, length }: PagePlace): Buffer | undefined {
    return this.#cache.get(sliceId, indx, length);
  }

  hold(): () => void {
    return this.#cache.hold();
  }

  async read(
    place: PagePlace,
    entry: LedgerEntry | undefined,
    signal?: AbortSignal,
    mayBeGone = false,
  ): Promise<Buffer> {
    if (this.encrypted && entry === undefined && this.#options.ledger?.mode === 'strict')
      throw this.#refused(place, fail('page-unledgered', 'no row in the page ledger, which is strict'));
    const { sliceId, indx, length } = place;
    const found = this.#cache.get(sliceId, indx, length, this.encrypted ? entry?.tag : undefined);
    if (found !== undefined) return found;
    // The tag is part of the name: readers with other rows in hand must not share an answer.
    const name = `${sliceId}_${indx}_${length}_${entry?.tag.toString('latin1') ?? ''}`;
    let fetch = this.#fetches.get(name);
    if (fetch === undefined) {
      fetch = this.#downloads.run(() => this.#fetch(place, entry, mayBeGone)).finally(() => this.#fetches.delete(name));
      this.#fetches.set(name, fetch);
    }
    return signal === undefined ? fetch : orAborted(fetch, signal);
  }

  /** Shared by all who wait for the page, so nobody's signal ends it; the store's bounds do. */
  async #fetch(place: PagePlace, entry: LedgerEntry | undefined, mayBeGone: boolean): Promise<Buffer> {
    try {
      const plain = await this.#openFetched(place, entry);
      this.#cache.set(place.sliceId, place.indx, plain, entry?.tag);
      opened.inc();
      return plain;
    } catch (thrown) {
      if (mayBeGone && hasCode(thrown, 'object-missing')) throw thrown;
      throw this.#refused(place, thrown);
    }
  }

  /** What was spoilt on its way is whole at a second look; what does not open then, either, is damaged. */
  async #openFetched(place: PagePlace, entry: LedgerEntry | undefined): Promise<Buffer> {
    try {
      return await this.#open(place, entry, await this.#get(place));
    } catch (thrown) {
      if (!hasCode(thrown, 'page-damaged', 'page-mismatch')) throw thrown;
      return await this.#open(place, entry, await this.#get(place));
    }
  }

  async #get(place: PagePlace): Promise<Buffer> {
    const { key, compression } = this.#options;
    const overhead = key === undefined ? 0 : envelopeOverhead(key.wrappedLength);
    const longest = overhead + maxCompressedLength(parseCompression(compression), place.length);
    const { store, outages } = this.#options;
    const get = (): Promise<Buffer> => store.get(this.#objectKey(place), undefined, longest);
    const object = await (outages === undefined ? get() : outages.store.outlast(get, outages.waits.otherMs));
    if (object.length > longest)
      throw fail('page-damaged', `wanted an object of at most ${longest} bytes, found a longer one`);
    return object;
  }

  async #open(place: PagePlace, entry: LedgerEntry | undefined, object: Buffer): Promise<Buffer> {
    const { key, ledger } = this.#options;
    if (key === undefined) return this.#codec.unpack(object, undefined, place.length);
    const envelope = parseEnvelope(object, key.wrappedLength);
    let pageKey: Buffer;
    if (entry !== undefined && ledger !== undefined) {
      if (!sameBytes(envelope.tag, entry.tag)) throw await this.#whyTagDiffers(key, envelope);
      pageKey = ledger.keys.openPageKey(place, entry);
    } else {
      pageKey = await key.unwrap(envelope.wrapped);
      unledgered.inc();
    }
    try {
      return await this.#codec.unpack(object, pageKey, place.length);
    } finally {
      wipe(pageKey);
    }
  }

  async adopt(place: PagePlace): Promise<LedgerEntry> {
    const { key, ledger } = this.#options;
    if (key === undefined || ledger === undefined)
      throw fail('failed-precondition', `adopt page ${this.#objectKey(place)}: the volume has no page ledger`);
    return this.#downloads.run(async () => {
      try {
        const object = await this.#get(place);
        const envelope = parseEnvelope(object, key.wrappedLength);
        const tag = Buffer.from(envelope.tag);
        const pageKey = await key.unwrap(envelope.wrapped);
        try {
          release(await this.#codec.unpack(object, pageKey, place.length));
          const { sliceId, indx } = place;
          return { sliceId, indx, tag, pageKey: ledger.keys.sealPageKey(place, tag, pageKey) };
        } finally {
          wipe(pageKey);
        }
      } catch (thrown) {
        const error = FsError.from(thrown, 'open');
        throw fail(error.code, `adopt page ${this.#objectKey(place)}: ${error.message}`, { cause: thrown });
      }
    });
  }

  /** An object that opens by its own wrapped key is somebody's page, but not this one; else it is damaged. */
  async #whyTagDiffers(key: VolumeKey, envelope: Envelope): Promise<FsError> {
    let pageKey: Buffer | undefined;
    try {
      pageKey = await key.unwrap(envelope.wrapped);
      openBytes(this.#algo, envelope, pageKey);
      return fail('page-mismatch', 'a sealed page, but not the one in the page ledger: swapped, replayed or forged');
    } catch (thrown) {
      return fail('page-damaged', 'its tag is not the one in the page ledger, and it does not open', { cause: thrown });
    } finally {
      wipe(pageKey);
    }
  }

  /** The error for the reader, with the object's name; counted and logged here because the kernel only hears EIO. */
  #refused(place: PagePlace, thrown: unknown): FsError {
    const error = FsError.from(thrown, 'open');
    if (!hasCode(error, ...failureCodes)) return error;
    const object = this.#objectKey(place);
    failures[error.code]?.inc();
    this.#options.log.error('page refused', { object, code: error.code, reason: error.message });
    return fail(error.code, `read page ${object}: ${error.message}`, { cause: error });
  }

  async remove(sliceId: SliceId, size: number): Promise<void> {
    const { store, pageSize } = this.#options;
    const keys = sliceObjectKeys(this.#options, sliceId, size, pageSize);
    for (let indx = 0; indx < keys.length; indx++) this.#cache.delete(sliceId, indx);
    await store.deleteMany(keys);
  }

  #objectKey(place: PagePlace): string {
    return pageObjectKey(this.#options, place);
  }

  /** Ends threads and forgets pages; store, key and ledger are the caller's. */
  async close(): Promise<void> {
    await this.#codec.close();
    this.#cache.clear();
  }
}

/** The waiting ends with the signal, the work does not. */
function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(fail('cancelled', 'wait for a page: cancelled'));
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
