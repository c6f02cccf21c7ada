// Objects in S3 and its compatibles.
import type { FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { fail, hasCode } from '../../base/errors.ts';
import { KiB } from '../../base/units.ts';
import { checkTransport } from './https-policy.ts';
import { checkKey } from './object-name.ts';
import { bucketUrl, minioAddress, type S3Address, s3Address } from './s3-address.ts';
import { type Attempt, translate } from './s3-errors.ts';
import type { ListOptions, ObjectInfo, ObjectStore, StoreSettings } from './store.ts';
import { httpsAgent } from './trust.ts';

const CONNECT_MS = 5000;
/** Without a byte in either direction. */
const IDLE_MS = 20_000;
/** A request's whole time: this, and what its bytes need at the slowest rate that is still of use. */
const ANSWER_MS = 30_000;
const SLOWEST_BYTES_PER_S = 128 * KiB;
/** For what is not known before it is read. */
const UNKNOWN_SIZE = 16 * 1024 * KiB;
/** S3's most. */
const LIST_PAGE = 1000;

/** `create`: make the bucket if there is none. */
export async function openS3(settings: StoreSettings, create: boolean): Promise<ObjectStore> {
  const address = settings.storage === 'minio' ? minioAddress(settings.bucket) : s3Address(settings.bucket);
  checkTransport(address.endpoint ?? bucketUrl(settings.storage, settings.bucket), settings);
  const store = new S3Store(clientFor(address, settings), address, settings);
  await store.open(create);
  return store;
}

function clientFor(address: S3Address, settings: StoreSettings): S3Client {
  const { accessKey, secretKey = '', sessionToken } = settings;
  return new S3Client({
    region: address.region ?? process.env['AWS_REGION'] ?? process.env['AWS_DEFAULT_REGION'] ?? 'us-east-1',
    forcePathStyle: address.pathStyle,
    ...(address.endpoint && { endpoint: address.endpoint.href }),
    ...(address.dualStack && { useDualstackEndpoint: true }),
    ...(address.fips && { useFipsEndpoint: true }),
    ...(accessKey && {
      credentials: { accessKeyId: accessKey, secretAccessKey: secretKey, ...(sessionToken && { sessionToken }) },
    }),
    // RetryingStore tries again; two layers would multiply.
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: new NodeHttpHandler({
      connectionTimeout: CONNECT_MS,
      socketTimeout: IDLE_MS,
      httpsAgent: httpsAgent(settings),
    }),
    logger: { debug() {}, info() {}, warn() {}, error() {} },
  });
}

class S3Store implements ObjectStore {
  readonly description: string;
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #settings: StoreSettings;

  constructor(client: S3Client, address: S3Address, settings: StoreSettings) {
    this.#client = client;
    this.#bucket = address.bucket;
    this.#settings = settings;
    this.description = `${settings.storage}://${address.endpoint === undefined ? '' : `${address.endpoint.host}/`}${address.bucket}/`;
  }

  /** Rejects store-unavailable when there is no such bucket, or it cannot be reached. */
  async open(create: boolean): Promise<void> {
    const what = this.#attempt('open', this.#bucket);
    try {
      await this.#within(what, 0, (abortSignal) =>
        this.#client.send(new HeadBucketCommand({ Bucket: this.#bucket }), { abortSignal }),
      );
    } catch (thrown) {
      const error = translate(what, thrown);
      if ((thrown as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode !== 404) throw error;
      if (!create) throw fail('store-unavailable', `open ${this.description}: no such bucket`, { cause: error.cause });
      await this.#within(what, 0, (abortSignal) =>
        this.#client.send(new CreateBucketCommand({ Bucket: this.#bucket }), { abortSignal }),
      ).catch((failure: unknown) => {
        throw translate(what, failure);
      });
    }
  }

  async get(key: string, signal?: AbortSignal, maxBytes = Number.POSITIVE_INFINITY): Promise<Buffer> {
    checkKey(key);
    const attempt = this.#attempt('get', key, signal);
    try {
      return await this.#within(attempt, Math.min(maxBytes, UNKNOWN_SIZE), async (abortSignal) => {
        const answer = await this.#client.send(new GetObjectCommand({ Bucket: this.#bucket, Key: key }), {
          abortSignal,
        });
        return readBody(answer.Body as Readable, answer.ContentLength, maxBytes);
      });
    } catch (thrown) {
      throw translate(attempt, thrown);
    }
  }

  async put(key: string, parts: readonly Buffer[], signal?: AbortSignal): Promise<void> {
    checkKey(key);
    const size = parts.reduce((sum, part) => sum + part.length, 0);
    await this.#put(this.#attempt('put', key, signal), size, Readable.from(parts, { objectMode: false }));
  }

  async putFile(key: string, file: FileHandle, size: number): Promise<void> {
    checkKey(key);
    const bytes = Buffer.alloc(size);
    const { bytesRead } = await file.read(bytes, 0, size, 0);
    await this.put(key, [bytes.subarray(0, bytesRead)]);
  }

  async #put(attempt: Attempt, size: number, body: Readable): Promise<void> {
    const { storageClass } = this.#settings;
    try {
      await this.#within(attempt, size, (abortSignal) =>
        this.#client.send(
          new PutObjectCommand({
            Bucket: this.#bucket,
            Key: attempt.object,
            ContentLength: size,
            Body: size === 0 ? '' : body,
            ...(storageClass && { StorageClass: storageClass as 'STANDARD' }),
          }),
          { abortSignal },
        ),
      );
    } catch (thrown) {
      throw translate(attempt, thrown);
    }
  }

  async delete(key: string): Promise<void> {
    checkKey(key);
    const attempt = this.#attempt('delete', key);
    try {
      await this.#within(attempt, 0, (abortSignal) =>
        this.#client.send(new DeleteObjectCommand({ Bucket: this.#bucket, Key: key }), { abortSignal }),
      );
    } catch (thrown) {
      if ((thrown as Error).name !== 'NoSuchKey') throw translate(attempt, thrown);
    }
  }

  async head(key: string): Promise<ObjectInfo | undefined> {
    checkKey(key);
    const attempt = this.#attempt('head', key);
    try {
      const found = await this.#within(attempt, 0, (abortSignal) =>
        this.#client.send(new HeadObjectCommand({ Bucket: this.#bucket, Key: key }), { abortSignal }),
      );
      return { key, size: found.ContentLength ?? 0, mtime: found.LastModified?.getTime() ?? 0 };
    } catch (thrown) {
      const error = translate(attempt, thrown);
      if (hasCode(error, 'object-missing')) return undefined;
      throw error;
    }
  }

  async *list(prefix: string, _options?: ListOptions): AsyncIterable<ObjectInfo> {
    const attempt = this.#attempt('list', prefix);
    let token: string | undefined;
    do {
      const page = await this.#within(attempt, 0, (abortSignal) =>
        this.#client.send(
          new ListObjectsV2Command({
            Bucket: this.#bucket,
            Prefix: prefix,
            MaxKeys: LIST_PAGE,
            EncodingType: 'url',
            ...(token !== undefined && { ContinuationToken: token }),
          }),
          { abortSignal },
        ),
      ).catch((thrown: unknown) => {
        throw translate(attempt, thrown);
      });
      for (const { Key, Size = 0, LastModified } of page.Contents ?? [])
        if (Key !== undefined) yield { key: decoded(Key), size: Size, mtime: LastModified?.getTime() ?? 0 };
      token = page.IsTruncated ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
  }

  async close(): Promise<void> {
    this.#client.destroy();
  }

  #attempt(what: Attempt['what'], object: string, signal?: AbortSignal): Attempt {
    return { what, object, description: this.description, signal };
  }

  /** Ends the request when the caller's signal does, or after what `bytes` need at most. */
  async #within<T>(attempt: Attempt, bytes: number, request: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const ms = Math.ceil(ANSWER_MS + (bytes / SLOWEST_BYTES_PER_S) * 1000);
    const limit = AbortSignal.timeout(ms);
    try {
      return await request(attempt.signal === undefined ? limit : AbortSignal.any([attempt.signal, limit]));
    } catch (thrown) {
      if (!limit.aborted || attempt.signal?.aborted) throw thrown;
      throw fail('store-unavailable', `${attempt.what} ${attempt.object}: no answer within ${Math.ceil(ms / 1000)} s`);
    }
  }
}

/** Into memory of its own: callers hand it to threads. Ends one byte after `maxBytes`. */
async function readBody(body: Readable, length: number | undefined, maxBytes: number): Promise<Buffer> {
  const most = maxBytes + 1;
  const bytes = Buffer.allocUnsafeSlow(Math.min(length ?? UNKNOWN_SIZE, most));
  let filled = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    filled += chunk.copy(bytes, filled);
    if (filled >= most) break;
  }
  if (length !== undefined && filled < Math.min(length, most))
    throw fail('store-unavailable', `body: wanted ${length} bytes, found ${filled}`);
  return bytes.subarray(0, filled);
}

/** `encoding-type=url` also writes a space as '+'. */
const decoded = (key: string): string => decodeURIComponent(key.replaceAll('+', ' '));
