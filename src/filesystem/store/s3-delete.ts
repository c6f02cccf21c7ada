// Deletes, one by one or a thousand in a request.
import { createHash } from 'node:crypto';
import { DeleteObjectCommand, DeleteObjectsCommand } from '@aws-sdk/client-s3';
import { fail } from '../../base/errors.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { isUnsupported, nameOf, translate } from './s3-errors.ts';

/** S3's most. */
const BATCH = 1000;
/** Where a store has no batches. */
const AT_ONCE = 8;

export async function deleteObject(bucket: S3Bucket, key: string): Promise<void> {
  const attempt = bucket.attempt('delete', key);
  try {
    await bucket.raw(attempt, 0, (client, options) =>
      client.send(new DeleteObjectCommand({ Bucket: bucket.name, Key: key }), options),
    );
  } catch (thrown) {
    if (nameOf(thrown) !== 'NoSuchKey') throw translate(attempt, thrown);
  }
}

export class BatchDelete {
  readonly #bucket: S3Bucket;
  #supported = true;

  constructor(bucket: S3Bucket) {
    this.#bucket = bucket;
  }

  async deleteMany(keys: readonly string[]): Promise<void> {
    for (let i = 0; i < keys.length; i += BATCH) {
      const some = keys.slice(i, i + BATCH);
      if (some.length === 1 && some[0] !== undefined) await deleteObject(this.#bucket, some[0]);
      else if (!this.#supported || !(await this.#batch(some))) await this.#oneByOne(some);
    }
  }

  /** False: the store knows no batches. */
  async #batch(keys: readonly string[]): Promise<boolean> {
    const bucket = this.#bucket;
    const attempt = bucket.attempt('delete', `${keys[0]} and ${keys.length - 1} more`);
    const Delete = { Quiet: true, Objects: keys.map((Key) => ({ Key })) };
    try {
      const { Errors = [] } = await bucket.raw(attempt, 0, (client, options) => {
        // Older stores want it; the SDK sends a newer checksum, which they ignore.
        return client.send(withMd5(new DeleteObjectsCommand({ Bucket: bucket.name, Delete })), options);
      });
      const failed = Errors.find(({ Code }) => Code !== 'NoSuchKey');
      if (failed === undefined) return true;
      throw fail(
        failed.Code === 'AccessDenied' ? 'permission-denied' : 'store-unavailable',
        `delete ${failed.Key}: the store answered ${failed.Code} ${failed.Message ?? ''} (${bucket.description})`,
      );
    } catch (thrown) {
      if (!isUnsupported(thrown)) throw translate(attempt, thrown);
      this.#supported = false;
      return false;
    }
  }

  async #oneByOne(keys: readonly string[]): Promise<void> {
    for (let i = 0; i < keys.length; i += AT_ONCE)
      await Promise.all(keys.slice(i, i + AT_ONCE).map((key) => deleteObject(this.#bucket, key)));
  }
}

export function withMd5(command: DeleteObjectsCommand): DeleteObjectsCommand {
  command.middlewareStack.add(
    (next) => (args) => {
      const request = args.request as { body?: string | Uint8Array; headers: Record<string, string> };
      const hash = createHash('md5').update(request.body ?? '');
      request.headers['content-md5'] = hash.digest('base64');
      return next(args);
    },
    { step: 'build', name: 'contentMd5' },
  );
  return command;
}
