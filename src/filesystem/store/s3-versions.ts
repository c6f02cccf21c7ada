// Older versions that a bucket keeps of objects that are deleted, and its marks of their deletion. A store that keeps none, or
// does not let us see them, lists none: that cannot be told apart, so it is said where it matters and is no failure.
import {
  DeleteObjectsCommand,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandOutput,
} from '@aws-sdk/client-s3';
import { hasCode } from '../../base/errors.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { withMd5 } from './s3-delete.ts';
import { isUnsupported, translate } from './s3-errors.ts';
import { noVersions, type Versions } from './store.ts';

/** S3's most, listed and deleted. */
const PAGE = 1000;

interface Version {
  readonly Key: string;
  readonly VersionId: string;
}

/** Page by page, by the store's own markers: what it refuses to delete stays behind, and the next page comes. */
export async function removeVersions(bucket: S3Bucket, prefix: string): Promise<Versions> {
  let { removed, left } = noVersions;
  let at: { KeyMarker?: string; VersionIdMarker?: string } = {};
  for (;;) {
    const page = await pageOf(bucket, prefix, at);
    if (page === undefined) return { removed, left };
    const found = [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])].flatMap(({ Key, VersionId }): Version[] =>
      Key?.startsWith(prefix) && VersionId !== undefined ? [{ Key, VersionId }] : [],
    );
    const refused = found.length === 0 ? 0 : await remove(bucket, found);
    removed += found.length - refused;
    left += refused;
    const { NextKeyMarker, NextVersionIdMarker } = page;
    if (page.IsTruncated !== true || NextKeyMarker === undefined) return { removed, left };
    at = {
      KeyMarker: NextKeyMarker,
      ...(NextVersionIdMarker !== undefined && { VersionIdMarker: NextVersionIdMarker }),
    };
  }
}

/** Undefined: it lists none. */
async function pageOf(
  bucket: S3Bucket,
  prefix: string,
  at: { readonly KeyMarker?: string; readonly VersionIdMarker?: string },
): Promise<ListObjectVersionsCommandOutput | undefined> {
  const attempt = bucket.attempt('list', prefix);
  try {
    return await bucket.raw(attempt, 0, (client, options) =>
      client.send(
        new ListObjectVersionsCommand({ Bucket: bucket.name, Prefix: prefix, MaxKeys: PAGE, ...at }),
        options,
      ),
    );
  } catch (thrown) {
    if (isUnsupported(thrown)) return undefined;
    const translated = translate(attempt, thrown);
    if (hasCode(translated, 'permission-denied')) return undefined;
    throw translated;
  }
}

/** Answers how many it refused: a lock on objects, a missing permission. */
async function remove(bucket: S3Bucket, versions: readonly Version[]): Promise<number> {
  let refused = 0;
  for (let i = 0; i < versions.length; i += PAGE) {
    const attempt = bucket.attempt('delete', `versions below ${versions[0]?.Key}`);
    const Delete = { Quiet: true, Objects: versions.slice(i, i + PAGE) };
    try {
      const { Errors = [] } = await bucket.raw(attempt, 0, (client, options) =>
        client.send(withMd5(new DeleteObjectsCommand({ Bucket: bucket.name, Delete })), options),
      );
      refused += Errors.filter(({ Code }) => Code !== 'NoSuchKey' && Code !== 'NoSuchVersion').length;
    } catch (thrown) {
      throw translate(attempt, thrown);
    }
  }
  return refused;
}
