// Objects that are too long for one put, in parts. What is not completed is aborted, so that no part stays behind and is
// paid for; a client that dies leaves them to the bucket's life-cycle rule.
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { fail } from '../../base/errors.ts';
import { retry } from '../../base/retry.ts';
import { MiB } from '../../base/units.ts';
import { storeRetry } from './retrying-store.ts';
import type { S3Bucket } from './s3-bucket.ts';
import type { Attempt } from './s3-errors.ts';
import { bodyOf, type Understood } from './s3-put.ts';

/** Every store's smallest part is at most 5 MiB, and one takes no other size than 8. */
export const PART_BYTES = 8 * MiB;
/** S3's most; above it parts grow. */
const MAX_PARTS = 10_000;
/** Parts in memory at once. */
const AT_ONCE = 3;

/** Fills `length` bytes from `offset` on; fewer are an error. */
export type ReadAt = (offset: number, length: number) => Promise<Buffer>;

interface Upload {
  readonly bucket: S3Bucket;
  readonly understood: Understood;
  readonly attempt: Attempt;
  readonly id: string;
}

export async function putInParts(
  bucket: S3Bucket,
  understood: Understood,
  attempt: Attempt,
  { size, read }: { readonly size: number; readonly read: ReadAt },
): Promise<void> {
  const target = { Bucket: bucket.name, Key: attempt.object };
  const { UploadId: id } = await bucket.call(attempt, 0, (client, options) =>
    client.send(new CreateMultipartUploadCommand({ ...target, ...bucket.storageClass }), options),
  );
  if (id === undefined) throw fail('store-unavailable', `put ${attempt.object}: no upload id (${bucket.description})`);
  const upload = { bucket, understood, attempt, id };
  try {
    const Parts = await sendParts(upload, size, read);
    await bucket.call(attempt, 0, (client, options) =>
      client.send(new CompleteMultipartUploadCommand({ ...target, UploadId: id, MultipartUpload: { Parts } }), options),
    );
  } catch (thrown) {
    // Best effort: what failed is what the caller hears of.
    const { signal: _, ...abort } = attempt;
    await bucket
      .call(abort, 0, (client, options) =>
        client.send(new AbortMultipartUploadCommand({ ...target, UploadId: id }), options),
      )
      .catch(() => undefined);
    throw thrown;
  }
}

async function sendParts(upload: Upload, size: number, read: ReadAt): Promise<CompletedPart[]> {
  const length = Math.max(PART_BYTES, Math.ceil(size / MAX_PARTS / MiB) * MiB);
  const count = Math.max(1, Math.ceil(size / length));
  const parts: CompletedPart[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) {
      const bytes = await read(index * length, Math.min(length, size - index * length));
      parts[index] = await sendPart(upload, index + 1, bytes).catch((thrown: unknown) => {
        next = count;
        throw thrown;
      });
    }
  };
  // All must have ended before the upload is aborted: a part that arrives later would stay.
  const ended = await Promise.allSettled(Array.from({ length: AT_ONCE }, work));
  for (const each of ended) if (each.status === 'rejected') throw each.reason;
  return parts;
}

/** Tried again by itself: a hiccup must not send hours of upload again. */
async function sendPart(
  { bucket, understood, attempt, id }: Upload,
  number: number,
  bytes: Buffer,
): Promise<CompletedPart> {
  const { ETag } = await retry(
    () => {
      const checksums = understood.ofPart(bytes);
      return bucket.call(attempt, bytes.length, (client, options) => {
        const part = { Bucket: bucket.name, Key: attempt.object, UploadId: id, PartNumber: number };
        const body = { Body: bodyOf(bucket, [bytes]), ContentLength: bytes.length };
        return client.send(new UploadPartCommand({ ...part, ...body, ...checksums }), options);
      });
    },
    storeRetry,
    attempt.signal,
  );
  return { PartNumber: number, ETag };
}
