// The engine that a metadata url names.
import type { Engine } from './op.ts';
import { openSqlite } from './sqlite.ts';
import { parseMetaUrl } from './url.ts';

export interface OpenEngineOptions {
  readonly readOnly?: boolean;
  readonly create?: boolean;
}

export function openEngine(url: string, options: OpenEngineOptions = {}): Promise<Engine> {
  const location = parseMetaUrl(url);
  return openSqlite({ file: location.file, tablePrefix: location.tablePrefix, ...options });
}
