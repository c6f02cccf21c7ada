// The engine that a metadata url names. PostgreSQL's is loaded only when one names it: most workers do without the driver.
import { stat } from 'node:fs/promises';
import { fail } from '../../base/errors.ts';
import type { Engine, Snapshot } from './op.ts';
import { openSqlite } from './sqlite.ts';
import { openSqliteSnapshot } from './sqlite-snapshot.ts';
import { parseMetaUrl } from './url.ts';

export interface OpenEngineOptions {
  readonly readOnly?: boolean;
  /** Make a SQLite file that is missing; a PostgreSQL database is its administrator's to make. */
  readonly create?: boolean;
}

export async function openEngine(url: string, options: OpenEngineOptions = {}): Promise<Engine> {
  const location = parseMetaUrl(url);
  if (location.kind === 'sqlite')
    return openSqlite({ file: location.file, tablePrefix: location.tablePrefix, ...options });
  const { openPostgres } = await import('./postgres.ts');
  return openPostgres(location, options.readOnly === true);
}

/** To be closed soon after use: what was committed since cannot be tidied away by the database as long as it is open. */
export async function openSnapshot(url: string): Promise<Snapshot> {
  const location = parseMetaUrl(url);
  if (location.kind === 'sqlite') return openSqliteSnapshot(location.file, location.tablePrefix);
  const { openPostgresSnapshot } = await import('./postgres-snapshot.ts');
  return openPostgresSnapshot(location);
}

/** Whether there is a database to open; false also for a file that is still empty. */
export async function databaseExists(url: string): Promise<boolean> {
  const location = parseMetaUrl(url);
  if (location.kind === 'postgres') {
    const { postgresExists } = await import('./postgres.ts');
    return postgresExists(location);
  }
  const found = await stat(location.file).catch((thrown: NodeJS.ErrnoException) => {
    if (thrown.code === 'ENOENT') return undefined;
    throw fail('metadata-unavailable', `open metadata ${location.file}: ${thrown.message}`, { cause: thrown });
  });
  return found !== undefined && found.size > 0;
}
