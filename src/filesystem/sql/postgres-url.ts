// The original client's PostgreSQL URL, parsed once. Knows what may be asked for, opens nothing. Secrets stay out of the
// description and of every error.
import { isIPv6 } from 'node:net';
import { fail } from '../../base/errors.ts';
import { checkedTablePrefix } from './table-names.ts';

export interface PostgresHost {
  /** A name or an address, or the folder of a unix socket. */
  readonly host: string;
  readonly port: number;
}

export interface PostgresLocation {
  readonly kind: 'postgres';
  /** Tried in turn; one that takes writes is wanted. */
  readonly hosts: readonly PostgresHost[];
  readonly database: string;
  readonly user: string;
  readonly password: string;
  /** Clear text only where it does not leave the machine. */
  readonly transport: 'verify-full' | 'clear';
  /** A file's path, or PEM text itself. */
  readonly rootCertificate: string | undefined;
  readonly clientCertificate: string | undefined;
  readonly clientKey: string | undefined;
  /** One schema; "" for the server's own search path. */
  readonly searchPath: string;
  readonly tablePrefix: string;
  readonly connectTimeoutMs: number;
  /** Neither this machine nor its link, whatever its names lead to: for urls that others wrote. */
  readonly remoteOnly: boolean;
  /** Host, port and database: what messages may show. */
  readonly description: string;
}

const postgresHint =
  'write postgres://USER:PASSWORD@HOST:PORT/DATABASE, with ?sslrootcert=FILE for a certificate authority of your own';
const DEFAULT_PORT = 5432;
/** A server that is there answers within milliseconds; the rest is for slow name servers and lost packets. */
const CONNECT_TIMEOUT_S = 10;
/** The next one may be the one. */
const CONNECT_TIMEOUT_OF_SEVERAL_S = 4;
const MAX_CONNECT_TIMEOUT_S = 300;
const MAX_HOSTS = 16;

/** Options of the original client's driver that say nothing about where or how safely: pool sizes are ours. */
const ignored = new Set([
  'application_name',
  'fallback_application_name',
  'binary_parameters',
  'disable_prepared_binary_result',
  'max_open_conns',
  'max_idle_conns',
  'max_idle_time',
  'max_life_time',
  'sslsni',
  'timezone',
  'client_encoding',
]);
const known = new Set([
  'host',
  'port',
  'user',
  'password',
  'dbname',
  'sslmode',
  'sslrootcert',
  'sslcert',
  'sslkey',
  'search_path',
  'table_prefix',
  'connect_timeout',
  'target_session_attrs',
  'remote_only',
]);

/** `rest` is what stands after `postgres://`. */
export function parsePostgresUrl(rest: string): PostgresLocation {
  const [, authority = '', path = '', search = ''] = /^([^/?#]*)(?:\/([^?#]*))?(?:\?(.*))?$/s.exec(rest) ?? [];
  const at = authority.lastIndexOf('@');
  const [userText = '', ...passwordText] = at < 0 ? [] : authority.slice(0, at).split(':');
  const options = checkedOptions(search);
  const user = options.get('user') ?? decoded(userText, 'user');
  if (user === '') throw fail('bad-input', 'postgres url names no user', { hint: postgresHint });
  const database = options.get('dbname') ?? (decoded(path, 'database') || user);
  const hosts = hostsOf(authority.slice(at + 1), options);
  const tablePrefix = checkedTablePrefix(options.get('table_prefix') ?? '');
  const description = `postgres://${hosts.map(hostText).join(',')}/${database}`;
  return {
    kind: 'postgres',
    hosts,
    database: withoutNul(database),
    user: withoutNul(user),
    password: options.get('password') ?? decoded(passwordText.join(':'), 'password'),
    transport: transportOf(hosts, options.get('sslmode'), description),
    ...certificates(options),
    searchPath: searchPathOf(options.get('search_path') ?? ''),
    tablePrefix,
    connectTimeoutMs: 1000 * secondsOf(options.get('connect_timeout'), hosts.length),
    remoteOnly: remoteOnlyOf(options.get('remote_only')),
    description,
  };
}

function checkedOptions(search: string): ReadonlyMap<string, string> {
  const options = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(search)) {
    if (ignored.has(name.toLowerCase())) continue;
    // A password with a question mark in it that was not escaped would stand here.
    const shown = /^[a-z_]{1,30}$/.test(name) && !search.includes('@') ? ` ${name}` : '';
    if (!known.has(name))
      throw fail('bad-input', `postgres url: option${shown} is not known`, {
        hint: `known are ${[...known].join(', ')}`,
      });
    if (value !== '') options.set(name, value);
  }
  const attrs = options.get('target_session_attrs') ?? 'read-write';
  if (!['any', 'read-write', 'primary'].includes(attrs))
    throw fail('bad-input', `postgres url: target_session_attrs ${JSON.stringify(attrs)}: wanted read-write`);
  return options;
}

function hostsOf(authority: string, options: ReadonlyMap<string, string>): PostgresHost[] {
  const ports = (options.get('port') ?? '').split(',');
  const hosts = (options.get('host') ?? authority).split(',').map((text, i) => {
    const [, bracketed, plain = '', port = ''] =
      /^(?:\[([^\]]+)\]|([^:]*))(?::(\d+))?$/.exec(text.startsWith('/') ? '' : text) ?? [];
    const host = text.startsWith('/') ? text : decoded(bracketed ?? plain, 'host');
    if (host === '' || withoutNul(host).includes(' '))
      throw fail('bad-input', 'postgres url names no host', { hint: postgresHint });
    return { host, port: portOf(port || (ports[i] ?? ports[0] ?? '')) };
  });
  if (hosts.length > MAX_HOSTS)
    throw fail('bad-input', `postgres url names ${hosts.length} hosts: wanted ${MAX_HOSTS} at most`);
  return hosts;
}

