// The records that mounts of the command line leave in /run (src/cli/mount/record.ts): which processes keep the mounts below
// a test's folder, and nothing of them to stay behind when the test is over.
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive, type MountRecord } from '../../src/cli/mount/record.ts';

const FOLDER = '/run/pageseal-mounts';

/** Keepers and foreground mounts that still run. They bear no mark of the test: a mount gets almost no environment. */
export const mountProcesses = (folder: string): number[] =>
  recordsBelow(folder)
    .filter(({ record }) => isAlive(record))
    .map(({ record }) => record.pid);

/** A mount that was killed, or whose last flush failed and whose `umount` nobody waited for, leaves its record. */
export function removeMountRecords(folder: string): void {
  for (const { file } of recordsBelow(folder))
    for (const each of [file, file.replace(/json$/, 'sock')]) rmSync(each, { force: true });
}

/** Of mounts below a folder; records of others come and go meanwhile. */
export function recordsBelow(folder: string): { readonly file: string; readonly record: MountRecord }[] {
  return namesIn(FOLDER)
    .filter((name) => name.endsWith('.json'))
    .flatMap((name) => {
      const file = join(FOLDER, name);
      const record = parse(file);
      return record?.mountPoint.startsWith(`${folder}/`) ? [{ file, record }] : [];
    });
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // no mount since boot
  }
}

function parse(file: string): MountRecord | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as MountRecord;
  } catch {
    return undefined; // its mount has ended in between
  }
}
