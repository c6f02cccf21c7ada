// Which addresses an object store may be spoken to at: HTTPS always. Bytes on the wire are sealed, but keys of objects,
// credentials and who reads what when are not, and nobody else may answer in the store's place.
import { fail } from '../../base/errors.ts';

export interface TransportExceptions {
  readonly storage: string;
  readonly allowInsecureLoopback?: boolean | undefined;
}

const HINT =
  'use https://; http:// is for internal endpoints of AliCloud OSS, UCloud UFile and JDCloud JSS, and for loopback with --allow-insecure-loopback';

/** Rejects an address that would be spoken to without TLS, whatever named it: bucket, endpoint, redirect. */
export function checkTransport(url: URL, exceptions: TransportExceptions): void {
  const { protocol, hostname, host } = url;
  if (protocol === 'https:') return;
  if (protocol !== 'http:')
    throw fail('bad-input', `object store ${host}: wanted https://, found ${JSON.stringify(protocol)}`);
  if (exceptions.allowInsecureLoopback === true && isLoopback(hostname)) return;
  throw fail('refused', `object store http://${host}: the transport rule refuses connections without TLS`, {
    hint: HINT,
  });
}

/** As the URL parser writes hosts: IPv4 in dotted decimals, IPv6 in brackets, names in lower case. */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}
