// Which machines a Secret may send a node to. A tenant writes the Secret and the node connects, from inside: so never to the
// node itself or to what only the node can see, and where the driver names its endpoints, to nothing else.
import { BlockList, isIP } from 'node:net';
import { fail } from '../base/errors.ts';

/** The driver's patterns, checked. Empty: everything that is not forbidden. */
export interface Endpoints {
  readonly patterns: readonly Pattern[];
}

interface Pattern {
  /** Lower case. */
  readonly text: string;
  readonly matches: (host: string, port: number) => boolean;
}

/** A cluster has a handful of databases and stores. */
export const MAX_ENDPOINTS = 256;

/** The shape of one pattern: host, *.domain or network, IPv6 in brackets, and a port. For the chart's schema too. */
export const endpointShape =
  /^(\[[0-9a-fA-F:.]+\](?:\/[0-9]{1,3})?|[0-9a-zA-Z*.-]+(?:\/[0-9]{1,3})?)(?::([0-9]{1,5}))?$/;

/** Of this machine, of this link (cloud metadata services live there), of everybody, of nobody. */
const forbidden = new BlockList();
for (const [net, prefix] of [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 3],
] as const)
  forbidden.addSubnet(net, prefix, 'ipv4');
for (const [net, prefix] of [
  ['::', 127],
  ['fe80::', 10],
  ['ff00::', 8],
  // Where Amazon's metadata service is under IPv6, in a range that is otherwise for private use.
  ['fd00:ec2::', 32],
] as const)
  forbidden.addSubnet(net, prefix, 'ipv6');

/** "db.example.com", "*.s3.amazonaws.com", "10.1.0.0/16", each also with ":5432"; separated by commas. */
export function parseEndpoints(text: string): Endpoints {
  const patterns = text
    .split(',')
    .map((item) => item.trim().toLowerCase())
    .filter((item) => item !== '')
    .map(parsePattern);
  if (patterns.length > MAX_ENDPOINTS)
    throw fail('bad-input', `allowed endpoints: ${patterns.length} patterns, at most ${MAX_ENDPOINTS} are taken`);
  return { patterns };
}

function parsePattern(text: string): Pattern {
  const bad = (): Error =>
    fail(
      'bad-input',
      `allowed endpoints: ${JSON.stringify(text)}: wanted a host, *.domain or a network, with or without a port`,
    );
  const [, host = '', portText] = endpointShape.exec(text) ?? [];
  const port = portText === undefined ? undefined : Number(portText);
  const onPort = (found: number): boolean => port === undefined || port === found;
  const [, address = '', prefix] = /^\[?([0-9a-f:.]+)\]?(?:\/(\d{1,3}))?$/.exec(host) ?? [];
  if (isIP(address) !== 0) {
    const list = new BlockList();
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    const most = family === 'ipv6' ? 128 : 32;
    if (Number(prefix ?? most) > most) throw bad();
    list.addSubnet(address, Number(prefix ?? most), family);
    return { text, matches: (found, at) => onPort(at) && isAddressIn(list, found) };
  }
  if (host.startsWith('*.') && isName(host.slice(2)))
    return { text, matches: (found, at) => onPort(at) && isIP(found) === 0 && found.endsWith(host.slice(1)) };
  if (isName(host)) return { text, matches: (found, at) => onPort(at) && found === host };
  throw bad();
}

/** A last label of digits only would be taken for an address by some. */
const isName = (host: string): boolean =>
  /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(host) &&
  !/(?:^|\.)(?:\d+|0x[0-9a-f]*)$/.test(host);

function isAddressIn(list: BlockList, host: string): boolean {
  const family = isIP(host);
  if (family === 0) return false;
  return list.check(host, family === 6 ? 'ipv6' : 'ipv4');
}

/**
 * The host as every resolver understands it, or bad-input: names and addresses have one spelling here, so that nobody
 * else reads 2130706433, 0177.1, "localhost." or a letter from another alphabet as something that was not looked at.
 */
export function checkEndpoint(host: string, port: number, endpoints: Endpoints, what: string): void {
  const found = host.startsWith('[') ? host.slice(1, -1) : host;
  const canonical = canonicalHost(found);
  if (canonical === undefined || canonical !== found)
    throw fail('bad-input', `${what}: its host is not spelled as a plain name or address`);
  if (isLocal(canonical))
    throw fail('refused', `${what}: an endpoint rule refuses this machine, its link and its metadata service`);
  if (endpoints.patterns.length === 0 || endpoints.patterns.some(({ matches }) => matches(canonical, port))) return;
  throw fail('refused', `${what}: ${canonical}:${port} is not among the endpoints that this driver allows`, {
    hint: '--allowed-endpoints of the driver names them',
  });
}

/** As the URL standard has it: IPv4 in four decimals, IPv6 compressed. */
function canonicalHost(host: string): string | undefined {
  if (isIP(host) === 6) {
    const url = `https://[${host}]/`;
    return URL.canParse(url) ? new URL(url).hostname.slice(1, -1) : undefined;
  }
  if (isIP(host) === 0 && !isName(host)) return undefined;
  const url = `https://${host}/`;
  return URL.canParse(url) ? new URL(url).hostname : undefined;
}

function isLocal(host: string): boolean {
  if (isIP(host) === 0) return host === 'localhost' || host.endsWith('.localhost') || host.endsWith('.localdomain');
  return isAddressIn(forbidden, host) || isAddressIn(forbidden, embeddedIpv4(host));
}

/** Of ::ffff:a.b.c.d, the older ::a.b.c.d, and 64:ff9b::a.b.c.d, which gateways translate; else the host itself. */
function embeddedIpv4(host: string): string {
  const [, high, low] = /^(?:::ffff:|::|64:ff9b::)([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(host) ?? [];
  if (high === undefined || low === undefined) return host;
  const [a, b] = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
  return [a >> 8, a & 255, b >> 8, b & 255].join('.');
}
