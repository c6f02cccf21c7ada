// Which addresses an object store may be spoken to at: HTTPS always. Bytes on the wire are sealed, but keys of objects,
// credentials and who reads what when are not, and nobody else may answer in the store's place.
import { fail } from '../../base/errors.ts';

export interface TransportExceptions {
  readonly allowInsecureLoopback?: boolean | undefined;
  /** A place that others named: none of them counts. */
  readonly remoteOnly?: boolean | undefined;
}

/**
 * Networks of clouds that end TLS before them, by the hosts that stand only there: a bucket's label or none, the region's
 * label, and nothing before or behind.
 */
const internalHosts: readonly RegExp[] = [
  // AliCloud OSS: oss-cn-hangzhou-internal.aliyuncs.com, and its S3 face.
  /^(?:[a-z0-9-]+\.)?(?:s3\.)?oss-[a-z0-9-]+-internal\.aliyuncs\.com$/,
  // UCloud UFile: internal.s3-cn-bj.ufileos.com.
  /^(?:[a-z0-9-]+\.)?internal\.s3-[a-z0-9-]+\.ufileos\.com$/,
  // JDCloud: s3-internal.cn-north-1.jdcloud-oss.com.
  /^(?:[a-z0-9-]+\.)?s3-internal\.[a-z0-9-]+\.jdcloud-oss\.com$/,
];

const HINT =
  'use https://; http:// is for internal endpoints of AliCloud OSS, UCloud UFile and JDCloud JSS, and for loopback with --allow-insecure-loopback';

/** Rejects an address that would be spoken to without TLS, whatever named it: bucket, endpoint, redirect. */
export function checkTransport(url: URL, exceptions: TransportExceptions, from = 'object store'): void {
  const { protocol, hostname, host } = url;
  if (protocol === 'https:') return;
  if (protocol !== 'http:') throw fail('bad-input', `${from} ${host}: wanted https://, found ${protocol}//`);
  const { allowInsecureLoopback = false, remoteOnly = false } = exceptions;
  if (!remoteOnly && allowInsecureLoopback && isLoopback(hostname)) return;
  if (!remoteOnly && internalHosts.some((pattern) => pattern.test(hostname))) return;
  throw fail('refused', `${from} http://${host}: the transport rule refuses connections without TLS`, { hint: HINT });
}

/** As the URL parser writes hosts: IPv4 in dotted decimals, IPv6 in brackets, names in lower case. */
function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}
