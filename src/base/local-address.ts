// Addresses that lead to this machine, to its link, to everybody or to nobody. Who connects to where others say must not
// come out there: what listens on loopback, and a cloud's metadata service, take who reaches them for a friend.
import { lookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { type FsError, fail } from './errors.ts';

const forbidden = new BlockList();
for (const [net, prefix] of [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 3],
] as const) {
  forbidden.addSubnet(net, prefix, 'ipv4');
  // As IPv6 holds IPv4: mapped, compatible (older), and for gateways that translate (RFC 4291, RFC 6052).
  for (const holder of ['::ffff:', '::', '64:ff9b::']) forbidden.addSubnet(`${holder}${net}`, 96 + prefix, 'ipv6');
}
for (const [net, prefix] of [
  ['::', 127],
  ['fe80::', 10],
  ['ff00::', 8],
  // Where Amazon's metadata service is under IPv6, in a range that is otherwise for private use.
  ['fd00:ec2::', 32],
] as const)
  forbidden.addSubnet(net, prefix, 'ipv6');

/** In any spelling that `isIP` knows, also with a zone ("fe80::1%eth0"); false for a name. */
export function isLocalAddress(address: string): boolean {
  const [plain = ''] = address.split('%');
  const family = isIP(plain);
  return family !== 0 && forbidden.check(plain, family === 6 ? 'ipv6' : 'ipv4');
}

/** An address, without brackets, or a name that means this machine everywhere. What other names lead to is not known here. */
export const isLocalHost = (host: string): boolean =>
  isLocalAddress(host) || /^(?:.*\.)?localhost\.?$|\.localdomain\.?$/i.test(host);

/** `leadsTo`: the address that was found for a name. */
export function localRefusal(what: string, leadsTo?: string): FsError {
  const found = leadsTo === undefined ? '' : `, and it leads to ${leadsTo}`;
  return fail('refused', `${what}: an endpoint rule refuses this machine, its link and its metadata service${found}`);
}

/** Throws refused. For hosts that are connected to without a look-up: addresses, and names that a proxy looks up. */
export function checkRemoteHost(host: string): void {
  if (isLocalHost(host.replace(/^\[|\]$/g, ''))) throw localRefusal(`connect to ${host}`);
}

/**
 * Node's own look-up for `net.connect` and agents, but that fails with refused when any address found is local. The addresses
 * that it hands over are the ones that are connected to: nobody asks the name again between the check and the connection.
 */
export const remoteLookup: LookupFunction = (host, options, callback) => {
  lookup(host, { ...options, all: true }, (error, addresses) => {
    const local = error === null ? addresses.find(({ address }) => isLocalAddress(address)) : undefined;
    const [first] = addresses ?? [];
    if (error !== null) callback(error, []);
    else if (local !== undefined) callback(localRefusal(`connect to ${host}`, local.address), []);
    else if (options.all === true) callback(null, addresses);
    else callback(null, first?.address ?? '', first?.family);
  });
};
