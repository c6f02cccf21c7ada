// The engine that a metadata url names.
import { stat } from 'node:fs/promises';
import { fail } from '../../base/errors.ts';
import type { Engine, Snapshot } from './op.ts';
import { openSqlite } from './sqlite.ts';
import { openSqliteSnapshot } from './sqlite-snapshot.ts';
import { parseMetaUrl } from './url.ts';

export interface OpenEngineOptions {
  readonly readOnly?: boolean;
  readonly create?: boolean;
}

export function openEngine(url: string, options: OpenEngineOptions = {}): Promise<Engine> {
  const location = parseMetaUrl(url);
  return openSqlite({ file: location.file, tablePrefix: location.tablePrefix, ...options });
}

/** To be closed soon after use: what was committed since cannot be tidied away by the database as long as it is open. */
export function openSnapshot(url: string): Promise<Snapshot> {
  const { file, tablePrefix } = parseMetaUrl(url);
  return openSqliteSnapshot(file, tablePrefix);
}

/** Whether there is a database to open; false also for a file that is still empty. */
export async function databaseExists(url: string): Promise<boolean> {
  const { file } = parseMetaUrl(url);
  const found = await stat(file).catch((thrown: NodeJS.ErrnoException) => {
    if (thrown.code === 'ENOENT') return undefined;
    throw fail('metadata-unavailable', `open metadata ${file}: ${thrown.message}`, { cause: thrown });
  });
  return found !== undefined && found.size > 0;
}
