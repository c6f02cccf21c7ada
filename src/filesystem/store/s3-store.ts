// Objects in S3 and its compatibles.
import type { FileHandle } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { GetObjectCommand, HeadObjectCommand } from '@aws-sdk/client-s3';
import { fail, hasCode } from '../../base/errors.ts';
import { MiB } from '../../base/units.ts';
import { checkKey } from './object-name.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { BatchDelete, deleteObject } from './s3-delete.ts';
import { s3Kind } from './s3-kinds.ts';
import { listObjects } from './s3-list.ts';
import { PART_BYTES, putInParts } from './s3-multipart.ts';
import { crc32Of, lengthOf, putObject, Understood } from './s3-put.ts';
import { removeVersions } from './s3-versions.ts';
import type { ListOptions, ObjectInfo, ObjectStore, PutOptions, Versions } from './store.ts';

/** For the time limit of what nobody has said the length of. */
const UNKNOWN_BYTES = 64 * MiB;
/** Above every page, far below what S3 takes in one put. */
const LARGEST_PUT = 32 * MiB;

export class S3Store implements ObjectStore {
  readonly description: string;
  readonly #bucket: S3Bucket;
  readonly #understood: Understood;
  readonly #batches: BatchDelete;
  readonly #largestPut: number;

  /** Closes the bucket. */
  constructor(bucket: S3Bucket) {
    this.#bucket = bucket;
    this.description = bucket.description;
    this.#understood = new Understood(bucket);
    this.#batches = new BatchDelete(bucket);
    this.#largestPut = s3Kind(bucket.settings.storage)?.largestPut ?? LARGEST_PUT;
  }

  async get(key: string, signal?: AbortSignal, maxBytes = Number.POSITIVE_INFINITY): Promise<Buffer> {
    checkKey(key);
    const attempt = this.#bucket.attempt('get', key, signal);
    return this.#bucket.call(attempt, Math.min(maxBytes, UNKNOWN_BYTES), async (client, options) => {
      const answer = await client.send(new GetObjectCommand({ Bucket: this.#bucket.name, Key: key }), options);
      const bytes = await readBody(key, answer.Body as Readable, answer.ContentLength, maxBytes);
      const whole = answer.ContentLength === undefined || bytes.length === answer.ContentLength;
      if (whole && answer.ChecksumType !== 'COMPOSITE') checkCrc(key, bytes, answer.ChecksumCRC32);
      return bytes;
    });
  }

  async put(key: string, parts: readonly Buffer[], signal?: AbortSignal, options: PutOptions = {}): Promise<void> {
    checkKey(key);
    const attempt = this.#bucket.attempt('put', key, signal);
    const size = lengthOf(parts);
    if (size > this.#largestPut) {
      const whole = Buffer.concat(parts);
      const read = async (offset: number, length: number): Promise<Buffer> => whole.subarray(offset, offset + length);
      return putInParts(this.#bucket, this.#understood, attempt, { size, read });
    }
    const isThere = async (): Promise<boolean> => {
      const found = await this.get(key, signal, size);
      // Answers of a wrong length come and go; whoever lost one to that must not lose the other's bytes, too.
      if (found.length !== size)
        throw fail('store-unavailable', `put ${key}: wanted ${size} bytes that are there, found ${found.length}`);
      return found.equals(Buffer.concat(parts));
    };
    return putObject(this.#bucket, this.#understood, attempt, { parts, onlyNew: options.onlyNew === true, isThere });
  }

  async putFile(key: string, file: FileHandle, size: number): Promise<void> {
    checkKey(key);
    const read = async (offset: number, length: number): Promise<Buffer> => {
      const bytes = Buffer.allocUnsafeSlow(length);
      const { bytesRead } = await file.read(bytes, 0, length, offset);
      if (bytesRead === length) return bytes;
      throw fail('EIO', `put ${key}: wanted ${size} bytes of the file, found ${offset + bytesRead}`);
    };
    if (size <= PART_BYTES) return this.put(key, [await read(0, size)]);
    await putInParts(this.#bucket, this.#understood, this.#bucket.attempt('put', key), { size, read });
  }

  async delete(key: string): Promise<void> {
    checkKey(key);
    await deleteObject(this.#bucket, key);
  }

  async deleteMany(keys: readonly string[]): Promise<void> {
    for (const key of keys) checkKey(key);
    await this.#batches.deleteMany(keys);
  }

  async head(key: string): Promise<ObjectInfo | undefined> {
    checkKey(key);
    try {
      const found = await this.#bucket.call(this.#bucket.attempt('head', key), 0, (client, options) =>
        client.send(new HeadObjectCommand({ Bucket: this.#bucket.name, Key: key }), options),
      );
      return { key, size: found.ContentLength ?? 0, mtime: found.LastModified?.getTime() ?? 0 };
    } catch (thrown) {
      if (hasCode(thrown, 'object-missing')) return undefined;
      throw thrown;
    }
  }

  list(prefix: string, options: ListOptions = {}): AsyncIterable<ObjectInfo> {
    return listObjects(this.#bucket, prefix, options);
  }

  removeVersions(prefix: string): Promise<Versions> {
    return removeVersions(this.#bucket, prefix);
  }

  async close(): Promise<void> {
    this.#bucket.close();
  }
}

/**
 * Into memory of its own: callers hand it to threads. Ends one byte after `maxBytes`. By events: a page comes in hundreds of
 * TLS records, and an iterator's promises for each of them cost a tenth of the whole.
 */
function readBody(key: string, body: Readable, length: number | undefined, maxBytes: number): Promise<Buffer> {
  const most = maxBytes + 1;
  let bytes = Buffer.allocUnsafeSlow(Math.min(length ?? MiB, most));
  let filled = 0;
  return new Promise((resolve, reject) => {
    const done = (): void => resolve(filled === bytes.length ? bytes : Buffer.copyBytesFrom(bytes, 0, filled));
    body.on('data', (chunk: Buffer) => {
      // Only a body without a length needs more than was made.
      if (filled + chunk.length > bytes.length && bytes.length < most)
        bytes = Buffer.concat([bytes], Math.min(most, 2 * (filled + chunk.length)));
      filled += chunk.copy(bytes, filled);
      if (filled < most) return;
      done();
      // The connection goes with it: nobody reads what is left.
      body.destroy();
    });
    body.once('error', reject);
    body.once('close', () => reject(Object.assign(new Error('connection closed'), { code: 'ECONNRESET' })));
    body.once('end', () => {
      if (length === undefined || filled === length) done();
      else reject(fail('store-unavailable', `get ${key}: wanted ${length} bytes, found ${filled}`));
    });
  });
}

function checkCrc(key: string, bytes: Buffer, wanted: string | undefined): void {
  // Of an object in parts it may be one over theirs, with their number behind it.
  if (wanted === undefined || wanted.includes('-')) return;
  const found = crc32Of([bytes]);
  if (found !== wanted)
    throw fail('store-unavailable', `get ${key}: wanted bytes with CRC-32 ${wanted}, found ${found}`);
}
