// From a path on a mount to the volume behind it: which metadata, and which path inside. Asks mountinfo and the records of
// those who mount (a mount of ours answers no questions about itself), so it works where the mount was made, not in a pod.

import { realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { FsError, fail } from '../../base/errors.ts';
import { isVolume } from '../../keeper/bind.ts';
import { type MountEntry, mounts, topMount } from '../../keeper/mountinfo.ts';
import { ownMountAt } from '../../keeper/own-mounts.ts';
import { Records } from '../../keeper/records.ts';
import { withPassword } from '../meta-url.ts';
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
export const locate = (path: string): Located => locateReal(path, realPath(path));

/** The entry itself, to be taken away: a link at its end is not followed, and a mount is in the way. */
export function locateEntry(path: string): Located {
  const name = basename(path);
  const plain = name !== '' && name !== '.' && name !== '..';
  const real = plain ? join(realPath(dirname(path)), name) : realPath(path);
  const located = locateReal(path, real);
  if (topMount(real, mounts()) !== undefined) throw fail('EBUSY', `remove ${path}: something is mounted there`);
  return located;
}

/** Where the whole of the volume that a path is on is mounted: binds show a part of the same superblock. */
export function wholeMounts(path: string): string[] {
  const entries = mounts();
  return wholesOf(entryOf(path, realPath(path), entries), entries).map((entry) => entry.path);
}

function entryOf(path: string, real: string, entries: MountEntry[]): MountEntry {
  const entry = mountOf(real, entries);
  if (entry === undefined || !isVolume(entry))
    throw fail(
      'bad-input',
      `find the volume of ${path}: it is not on a mount of Pageseal but on ${entry?.type ?? 'none'}`,
      {
        hint: 'for a path inside a volume give its META-URL first',
      },
    );
  return entry;
}

const wholesOf = (entry: MountEntry, entries: MountEntry[]): MountEntry[] =>
  entries.filter(({ device, root }) => device === entry.device && root === '/');

function locateReal(path: string, real: string): Located {
  const entries = mounts();
  const entry = entryOf(path, real, entries);
  // Who mounted it is known by the place of the whole.
  const origin = wholesOf(entry, entries)
    .map(originOf)
    .find((found) => found !== undefined);
  if (origin === undefined)
    throw fail('not-found', `find the volume of ${path}: who mounted ${entry.path} is not known here`, {
      hint: 'with its META-URL first the metadata itself is asked',
    });
  // Records hold no password.
  return {
    metaUrl: withPassword(origin.metaUrl),
    path: join('/', origin.directory, entry.root, real.slice(entry.path.length)),
  };
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    throw FsError.from(error, `find the volume of ${path}`);
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
  const keepers = new Records(ownMountAt(path).runDirectory).load();
  return readRecord(path) ?? keepers.find(({ mountPoint }) => mountPoint === path);
}
