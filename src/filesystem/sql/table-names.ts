// How the canonical names jfs_* and pageseal_* become those of one volume.
import { fail } from '../../base/errors.ts';

const PREFIX_RULE = /^[A-Za-z0-9_]{0,40}$/;

export function checkedTablePrefix(text: string): string {
  if (PREFIX_RULE.test(text)) return text;
  throw fail('bad-input', `table_prefix ${JSON.stringify(text)}: wanted letters, digits and underscores`);
}

/** What stands between "jfs_" and the rest of a table's name. */
export const tableInfix = (tablePrefix: string): string => (tablePrefix === '' ? '' : `${tablePrefix}_`);

/** Every canonical name in the text, with the volume's infix. */
export const withInfix = (sql: string, infix: string): string =>
  infix === '' ? sql : sql.replace(/(jfs|pageseal)_(?=[a-z])/g, `$1_${infix}`);

/** For transactions that lock no rows: readers, and databases that are locked as a whole. */
export const withoutRowLocks = (sql: string): string => sql.replace(/\s+FOR (?:NO KEY UPDATE|UPDATE|KEY SHARE)\b/g, '');

/** BYTES(x), nested or not, becomes what `inner` makes of x. */
export function rewriteBytes(sql: string, inner: (x: string) => string): string {
  const start = sql.lastIndexOf('BYTES(');
  if (start < 0) return sql;
  const from = start + 'BYTES('.length;
  let end = from;
  for (let depth = 1; ; end += 1) {
    if (sql[end] === '(') depth += 1;
    else if (sql[end] === ')') depth -= 1;
    if (depth === 0) break;
    if (end >= sql.length) throw fail('internal', `BYTES( without its end: ${sql}`);
  }
  return rewriteBytes(`${sql.slice(0, start)}${inner(sql.slice(from, end))}${sql.slice(end + 1)}`, inner);
}
