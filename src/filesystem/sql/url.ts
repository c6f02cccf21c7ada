// Where the metadata is: the original client's META-URL, parsed once. Never opens anything.
import { resolve } from 'node:path';
import { fail } from '../../base/errors.ts';

export interface SqliteLocation {
  readonly kind: 'sqlite';
  /** Absolute path of the database file. */
  readonly file: string;
  /** "" or the text of table_prefix: tables are then jfs_P_node and so on. */
  readonly tablePrefix: string;
}

export type MetaLocation = SqliteLocation;

const PREFIX_RULE = /^[A-Za-z0-9_]{0,40}$/;
const hint = 'write sqlite3:///absolute/path/of/file.db';

/** `sqlite3://FILE[?opts]`; of the options only table_prefix means something to us, the others are the driver's. */
export function parseMetaUrl(url: string): MetaLocation {
  const separator = url.indexOf('://');
  // The original client also takes a bare path for SQLite? It takes none: a URL without scheme is Redis there.
  if (separator < 0) throw fail('bad-input', `metadata url without a scheme: ${withoutSecrets(url)}`, { hint });
  const scheme = url.slice(0, separator).toLowerCase();
  if (scheme !== 'sqlite3') throw fail('unsupported', `metadata engine ${scheme}: wanted sqlite3`, { hint });
  const rest = url.slice(separator + 3);
  const question = rest.indexOf('?');
  const path = question < 0 ? rest : rest.slice(0, question);
  const options = new URLSearchParams(question < 0 ? '' : rest.slice(question + 1));
  if (path === '' || path.includes('\0')) throw fail('bad-input', 'metadata url names no file', { hint });
  const tablePrefix = options.get('table_prefix') ?? '';
  if (!PREFIX_RULE.test(tablePrefix))
    throw fail('bad-input', `table_prefix ${JSON.stringify(tablePrefix)}: wanted letters, digits and underscores`);
  return { kind: 'sqlite', file: resolve(path), tablePrefix };
}

/** For messages: other engines' urls may hold a password. */
function withoutSecrets(url: string): string {
  return url.replace(/^.*@/s, '***@');
}
