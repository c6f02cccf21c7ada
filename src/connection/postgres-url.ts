// The `metaurl` of a Secret that names PostgreSQL. A tenant may have written it and a node acts on it, so only one plain
// shape is taken, in which no two parsers can see two things, and nothing in it names a path of the node.
import { fail } from '../base/errors.ts';
import { withRemoteOnly } from '../base/meta-url-text.ts';
import { checkEndpoint, type Endpoints } from '../config/endpoints.ts';
import type { Connection } from '../config/secret.ts';
import { FILE_SYSTEM_PLACEHOLDER, secretNames } from '../config/secret-names.ts';

export interface PostgresPlace {
  /** Complete: with password and PEM. */
  readonly metaUrl: string;
  /** The same place however it is spelled and whoever opens it. */
  readonly identity: string;
  /** The schema that search_path names. */
  readonly schema: string | undefined;
}

const SHAPE =
  /^postgres(?:ql)?:\/\/(?<user>[^:@/?#[\]\s,]+)(?::(?<password>[^@/?#[\]\s]*))?@(?<host>\[[0-9a-fA-F:.]+\]|[^:@/?#[\]\s,%]+)(?::(?<port>[1-9]\d{0,4}))?\/(?<database>[^/?#@[\]\s]+)(?:\?(?<query>[^?#\s]*))?$/i;
const DEFAULT_PORT = 5432;
/** PostgreSQL's own limit on names; longer ones are cut, and two may become one. */
const MAX_SCHEMA = 63;

/** Parameters that a Secret may set. Hosts, sockets, users and files of the node are none of them. */
const plain: ReadonlySet<string> = new Set(['sslmode', 'search_path', 'table_prefix', 'connect_timeout']);
const pems = {
  sslrootcert: [secretNames.caBundle, 'caBundle'],
  sslcert: [secretNames.clientCertificate, 'clientCertificate'],
  sslkey: [secretNames.clientKey, 'clientKey'],
} as const;

const bad = (text: string, hint?: string): Error =>
  fail('bad-input', `secret: ${secretNames.metaUrl}: ${text}`, hint === undefined ? {} : { hint });

const isPem = (name: string): name is keyof typeof pems => Object.hasOwn(pems, name);

/** `metaUrl` has its placeholder filled in. */
export function postgresPlace(metaUrl: string, connection: Connection, endpoints: Endpoints): PostgresPlace {
  const { user, password, host, port, database, query } = SHAPE.exec(metaUrl)?.groups ?? {};
  if (user === undefined || host === undefined || database === undefined)
    throw bad(
      'wanted postgres://USER:PASSWORD@HOST:PORT/DATABASE with one host',
      'escape other characters than letters, digits and .-_~ in user and password, as %40 for @; several hosts and sockets work on the command line only',
    );
  const at = Number(port ?? DEFAULT_PORT);
  checkEndpoint(host, at, endpoints, `secret: ${secretNames.metaUrl}`);
  const options = optionsOf(query ?? '');
  for (const [name, [, field]] of Object.entries(pems)) {
    const text = connection[field];
    if (text === undefined) continue;
    if (options.has(name)) throw bad(`${name} stands in it and under a key of its own`);
    options.set(name, text);
  }
  if (options.has('sslcert') !== options.has('sslkey'))
    throw fail('bad-input', `secret: ${secretNames.clientCertificate} and ${secretNames.clientKey} belong together`);
  const schema = options.get('search_path');
  if (schema !== undefined && (schema === '' || schema.includes(',') || Buffer.byteLength(schema) > MAX_SCHEMA))
    throw bad(`search_path: wanted one schema, at most ${MAX_SCHEMA} bytes long`);
  const place = `${host}:${at}/${decoded(database)}`;
  const text = [...options].map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&');
  return {
    metaUrl: withRemoteOnly(
      `postgres://${user}:${passwordOf(password, connection)}@${host}:${at}/${database}${text === '' ? '' : `?${text}`}`,
    ),
    identity: `postgres://${place}?search_path=${schema ?? ''}&table_prefix=${options.get('table_prefix') ?? ''}`,
    schema,
  };
}

/** Where the placeholder may stand: each volume gets a schema of its own, which the controller makes and drops. */
export function checkPlaceholder(metaUrl: string): void {
  const own = `search_path=${FILE_SYSTEM_PLACEHOLDER}`;
  const elsewhere = metaUrl.replace(new RegExp(`([?&])${own.replace(/[$^{}]/g, '\\$&')}(?=&|$)`), '$1');
  if (elsewhere.includes(FILE_SYSTEM_PLACEHOLDER))
    throw bad(
      `${FILE_SYSTEM_PLACEHOLDER} may only be a whole schema`,
      `write postgres://USER@HOST/DATABASE?${own}: the provisioner makes that schema for each volume`,
    );
}

function optionsOf(query: string): Map<string, string> {
  const options = new Map<string, string>();
  for (const part of query.split('&').filter((text) => text !== '')) {
    const [, name = '', value = ''] = /^([a-z_]+)=(.*)$/.exec(part) ?? [];
    if (!plain.has(name) && !isPem(name)) throw bad('holds an option that a Secret cannot set', hintOfOptions);
    if (options.has(name)) throw bad(`holds ${name} twice`);
    const text = decoded(value.replaceAll('+', '%20'));
    if (isPem(name) && !text.startsWith('-----BEGIN '))
      throw fail(
        'refused',
        `secret: ${secretNames.metaUrl}: ${name} names a file, and a Secret can name none of a node`,
        {
          hint: `put the PEM text into the Secret as ${pems[name][0]}`,
        },
      );
    if (name === 'sslmode' && !['require', 'verify-ca', 'verify-full'].includes(text))
      throw fail('refused', `secret: ${secretNames.metaUrl}: sslmode: the transport rule wants verify-full`);
    options.set(name, text);
  }
  return options;
}

const hintOfOptions = `options are ${[...plain].join(', ')}; certificates are keys of the Secret`;

function passwordOf(own: string | undefined, { metaPassword }: Connection): string {
  if (own !== undefined && own !== '') return own;
  return metaPassword === undefined ? '' : encodeURIComponent(metaPassword);
}

function decoded(text: string): string {
  try {
    const plainText = decodeURIComponent(text);
    if (!plainText.includes('\0')) return plainText;
  } catch {
    // the same
  }
  throw bad('is not percent-encoded as it should be');
}
