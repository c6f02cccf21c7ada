// Opens a bucket: finds its region, makes it if asked to.
import {
  type BucketLocationConstraint,
  CreateBucketCommand,
  GetBucketLocationCommand,
  HeadBucketCommand,
} from '@aws-sdk/client-s3';
import { fail } from '../../base/errors.ts';
import { retry } from '../../base/retry.ts';
import { checkTransport } from './https-policy.ts';
import { storeRetry } from './retrying-store.ts';
import { s3Address } from './s3-address.ts';
import { S3Bucket } from './s3-bucket.ts';
import { DEFAULT_REGION } from './s3-client.ts';
import { nameOf, regionIn, statusOf, translate } from './s3-errors.ts';
import { S3Store } from './s3-store.ts';
import type { ObjectStore, StoreSettings } from './store.ts';

/** Somebody waits at a prompt, or a pod for its mount, which is tried again from outside. */
const FIRST_CONTACT = { ...storeRetry, attempts: 3 };
/** A bucket has one region; an answer that sends us on once more is wrong. */
const MAX_MOVES = 2;

/** `create`: make the bucket if there is none. */
export async function openS3(settings: StoreSettings, create: boolean): Promise<ObjectStore> {
  const address = s3Address(settings.storage, settings.bucket);
  if (address.endpoint !== undefined) checkTransport(address.endpoint, settings);
  const { AWS_REGION, AWS_DEFAULT_REGION } = process.env;
  const region = address.region ?? (AWS_REGION || AWS_DEFAULT_REGION || DEFAULT_REGION);
  const bucket = new S3Bucket(address, settings, region);
  try {
    const found = await retry(() => find(bucket, create), FIRST_CONTACT);
    if (!found) throw fail('store-unavailable', `open ${bucket.description}: no such bucket`);
  } catch (thrown) {
    bucket.close();
    throw thrown;
  }
  return new S3Store(bucket);
}

/** Whether it is there, or was made. */
async function find(bucket: S3Bucket, create: boolean): Promise<boolean> {
  const attempt = bucket.attempt('open', bucket.name);
  for (let moves = 0; ; moves++) {
    try {
      await bucket.raw(attempt, 0, (client, options) =>
        client.send(new HeadBucketCommand({ Bucket: bucket.name }), options),
      );
      return true;
    } catch (thrown) {
      if (statusOf(thrown) === 404 && create) return make(bucket);
      const region = moves < MAX_MOVES ? await otherRegion(bucket, thrown) : undefined;
      if (region !== undefined) {
        bucket.moveTo(region);
        continue;
      }
      const why = await explained(bucket, thrown);
      if (why === thrown ? statusOf(why) === 404 : nameOf(why) === 'NoSuchBucket') return false;
      throw translate(attempt, why);
    }
  }
}

/** Where the bucket says it is, if that is elsewhere. HEAD answers have no body; some servers say it only in one. */
async function otherRegion(bucket: S3Bucket, thrown: unknown): Promise<string | undefined> {
  const status = statusOf(thrown);
  if (status !== 301 && status !== 307 && status !== 400 && status !== 403) return undefined;
  const told = regionIn(thrown) ?? (status === 403 ? undefined : await askedRegion(bucket));
  return told === bucket.region ? undefined : told;
}

/** A refusal to HEAD has no body that says why; one to GET has. Some servers know no key but answer 404. */
async function explained(bucket: S3Bucket, thrown: unknown): Promise<unknown> {
  if (statusOf(thrown) !== 403 && statusOf(thrown) !== 404) return thrown;
  try {
    await location(bucket);
    return thrown;
  } catch (refusal) {
    return statusOf(refusal) === undefined ? thrown : refusal;
  }
}

async function location(bucket: S3Bucket): Promise<string> {
  const { LocationConstraint } = await bucket.raw(bucket.attempt('open', bucket.name), 0, (client, options) =>
    client.send(new GetBucketLocationCommand({ Bucket: bucket.name }), options),
  );
  return LocationConstraint || DEFAULT_REGION;
}

async function askedRegion(bucket: S3Bucket): Promise<string | undefined> {
  try {
    return await location(bucket);
  } catch (thrown) {
    return regionIn(thrown);
  }
}

async function make(bucket: S3Bucket): Promise<true> {
  const attempt = bucket.attempt('open', bucket.name);
  // The first region is the one that must not be named.
  const location =
    bucket.region === DEFAULT_REGION || bucket.region === 'auto'
      ? {}
      : { CreateBucketConfiguration: { LocationConstraint: bucket.region as BucketLocationConstraint } };
  try {
    await bucket.raw(attempt, 0, (client, options) =>
      client.send(new CreateBucketCommand({ Bucket: bucket.name, ...location }), options),
    );
  } catch (thrown) {
    // Another format was faster.
    if (nameOf(thrown) !== 'BucketAlreadyOwnedByYou') throw translate(attempt, thrown);
  }
  return true;
}
