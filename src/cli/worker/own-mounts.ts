// A worker's files may not lie on its own mount: to write a page it would have to answer itself first, and everybody
// waits for ever.
import { realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import { fail } from '../../base/errors.ts';
import { readSettingOf } from '../../filesystem/meta/read-setting.ts';
import type { WorkerSettings } from '../../keeper/handoff.ts';

/** Before anything is mounted; `ownMounts` are without links already: to look at them would be to ask oneself. */
export async function refuseOwnMounts(
  settings: Pick<WorkerSettings, 'metaUrl' | 'store' | 'ownMounts'>,
): Promise<void> {
  const { setting } = await readSettingOf(settings.metaUrl);
  const paths: [string, string][] = [];
  const database = /^sqlite3:\/\/([^?]+)/.exec(settings.metaUrl)?.[1];
  if (database !== undefined) paths.push(['the metadata', database]);
  const { storage = setting.storage, bucket = setting.bucket } = settings.store;
  if (storage === 'file') paths.push(['the object store', bucket.replace(/^file:\/\//, '')]);
  for (const [what, path] of paths)
    for (const mount of settings.ownMounts)
      if (`${resolved(path)}/`.startsWith(`${mount}/`))
        throw fail('refused', `mounting: ${what} (${path}) lies below the mount's own directory ${mount}`, {
          hint: 'mount somewhere else, or move it',
        });
}

/** Without links; of a path that does not exist, of what exists above it. */
function resolved(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const parent = dirname(path);
    return parent === path ? path : `${resolved(parent)}${path.slice(parent === '/' ? 0 : parent.length)}`;
  }
}
