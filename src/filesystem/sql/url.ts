// Where the metadata is: the original client's META-URL, parsed once. Never opens anything.
import { resolve } from 'node:path';
import { fail } from '../../base/errors.ts';
import { type PostgresLocation, parsePostgresUrl } from './postgres-url.ts';
import { checkedTablePrefix } from './table-names.ts';

export interface SqliteLocation {
  readonly kind: 'sqlite';
  /** Absolute path of the database file. */
  readonly file: string;
  /** "" or the text of table_prefix: tables are then jfs_P_node and so on. */
  readonly tablePrefix: string;
  readonly description: string;
}

export type MetaLocation = SqliteLocation | PostgresLocation;

const hint = 'write sqlite3:///absolute/path/of/file.db or postgres://USER@HOST:PORT/DATABASE';

export function parseMetaUrl(url: string): MetaLocation {
  const separator = url.indexOf('://');
  // The original client takes a URL without scheme for Redis.
  if (separator < 0) throw fail('bad-input', `metadata url without a scheme: ${withoutSecrets(url)}`, { hint });
  const scheme = url.slice(0, separator).toLowerCase();
  const rest = url.slice(separator + 3);
  if (scheme === 'sqlite3') return parseSqliteUrl(rest);
  if (scheme === 'postgres' || scheme === 'postgresql') return parsePostgresUrl(rest);
  throw fail('unsupported', `metadata engine ${scheme}: wanted sqlite3 or postgres`, { hint });
}

/** `FILE[?opts]`; of the options only table_prefix means something to us, the others are the driver's. */
function parseSqliteUrl(rest: string): SqliteLocation {
  const question = rest.indexOf('?');
  const path = question < 0 ? rest : rest.slice(0, question);
  const options = new URLSearchParams(question < 0 ? '' : rest.slice(question + 1));
  if (path === '' || path.includes('\0')) throw fail('bad-input', 'metadata url names no file', { hint });
  const file = resolve(path);
  const tablePrefix = checkedTablePrefix(options.get('table_prefix') ?? '');
  return { kind: 'sqlite', file, tablePrefix, description: `sqlite3://${file}` };
}

/** For messages: other engines' urls may hold a password. */
function withoutSecrets(url: string): string {
  return url.replace(/^.*@/s, '***@');
}
