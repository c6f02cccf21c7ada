// Listings, page by page, in byte order of keys. A listing may be stale: what it names can be gone by the time it is asked
// for, which is not an error to anybody here.
import {
  type _Object,
  ListObjectsCommand,
  type ListObjectsCommandOutput,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
} from '@aws-sdk/client-s3';
import { fail } from '../../base/errors.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { type Attempt, isUnsupported, translate } from './s3-errors.ts';
import type { ListOptions, ObjectInfo } from './store.ts';

/** S3's most. */
const PAGE = 1000;

type Listing = ListObjectsV2CommandOutput | ListObjectsCommandOutput;

export async function* listObjects(bucket: S3Bucket, prefix: string, options: ListOptions): AsyncGenerator<ObjectInfo> {
  const attempt = bucket.attempt('list', prefix);
  let last = Buffer.from(options.after ?? '');
  let token: string | undefined;
  let version: 1 | 2 = 2;
  for (;;) {
    const after = last.toString();
    let page: Listing;
    try {
      page = version === 2 ? await second(bucket, attempt, token, after) : await first(bucket, attempt, after);
    } catch (thrown) {
      if (version === 1 || token !== undefined || !isUnsupported(thrown)) throw translate(attempt, thrown);
      version = 1;
      continue;
    }
    for (const object of inOrder(page)) {
      // Stores that show folders as objects do so with a '/' at the end; ours never have one.
      if (!object.key.startsWith(prefix) || object.key.endsWith('/')) continue;
      const key = Buffer.from(object.key);
      const order = Buffer.compare(key, last);
      if (order < 0)
        throw fail('unsupported', `list ${prefix}: the store lists out of order (${bucket.description})`, {
          hint: 'wanted keys in byte order, as general purpose buckets have them; directory buckets have not',
        });
      if (order === 0) continue;
      last = key;
      yield object;
    }
    if (page.IsTruncated !== true) return;
    token = 'NextContinuationToken' in page ? page.NextContinuationToken : undefined;
    // Nothing to go on with would be the same page for ever.
    if (version === 2 && token === undefined && last.toString() === after)
      throw fail('store-unavailable', `list ${prefix}: cut short by the store (${bucket.description})`);
  }
}

/** A page as its store wrote it: some sort by parts of the path. */
function inOrder(page: Listing): ObjectInfo[] {
  const decode = page.EncodingType === 'url' ? decoded : (key: string): string => key;
  const objects = (page.Contents ?? []).flatMap(({ Key, Size = 0, LastModified }: _Object) =>
    Key === undefined ? [] : [{ key: decode(Key), size: Size, mtime: LastModified?.getTime() ?? 0 }],
  );
  return objects.every((object, i) => i === 0 || before(objects[i - 1], object))
    ? objects
    : objects.sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));
}

/** UTF-16 order is byte order wherever no surrogates are; keys of the format are ASCII. */
const before = (a: ObjectInfo | undefined, b: ObjectInfo): boolean => a === undefined || a.key < b.key;

/** `encoding-type=url` writes a space as '+'. */
const decoded = (key: string): string => decodeURIComponent(key.replaceAll('+', ' '));

function second(bucket: S3Bucket, attempt: Attempt, token: string | undefined, after: string): Promise<Listing> {
  const where = token === undefined ? after !== '' && { StartAfter: after } : { ContinuationToken: token };
  const what = { Bucket: bucket.name, Prefix: attempt.object, MaxKeys: PAGE, EncodingType: 'url' } as const;
  return bucket.raw(attempt, 0, (client, options) =>
    client.send(new ListObjectsV2Command({ ...what, ...where }), options),
  );
}

/** What older stores know. */
function first(bucket: S3Bucket, attempt: Attempt, after: string): Promise<Listing> {
  const where = after !== '' && { Marker: after };
  const what = { Bucket: bucket.name, Prefix: attempt.object, MaxKeys: PAGE, EncodingType: 'url' } as const;
  return bucket.raw(attempt, 0, (client, options) =>
    client.send(new ListObjectsCommand({ ...what, ...where }), options),
  );
}
