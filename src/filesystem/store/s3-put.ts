// One object in one request. Its bytes arrive whole or the put fails: the store checks a checksum that is sent ahead. The
// payload is not part of the signature over TLS, which guards it already; hashing it once more would cost as much again.
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { crc32 } from 'node:zlib';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { fail } from '../../base/errors.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { type Attempt, isUnsupported, nameOf, statusOf, translate } from './s3-errors.ts';

/** Headers of S3's own names. */
export interface Checksums {
  readonly ChecksumCRC32?: string | undefined;
  readonly ContentMD5?: string;
}

/** What the store was seen to understand. CRC-32 costs a sixth of MD5, but older stores ignore or refuse its header. */
export class Understood {
  /** Undefined until a put has shown it. */
  crc32: boolean | undefined;
  onlyNew = true;
  readonly #none: boolean;

  constructor(bucket: S3Bucket) {
    this.#none = bucket.address.noChecksum === true;
  }

  /** Both until it is known that CRC-32 is checked: MD5 always is. */
  checksums(parts: readonly Buffer[]): Checksums {
    if (this.#none) return {};
    return {
      ...(this.crc32 !== false && { ChecksumCRC32: crc32Of(parts) }),
      ...(this.crc32 !== true && { ContentMD5: md5Of(parts) }),
    };
  }

  /** Of a part: MD5 is known everywhere, and another one must have been agreed upon for the whole upload. */
  ofPart(bytes: Buffer): Checksums {
    return this.#none ? {} : { ContentMD5: md5Of([bytes]) };
  }

  /** After a put: a store that checks CRC-32 says so by repeating it. */
  learn(sent: Checksums, answered: Checksums): void {
    if (sent.ChecksumCRC32 !== undefined) this.crc32 ??= answered.ChecksumCRC32 === sent.ChecksumCRC32;
  }
}

const CRC_BYTES = 4;

export function crc32Of(parts: readonly Buffer[]): string {
  const bytes = Buffer.alloc(CRC_BYTES);
  bytes.writeUInt32BE(parts.reduce((sum, part) => crc32(part, sum), 0));
  return bytes.toString('base64');
}

function md5Of(parts: readonly Buffer[]): string {
  const hash = createHash('md5');
  for (const part of parts) hash.update(part);
  return hash.digest('base64');
}

export const lengthOf = (parts: readonly Buffer[]): number => parts.reduce((sum, part) => sum + part.length, 0);

/** As a stream, the SDK neither copies nor hashes them; without TLS it must, and does. */
export function bodyOf(bucket: S3Bucket, parts: readonly Buffer[]): Readable | Buffer {
  if (bucket.address.endpoint?.protocol === 'http:' || lengthOf(parts) === 0) return Buffer.concat(parts);
  return Readable.from(parts, { objectMode: false });
}

export interface Put {
  readonly parts: readonly Buffer[];
  readonly onlyNew: boolean;
  /** Whether the store has exactly these bytes under the key; rejects when it has none, or does not say. */
  readonly isThere: () => Promise<boolean>;
}

export async function putObject(bucket: S3Bucket, understood: Understood, attempt: Attempt, put: Put): Promise<void> {
  for (;;) {
    const checksums = understood.checksums(put.parts);
    const onlyNew = put.onlyNew && understood.onlyNew;
    try {
      const answer = await send(bucket, attempt, put.parts, { ...checksums, ...(onlyNew && { IfNoneMatch: '*' }) });
      understood.learn(checksums, answer);
      return;
    } catch (thrown) {
      if (onlyNew && statusOf(thrown) === 412) return sameOrConflict(bucket, attempt, await put.isThere());
      const found = onlyNew && isCutOff(thrown) ? await put.isThere().catch(() => undefined) : undefined;
      if (found !== undefined) return sameOrConflict(bucket, attempt, found);
      // One thing less each time, so that this ends.
      if (isUnsupported(thrown) && onlyNew && concerns(thrown, /none-match|condition|precondition/i))
        understood.onlyNew = false;
      else if (isUnsupported(thrown) && understood.crc32 === undefined) understood.crc32 = false;
      else if (isUnsupported(thrown) && onlyNew) understood.onlyNew = false;
      else throw translate(attempt, thrown);
    }
  }
}

const concerns = (thrown: unknown, words: RegExp): boolean =>
  words.test(`${nameOf(thrown)} ${(thrown as Error).message}`);

function send(
  bucket: S3Bucket,
  attempt: Attempt,
  parts: readonly Buffer[],
  headers: Checksums & { readonly IfNoneMatch?: string },
): Promise<Checksums> {
  const ContentLength = lengthOf(parts);
  return bucket.raw(attempt, ContentLength, (client, options) => {
    const target = { Bucket: bucket.name, Key: attempt.object, ContentLength, Body: bodyOf(bucket, parts) };
    return client.send(new PutObjectCommand({ ...target, ...bucket.storageClass, ...headers }), options);
  });
}

/**
 * A server that refuses an object which is there need not read its bytes: who still sends them may find the connection
 * closed in place of the answer, however often.
 */
const isCutOff = (thrown: unknown): boolean =>
  ['ECONNRESET', 'EPIPE'].includes((thrown as { code?: string } | null)?.code ?? '');

/** The same: an earlier attempt arrived, and only its answer was lost. */
function sameOrConflict(bucket: S3Bucket, { object }: Attempt, same: boolean): void {
  if (same) return;
  throw fail('conflict', `put ${object}: another object has this key, left as it is (${bucket.description})`);
}
