// `pageseal umount MOUNTPOINT`: returns when everything written is committed and the mount's processes have ended.
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import { FsError, fail } from '../base/errors.ts';
import { placeOf } from './mount/place.ts';

/** Uploads of what is dirty over a slow line; keepers kill their worker after a minute. */
const END_DEADLINE_MS = 90_000;
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
  const deadline = Date.now() + END_DEADLINE_MS;
  for (let pause = 5; records.isAlive(record); pause = Math.min(2 * pause, 200)) {
    if (Date.now() > deadline) throw fail('timeout', `unmounting ${mountPoint}: process ${record.pid} does not end`);
    await sleep(pause);
  }
  const error = records.readRecord(mountPoint)?.error;
  records.removeRecord(mountPoint);
  if (error !== undefined) throw fail('EIO', `unmounting ${mountPoint}: ${error}`);
}

function placeToUnmount(path: string): string {
  try {
    return placeOf(path);
  } catch (error) {
    throw FsError.from(error, `unmounting ${path}`);
  }
}
