// The original client's spellings of --bucket for S3 and its compatibles, read into what the SDK wants. Where it falls
// back to http:// (a host without a scheme), we take https://.
import { fail } from '../../base/errors.ts';
import { type S3Kind, s3Kind } from './s3-kinds.ts';

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
  /** As the original client: `?disable-checksum=true`. */
  readonly noChecksum?: boolean;
}

type Where = Omit<S3Address, 'bucket' | 'noChecksum'>;

export function s3Address(storage: string, bucket: string, env: NodeJS.ProcessEnv = process.env): S3Address {
  const url = bucketUrl(storage, bucket);
  const kind = s3Kind(storage);
  const found = kind === undefined ? plainAddress(url, env) : kindAddress(kind, url, env);
  if (found === undefined || found.bucket === '') throw badBucket(storage, bucket, spelling(storage, kind));
  const noChecksum = url.searchParams.get('disable-checksum') === 'true';
  return { ...found, ...(noChecksum && { noChecksum }) };
}

function bucketUrl(storage: string, bucket: string): URL {
  // gs://bucket and s3://bucket are names, not schemes to speak.
  const bare = bucket.replace(/^(?:gs|s3):\/\//, '');
  const text = bare.includes('://') ? bare : `https://${bare}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.hostname === '') throw badBucket(storage, bucket, 'a URL');
  if (url.username !== '' || url.password !== '')
    throw fail('bad-input', `bucket of storage ${storage}: wanted a URL without user and password`, {
      hint: 'give keys by --access-key and --secret-key, or by ACCESS_KEY and SECRET_KEY in the environment',
    });
  if (url.searchParams.get('tls-insecure-skip-verify') === 'true')
    throw fail('refused', `bucket of storage ${storage}: the transport rule refuses tls-insecure-skip-verify`, {
      hint: 'name the authority that signed the certificate by --ca-bundle',
    });
  return url;
}

/** A key that was meant to stand before an @ is not shown. */
const badBucket = (storage: string, bucket: string, wanted: string): Error =>
  fail(
    'bad-input',
    `bucket${bucket.includes('@') ? '' : ` ${JSON.stringify(bucket)}`} of storage ${storage}: wanted ${wanted}`,
  );

function spelling(storage: string, kind: S3Kind | undefined): string {
  if (kind === undefined) return 'https://BUCKET.s3.REGION.amazonaws.com, https://ENDPOINT/BUCKET or a name';
  if (kind.spelled === 'name') return 'the name of a bucket';
  const host = kind.elsewhere === undefined ? `a host of ${storage} that speaks S3` : 'HOST';
  return kind.spelled === 'path' ? `https://HOST/BUCKET with ${host}` : `https://BUCKET.HOST with ${host}`;
}

/** The original client's own variable. */
const virtualHosts = (env: NodeJS.ProcessEnv): boolean => !['', '0', 'false'].includes(env['JFS_S3_VHOST_STYLE'] ?? '');

const regionOf = (url: URL, env: NodeJS.ProcessEnv): string | undefined =>
  url.searchParams.get('region') ?? env['MINIO_REGION'];

function kindAddress(kind: S3Kind, url: URL, env: NodeJS.ProcessEnv): S3Address | undefined {
  const [bucket, host] = bucketAndHost(kind, url);
  const byPath = (how: S3Kind['addressed']): boolean => how === 'path' || (how === 'asked' && !virtualHosts(env));
  for (const rule of kind.hosts) {
    if (!rule.host.test(host)) continue;
    const named = host.replace(rule.host, rule.endpoint ?? '$&');
    const region = host.replace(rule.host, rule.region);
    return { bucket, pathStyle: byPath(kind.addressed), endpoint: withHost(url, named), region };
  }
  if (kind.elsewhere === undefined || host === '') return undefined;
  const region = kind.spelled === 'path' ? regionOf(url, env) : env['AWS_REGION'];
  const pathStyle = byPath(kind.addressedElsewhere ?? kind.addressed);
  return { bucket, pathStyle, endpoint: withHost(url, host), region: region || kind.elsewhere };
}

/** Hosts come without their port. */
function bucketAndHost(kind: S3Kind, url: URL): readonly [string, string] {
  if (kind.spelled === 'path') {
    const [first = '', second = ''] = url.pathname.split('/').slice(1);
    // A proxy's path, as the original client knows it: https://host/minio/bucket.
    return [first === 'minio' && second !== '' ? second : first, url.hostname];
  }
  const [bucket = '', ...rest] = url.hostname.split('.');
  // What follows a bare name is a region, which the one endpoint does not need.
  return [bucket, kind.endpoint ?? rest.join('.')];
}

const withHost = (url: URL, hostname: string): URL =>
  new URL(`${url.protocol}//${hostname}${url.port === '' ? '' : `:${url.port}`}`);

function plainAddress(url: URL, env: NodeJS.ProcessEnv): S3Address | undefined {
  const aws = /(^|\.)amazonaws\.com(\.cn)?$/.test(url.hostname);
  const named = url.pathname.split('/')[1] ?? '';
  if (named !== '') return { bucket: named, ...(aws ? awsHost(url) : compatible(url, url.hostname, env)) };
  const dot = url.hostname.indexOf('.');
  // A bucket name and nothing else: AWS, in a region that is looked up.
  if (dot < 0) return { bucket: url.hostname, pathStyle: false };
  if (!aws) return { bucket: url.hostname.slice(0, dot), ...compatible(url, url.hostname.slice(dot + 1), env) };
  const split = /^(.+?)\.((?:s3[.-]|bucket\.vpce-).*)$/.exec(url.hostname);
  return split?.[1] === undefined || split[2] === undefined
    ? undefined
    : { bucket: split[1], ...awsHost(withHost(url, split[2])) };
}

/** s3.REGION, s3-REGION, s3.dualstack.REGION, s3-fips.REGION, s3.amazonaws.com: all but the region is the SDK's to say. */
function awsHost(url: URL): Where {
  const vpc = /\.([a-z0-9-]+)\.vpce\.amazonaws\.com(?:\.cn)?$/.exec(url.hostname)?.[1];
  if (vpc !== undefined) return { endpoint: withHost(url, url.hostname), region: vpc, pathStyle: true };
  // Nobody else answers there in clear text, but an address that asks for it is an error to be told.
  const clear = url.protocol === 'https:' ? {} : { endpoint: url };
  const dualStack = /[.-]dualstack\./.test(url.hostname);
  const fips = /^s3-fips\./.test(url.hostname);
  const region = /^s3(?:-fips)?(?:\.dualstack)?[.-](?!dualstack)([a-z0-9-]+)\.amazonaws\.com/.exec(url.hostname)?.[1];
  return {
    ...clear,
    pathStyle: false,
    region: region === undefined || region === 'external-1' ? 'us-east-1' : region,
    ...(dualStack && { dualStack }),
    ...(fips && { fips }),
  };
}

/** Services that are spelled as plain s3 and want their own region signed. */
const regionInHost: readonly RegExp[] = [
  /\.compat\.objectstorage\.([a-z0-9-]+)\.oraclecloud\.com$/,
  /^s3\.(\w*)(?:\.\w*)?\.cloud\.ovh\.net$/,
  /^s3(?:-internal)?\.([a-z0-9-]+)\.jdcloud-oss\.com$/,
];

function compatible(url: URL, hostname: string, env: NodeJS.ProcessEnv): Where {
  const inHost = regionInHost.map((pattern) => pattern.exec(hostname)?.[1]).find((found) => found !== undefined);
  const region = hostname.endsWith('.r2.cloudflarestorage.com') ? 'auto' : inHost;
  return { endpoint: withHost(url, hostname), pathStyle: !virtualHosts(env), ...(region && { region }) };
}

/**
 * How a place is written down so that the original client finds it, too, and over TLS: it takes a host without scheme for
 * http://, and knows R2 only as S3.
 */
export function recordedPlace(storage: string, bucket: string): { readonly storage: string; readonly bucket: string } {
  const named = storage === 'r2' ? 's3' : storage;
  const needsScheme = (named === 's3' || named === 'minio') && !bucket.includes('://') && /[./:]/.test(bucket);
  return { storage: named, bucket: needsScheme ? `https://${bucket}` : bucket };
}
