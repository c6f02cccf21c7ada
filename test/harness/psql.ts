// Rows of a PostgreSQL that tests look at and change in the middle of what they do: by psql, which waits for nobody here.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { postgresPrograms } from './tools.ts';

/** What it printed, a line per row. */
export function psql(url: string, sql: string): string {
  const ended = spawnSync(join(postgresPrograms, 'psql'), [url, '-XqAt', '-v', 'ON_ERROR_STOP=1', '-c', sql]);
  if (ended.status !== 0) throw new Error(`${sql}: ${ended.stderr}`);
  return ended.stdout.toString();
}

/** SQLite's words for bytes in PostgreSQL's. */
export const inItsWords = (sql: string): string =>
  sql
    .replaceAll(' AS BLOB)', ' AS BYTEA)')
    .replace(/\bx'([0-9a-f]*)'/g, "'\\x$1'::bytea")
    .replace(/\bzeroblob\((\d+)\)/g, "decode(repeat('00', $1), 'hex')");
