// From a path on a mount to the volume behind it: which metadata, and which path inside. Asks mountinfo and the records of
// those who mount (a mount of ours answers no questions about itself), so it works where the mount was made, not in a pod.
import { realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { FsError, fail } from '../../base/errors.ts';
import { isVolume } from '../../keeper/bind.ts';
import { type MountEntry, mounts, topMount } from '../../keeper/mountinfo.ts';
import { Records } from '../../keeper/records.ts';
import { readRecord } from './record.ts';

export interface Located {
  readonly metaUrl: string;
  /** Inside the file system, from its root. */
  readonly path: string;
}

interface Origin {
  readonly metaUrl: string;
  /** What is mounted; '' is the root. */
  readonly directory: string;
}

/** Links are followed, as the original client does. */
export function locate(path: string): Located {
  const real = realPath(path);
  const entries = mounts();
  const entry = mountOf(real, entries);
  if (entry === undefined || !isVolume(entry))
    throw fail('bad-input', `info ${path}: it is not on a mount of Pageseal but on ${entry?.type ?? 'none'}`, {
      hint: 'for a path inside a volume: pageseal info META-URL PATH',
    });
  // Binds show a part of the same superblock; who mounted it is known by the place of the whole.
  const whole = entries.filter(({ device, root }) => device === entry.device && root === '/');
  const origin = whole.map(originOf).find((found) => found !== undefined);
  if (origin === undefined)
    throw fail('not-found', `info ${path}: who mounted ${entry.path} is not known here`, {
      hint: 'pageseal info META-URL PATH asks the metadata itself',
    });
  return { metaUrl: origin.metaUrl, path: join('/', origin.directory, entry.root, real.slice(entry.path.length)) };
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    throw FsError.from(error, `info ${path}`);
  }
}

/** The mount that a path without links is seen on. */
function mountOf(path: string, entries: MountEntry[]): MountEntry | undefined {
  for (let place = path; ; place = dirname(place)) {
    const entry = topMount(place, entries);
    if (entry !== undefined || place === '/') return entry;
  }
}

/** A mount of the command line has a record of its own, one of a keeper is in the list beside the keeper's mounts. */
function originOf({ path }: MountEntry): Origin | undefined {
  const keepers = new Records(dirname(dirname(path))).load();
  return readRecord(path) ?? keepers.find(({ mountPoint }) => mountPoint === path);
}
