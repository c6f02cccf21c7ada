// Where a keeper mounts its volumes in its own directory. The kubelet does not let go of a volume whose device is mounted
// anywhere but at the staging path, unless the other path ends like that one does: such a mount it takes for another view
// of the same. The directory is seen by it, since mounts must outlive the keeper's container. So each of our own paths
// ends as kubelet makes staging paths, from the volume's handle.
import { createHash } from 'node:crypto';
import { readdirSync, rmdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { FsError, hasCode } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { DRIVER_NAME } from '../config/driver.ts';
import { type MountEntry, mounts } from './mountinfo.ts';

const NAME_CHARACTERS = 32;
const STAGING = join('plugins/kubernetes.io/csi', DRIVER_NAME);

const digestOf = (volumeId: string): string => createHash('sha256').update(volumeId).digest('hex');

/** Of a volume's folder and socket: volume ids may be any text. */
export const mountName = (volumeId: string): string => digestOf(volumeId).slice(0, NAME_CHARACTERS);

export const ownMountPoint = (directory: string, volumeId: string): string =>
  join(directory, mountName(volumeId), STAGING, digestOf(volumeId), 'globalmount');

/** The run directory and the name of the volume that a keeper has mounted at `path`. */
export function ownMountAt(path: string): { readonly runDirectory: string; readonly name: string } {
  const end = path.indexOf(`/${STAGING}/`);
  const folder = end < 0 ? path : path.slice(0, end);
  return { runDirectory: dirname(dirname(folder)), name: basename(folder) };
}

/** Takes the folders of a volume that is not mounted any more away, the innermost first. Never what a mount shows. */
export function removeOwnFolder(directory: string, name: string, entries: readonly MountEntry[] = mounts()): void {
  const path = join(directory, name);
  if (entries.some((entry) => entry.path.startsWith(`${path}/`) || entry.path === path)) {
    log.warn('folder of a mount stays: something is mounted in it', { path });
    return;
  }
  try {
    removeEmpty(path);
  } catch (error) {
    if (!hasCode(FsError.from(error), 'ENOENT'))
      log.warn('folder of a mount could not be removed', { path, error: String(error) });
  }
}

function removeEmpty(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true }))
    if (entry.isDirectory()) removeEmpty(join(path, entry.name));
  rmdirSync(path);
}
