// The original client's spellings of --bucket for S3 and its compatibles, read into what the SDK wants. Where it falls
// back to http:// (a host with no scheme), we take https://.
import { fail } from '../../base/errors.ts';

export interface S3Address {
  readonly bucket: string;
  /** Undefined: AWS's own, by region. */
  readonly endpoint?: URL;
  /** Undefined: not said by the address. */
  readonly region?: string;
  /** https://endpoint/bucket/key, or else https://bucket.endpoint/key. */
  readonly pathStyle: boolean;
  readonly dualStack?: boolean;
  readonly fips?: boolean;
}

export function bucketUrl(storage: string, bucket: string): URL {
  const text = bucket.includes('://') ? bucket : `https://${bucket}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.hostname === '') throw badBucket(storage, bucket, 'a URL');
  if (url.username !== '' || url.password !== '')
    throw fail('bad-input', `bucket of storage ${storage}: wanted a URL without user and password`, {
      hint: 'give keys by --access-key and --secret-key, or by ACCESS_KEY and SECRET_KEY in the environment',
    });
  return url;
}

const badBucket = (storage: string, bucket: string, wanted: string): Error =>
  fail('bad-input', `bucket ${JSON.stringify(bucket)} of storage ${storage}: wanted ${wanted}`);

/** As the original client, by its own variable: other stores than AWS are addressed by path unless told otherwise. */
const virtualHosts = (env: NodeJS.ProcessEnv): boolean => !['', '0', 'false'].includes(env['JFS_S3_VHOST_STYLE'] ?? '');

export function s3Address(bucket: string, env: NodeJS.ProcessEnv = process.env): S3Address {
  const url = bucketUrl('s3', bucket);
  const aws = /(^|\.)amazonaws\.com(\.cn)?$/.test(url.hostname);
  const named = url.pathname.split('/')[1] ?? '';
  if (named !== '') return { bucket: named, ...(aws ? awsHost(url.hostname) : compatible(url, url.host, env)) };
  const dot = url.host.indexOf('.');
  // A bucket name and nothing else: AWS, in a region that is looked up.
  if (dot < 0) return { bucket: url.host, pathStyle: false };
  if (!aws) return { bucket: url.host.slice(0, dot), ...compatible(url, url.host.slice(dot + 1), env) };
  const split = /^(.+?)\.(s3[.-].*)$/.exec(url.hostname);
  if (split === null) throw badBucket('s3', bucket, 'the name of a bucket in it');
  const [, name = '', host = ''] = split;
  return { bucket: name, ...awsHost(host) };
}

/** s3.REGION, s3-REGION, s3.dualstack.REGION, s3-fips.REGION, s3.amazonaws.com; all but the region is the SDK's to say. */
function awsHost(host: string): Omit<S3Address, 'bucket'> {
  const dualStack = /[.-]dualstack\./.test(host);
  const fips = /^s3-fips\./.test(host);
  const region = /^s3(?:-fips)?(?:\.dualstack)?[.-](?!dualstack)([a-z0-9-]+)\.amazonaws\.com/.exec(host)?.[1];
  return {
    pathStyle: false,
    region: region === undefined || region === 'external-1' ? 'us-east-1' : region,
    ...(dualStack && { dualStack }),
    ...(fips && { fips }),
  };
}

const regionInHost = [
  /\.compat\.objectstorage\.([a-z0-9-]+)\.oraclecloud\.com$/,
  /^s3\.(\w*)(?:\.\w*)?\.cloud\.ovh\.net$/,
];

function compatible({ protocol }: URL, host: string, env: NodeJS.ProcessEnv): Omit<S3Address, 'bucket'> {
  const region = regionInHost.map((pattern) => pattern.exec(host)?.[1]).find((found) => found !== undefined);
  return {
    endpoint: new URL(`${protocol}//${host}`),
    pathStyle: !virtualHosts(env),
    ...(region && { region }),
  };
}

export function minioAddress(bucket: string, env: NodeJS.ProcessEnv = process.env): S3Address {
  const url = bucketUrl('minio', bucket);
  const [first = '', second = ''] = url.pathname.split('/').slice(1);
  // A proxy's path, as the original client knows it: https://host/minio/bucket.
  const name = first === 'minio' && second !== '' ? second : first;
  if (name === '') throw badBucket('minio', bucket, 'https://HOST:PORT/BUCKET');
  const region = url.searchParams.get('region') ?? env['MINIO_REGION'];
  return {
    bucket: name,
    endpoint: new URL(`${url.protocol}//${url.host}`),
    pathStyle: !virtualHosts(env),
    region: region || 'us-east-1',
  };
}