function portOf(text: string): number {
  if (text === '') return DEFAULT_PORT;
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port < 1 || port > 65_535)
    throw fail('bad-input', `postgres url: port ${JSON.stringify(text)}: wanted 1 to 65535`);
  return port;
}

const hostText = ({ host, port }: PostgresHost): string => `${isIPv6(host) ? `[${host}]` : host}:${port}`;
export const isSocketFolder = ({ host }: PostgresHost): boolean => host.startsWith('/');

/** Names that can mean this machine; what they lead to is looked at again when the connection stands. */
const isLoopback = ({ host }: PostgresHost): boolean =>
  host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);

function transportOf(
  hosts: readonly PostgresHost[],
  sslmode: string | undefined,
  where: string,
): 'verify-full' | 'clear' {
  if (hosts.every(isSocketFolder)) return 'clear';
  switch (sslmode ?? 'verify-full') {
    // Weaker checks of the certificate are raised to the full one.
    case 'require':
    case 'verify-ca':
    case 'verify-full':
      return 'verify-full';
    case 'disable':
    case 'allow':
    case 'prefer': {
      if (hosts.every((host) => isSocketFolder(host) || isLoopback(host))) return 'clear';
      throw fail('refused', `connect to ${where} with sslmode=${sslmode}: metadata never travels in clear text`, {
        hint: 'use sslmode=verify-full; clear text is for unix sockets and loopback only',
      });
    }
    default:
      throw fail('bad-input', `postgres url: sslmode ${JSON.stringify(sslmode)}: wanted verify-full`);
  }
}

function certificates(
  options: ReadonlyMap<string, string>,
): Pick<PostgresLocation, 'rootCertificate' | 'clientCertificate' | 'clientKey'> {
  const [clientCertificate, clientKey] = [options.get('sslcert'), options.get('sslkey')];
  if ((clientCertificate === undefined) !== (clientKey === undefined))
    throw fail('bad-input', 'postgres url: sslcert and sslkey belong together, one of them is missing');
  const root = options.get('sslrootcert');
  return { rootCertificate: root === 'system' ? undefined : root, clientCertificate, clientKey };
}

/** The original client takes one schema too. It is sent as the server's setting, so the server's folding of case holds. */
function searchPathOf(text: string): string {
  if (text.includes(',') || text.includes('\0'))
    throw fail('bad-input', `postgres url: search_path ${JSON.stringify(text)}: wanted one schema`);
  return text;
}

function secondsOf(text: string | undefined, hosts: number): number {
  const usual = hosts === 1 ? CONNECT_TIMEOUT_S : CONNECT_TIMEOUT_OF_SEVERAL_S;
  if (text === undefined) return usual;
  const seconds = Number(text);
  if (!/^\d{1,4}$/.test(text) || seconds > MAX_CONNECT_TIMEOUT_S)
    throw fail(
      'bad-input',
      `postgres url: connect_timeout ${JSON.stringify(text)}: wanted seconds up to ${MAX_CONNECT_TIMEOUT_S}`,
    );
  return seconds === 0 ? usual : seconds;
}

/** Ours. Nobody who writes it means that it should not count. */
function remoteOnlyOf(text: string | undefined): boolean {
  if (text === undefined || text === 'true') return text === 'true';
  throw fail('bad-input', `postgres url: remote_only ${JSON.stringify(text)}: wanted true`);
}

/** The start-up message ends its texts with NUL. */
function withoutNul(text: string): string {
  if (text.includes('\0')) throw fail('bad-input', 'postgres url holds a NUL');
  return text;
}

function decoded(text: string, what: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // Without the text and the cause, which may hold the password.
    throw fail('bad-input', `postgres url: ${what} is not percent-encoded as it should be`, { hint: postgresHint });
  }
}
