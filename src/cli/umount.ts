// `pageseal umount MOUNTPOINT`: returns when everything written is committed and the mount's processes have ended.
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import { FsError, fail } from '../base/errors.ts';
import { placeOf } from './mount/place.ts';
import type { MountRecord } from './mount/record.ts';

/** Uploads of what is dirty over a slow line; keepers kill their worker after a minute. */
const END_DEADLINE_MS = 90_000;
/** With --force, for somebody who waits at a terminal for a mount that hangs: a healthy one is done long before. */
const FORCE_DEADLINE_MS = 10_000;
const MNT_FORCE = 1;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;

export function register(program: Command): void {
  program
    .command('umount')
    .description('unmount a volume and wait until all of it is written out')
    .argument('<MOUNTPOINT>', 'where it is mounted')
    .option('-f, --force', 'also when files are in use: their next operation fails')
    .addOption(new Option('--flush', 'as always').hideHelp())
    .action(umount);
}

async function umount(path: string, flags: { readonly force?: boolean }): Promise<void> {
  const [{ topMount }, { isVolume }, { native }, records] = await Promise.all([
    import('../keeper/mountinfo.ts'),
    import('../keeper/bind.ts'),
    import('../native/native.ts'),
    import('./mount/record.ts'),
  ]);
  const mountPoint = placeToUnmount(path);
  const top = topMount(mountPoint);
  if (top === undefined || !isVolume(top))
    throw fail('not-found', `unmounting ${mountPoint}: no volume is mounted there`);
  const record = records.readRecord(mountPoint);
  try {
    // Forced: callers that wait are answered, then the name goes whatever is open below it.
    if (flags.force) await native.umountAsync(mountPoint, UMOUNT_NOFOLLOW | MNT_FORCE | MNT_DETACH);
    else await native.umountAsync(mountPoint, UMOUNT_NOFOLLOW);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw FsError.from(error, `unmounting ${mountPoint}`);
    throw fail('busy', `unmounting ${mountPoint}: files in it are in use`, {
      cause: error,
      hint: `fuser -vm ${mountPoint} shows by whom; --force does not wait for them`,
    });
  }
  if (record === undefined) return; // of a keeper that has gone, or of a node's
  if (!(await ends(record, flags.force ? FORCE_DEADLINE_MS : END_DEADLINE_MS, records.isAlive))) {
    if (!flags.force)
      throw fail('timeout', `unmounting ${mountPoint}: process ${record.pid} does not end`, {
        hint: `it may still write out, or have a mount in another namespace (a container's, unshare -m): see grep -l ${mountPoint} /proc/[0-9]*/mountinfo`,
      });
    process.kill(record.pid, 'SIGKILL'); // a keeper takes its worker along
    records.removeRecord(mountPoint);
    throw fail('timeout', `unmounting ${mountPoint}: its process did not end and was killed`, {
      hint: 'it is unmounted; what had not been written out is lost',
    });
  }
  const error = records.readRecord(mountPoint)?.error;
  records.removeRecord(mountPoint);
  if (error !== undefined) throw fail('EIO', `unmounting ${mountPoint}: ${error}`);
}

async function ends(record: MountRecord, ms: number, isAlive: (record: MountRecord) => boolean): Promise<boolean> {
  const deadline = Date.now() + ms;
  for (let pause = 5; isAlive(record); pause = Math.min(2 * pause, 200)) {
    if (Date.now() > deadline) return false;
    await sleep(pause);
  }
  return true;
}

function placeToUnmount(path: string): string {
  try {
    return placeOf(path);
  } catch (error) {
    throw FsError.from(error, `unmounting ${path}`);
  }
}
