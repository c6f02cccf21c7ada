// Whose rights a worker has: for a local database the user who owns it, so that its files stay that user's. For a
// database elsewhere the keeper's user, always without capabilities.
import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Owner } from './worker-process.ts';

const LOCAL = /^sqlite3:\/\/(?<path>[^?]+)/;

export function ownerOf(metaUrl: string): Owner | undefined {
  const path = LOCAL.exec(metaUrl)?.groups?.['path'];
  if (process.getuid?.() !== 0 || path === undefined) return undefined;
  for (const place of [path, dirname(path)]) {
    const found = statSync(place, { throwIfNoEntry: false });
    if (found !== undefined) return { uid: found.uid, gid: found.gid };
  }
  return undefined; // the worker says what is missing
}
