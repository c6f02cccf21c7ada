// One bucket of an S3 server: every request goes through `call`, which bounds it, renews credentials that have expired, and
// turns what went wrong into our words.
import type { S3Client } from '@aws-sdk/client-s3';
import { fail } from '../../base/errors.ts';
import { KiB } from '../../base/units.ts';
import type { S3Address } from './s3-address.ts';
import { connectS3, type S3Connection } from './s3-client.ts';
import { type Attempt, isExpired, translate } from './s3-errors.ts';
import { s3Kind } from './s3-kinds.ts';
import type { StoreSettings } from './store.ts';

/** A request's whole time: this, and what its bytes need at the slowest rate that is still of use. */
const ANSWER_MS = 30_000;
const SLOWEST_BYTES_PER_S = 128 * KiB;

export class S3Bucket {
  readonly name: string;
  readonly address: S3Address;
  readonly settings: StoreSettings;
  readonly description: string;
  #region: string;
  #connection: S3Connection;

  constructor(address: S3Address, settings: StoreSettings, region: string) {
    this.name = address.bucket;
    this.address = address;
    this.settings = settings;
    const host = address.endpoint === undefined ? '' : `${address.endpoint.host}/`;
    this.description = `${settings.storage}://${host}${address.bucket}/`;
    this.#region = region;
    this.#connection = connectS3(address, settings, region);
  }

  get region(): string {
    return this.#region;
  }

  /** From now on requests are signed for, and without an endpoint of its own sent to, this region. */
  moveTo(region: string): void {
    this.#connection.client.destroy();
    this.#region = region;
    this.#connection = connectS3(this.address, this.settings, region);
  }

  /** Absent where the store has one class only. */
  get storageClass(): { readonly StorageClass?: 'STANDARD' } {
    const { storage, storageClass } = this.settings;
    // The SDK's type lists AWS's classes; others have names of their own.
    return storageClass && s3Kind(storage)?.noStorageClass !== true ? { StorageClass: storageClass as 'STANDARD' } : {};
  }

  attempt(what: Attempt['what'], object: string, signal?: AbortSignal): Attempt {
    return { what, object, description: this.description, signal };
  }

  /** Rejects with an FsError. */
  async call<T>(attempt: Attempt, bytes: number, request: S3Request<T>): Promise<T> {
    try {
      return await this.raw(attempt, bytes, request);
    } catch (thrown) {
      throw translate(attempt, thrown);
    }
  }

  /** Rejects as the SDK does, for who tells answers apart. */
  async raw<T>(attempt: Attempt, bytes: number, request: S3Request<T>): Promise<T> {
    const { client, provided } = this.#connection;
    try {
      return await within(attempt, bytes, (signal) => request(client, { abortSignal: signal }));
    } catch (thrown) {
      if (!provided || !isExpired(thrown)) throw thrown;
      // Once: a provider that answers the same again has nothing better.
      await client.config.credentials({ forceRefresh: true });
      return within(attempt, bytes, (signal) => request(client, { abortSignal: signal }));
    }
  }

  close(): void {
    this.#connection.client.destroy();
  }
}

export type S3Request<T> = (client: S3Client, options: { readonly abortSignal: AbortSignal }) => Promise<T>;

/** Ends the request when the caller's signal does, or after what `bytes` need at most. */
async function within<T>(attempt: Attempt, bytes: number, request: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const ms = Math.ceil(ANSWER_MS + (bytes / SLOWEST_BYTES_PER_S) * 1000);
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), ms);
  const { signal } = attempt;
  try {
    return await request(signal === undefined ? limit.signal : AbortSignal.any([signal, limit.signal]));
  } catch (thrown) {
    if (!limit.signal.aborted || signal?.aborted) throw thrown;
    throw fail('store-unavailable', `${attempt.what} ${attempt.object}: not done within ${Math.ceil(ms / 1000)} s`);
  } finally {
    clearTimeout(timer);
  }
}
