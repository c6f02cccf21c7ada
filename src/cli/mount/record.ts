// Which process keeps a mount and of what, in a file named after the mount point: umount waits for that process, and hears
// from it what could not be written out; info finds the metadata. A file whose process is gone means nothing.

import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fail } from '../../base/errors.ts';
import { withoutSecrets } from '../../base/meta-url-text.ts';
import type { WorkerSettings } from '../../keeper/handoff.ts';
import { topMount } from '../../keeper/mountinfo.ts';

/** Ends of other mounts in a row, each just between our two calls. */
const MAX_TRIES = 10;

export interface MountRecord {
  readonly mountPoint: string;
  readonly pid: number;
  /** Clock ticks since boot: a pid alone may be another process by now. */
  readonly started: string;
  /** Without a password. */
  readonly metaUrl: string;
  /** Directory of the file system that is mounted; '' is its root. */
  readonly directory: string;
  /** Set at the end, when the last flush failed. */
  readonly error?: string;
}

type Described = Pick<WorkerSettings, 'mountPoint' | 'metaUrl' | 'directory'>;

export function writeRecord({ mountPoint, metaUrl, directory }: Described, error?: string): void {
  const record = {
    mountPoint,
    metaUrl: withoutSecrets(metaUrl),
    directory,
    pid: process.pid,
    started: startOf(process.pid) ?? '',
    ...(error !== undefined && { error }),
  };
  const file = fileOf(mountPoint);
  const folder = directoryOfRecords();
  const temporary = `${file}.${process.pid}`;
  for (let tries = 1; ; tries++) {
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      checkFolder(folder);
      // Never through a link; what is there is of a dead process that had our number.
      rmSync(temporary, { force: true });
      writeFileSync(temporary, JSON.stringify(record), { mode: 0o600, flag: 'wx' });
      renameSync(temporary, file);
      return;
    } catch (error) {
      // The last mount's end took the folder away in between.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || tries === MAX_TRIES) throw error;
    }
  }
}

/** Below /tmp anybody may have made it before us. */
function checkFolder(folder: string): void {
  for (const each of [folder, dirname(folder)]) {
    const { uid } = lstatSync(each);
    if (uid !== 0 && uid !== process.getuid?.()) throw fail('refused', `folder ${each} belongs to another user`);
  }
}

export function readRecord(mountPoint: string): MountRecord | undefined {
  try {
    return JSON.parse(readFileSync(fileOf(mountPoint), 'utf8')) as MountRecord;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw fail('internal', `reading the record of ${mountPoint}`, { cause: error });
  }
}

/** With it go records of the dead that are mounted no more, and the folder with the last one. */
export function removeRecord(mountPoint: string): void {
  for (const file of [fileOf(mountPoint), metricsSocketOf(mountPoint)]) rmSync(file, { force: true });
  const folder = directoryOfRecords();
  try {
    for (const name of readdirSync(folder))
      if (name.endsWith('.json') && isForgotten(join(folder, name))) {
        rmSync(join(folder, name));
        rmSync(join(folder, name.replace(/json$/, 'sock')), { force: true });
      }
    rmdirSync(folder);
  } catch {
    // other mounts, or another process did it
  }
}

/** What a record says of a failed flush is for umount to read. */
function isForgotten(file: string): boolean {
  const record = JSON.parse(readFileSync(file, 'utf8')) as MountRecord;
  return !isAlive(record) && record.error === undefined && topMount(record.mountPoint) === undefined;
}

export const isAlive = (record: MountRecord): boolean => startOf(record.pid) === record.started;

/** Field 22 of /proc/PID/stat; the second one, a name in parentheses, may hold anything. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

function directoryOfRecords(): string {
  const uid = process.getuid?.() ?? 0;
  return uid === 0
    ? '/run/pageseal-mounts'
    : `${process.env['XDG_RUNTIME_DIR'] ?? `/tmp/pageseal-${uid}`}/pageseal-mounts`;
}

/** Where the mount's counters are asked for. */
export const metricsSocketOf = (mountPoint: string): string => fileOf(mountPoint).replace(/json$/, 'sock');

const fileOf = (mountPoint: string): string =>
  join(directoryOfRecords(), `${createHash('sha256').update(mountPoint).digest('hex').slice(0, 32)}.json`);
