// Which machines a Secret may send a node to. A tenant writes the Secret and the node connects, from inside: so never to the
// node itself or to what only the node can see, and where the driver names its endpoints, to nothing else.
import { BlockList, isIP } from 'node:net';
import { fail } from '../base/errors.ts';
import { isLocalHost, localRefusal } from '../base/local-address.ts';

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
  // Names by what they are; by what they lead to once somebody connects (base/local-address.ts).
  if (isLocalHost(canonical)) throw localRefusal(what);
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
