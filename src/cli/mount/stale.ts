// A mount whose processes are all gone answers ENOTCONN for ever; the next mount at that place takes it away.
import { fail } from '../../base/errors.ts';
import { unmountFuse } from '../../fuse/mount.ts';
import { isVolume } from '../../keeper/bind.ts';
import { topMount } from '../../keeper/mountinfo.ts';
import { native } from '../../native/native.ts';
import { isAlive, readRecord } from './record.ts';

/** Rejects `busy` when a living mount of ours stands there. */
export async function clearStale(mountPoint: string): Promise<void> {
  for (;;) {
    const top = topMount(mountPoint);
    if (top === undefined || !isVolume(top)) return;
    if (await answers(mountPoint))
      throw fail('busy', `mounting at ${mountPoint}: a volume is mounted there already`, {
        hint: `pageseal umount ${mountPoint}`,
      });
    await unmountFuse(mountPoint, true);
  }
}

/**
 * A mount with a record lives as long as its keeper. It is not asked: it may be stuck, and a worker that dies with its
 * keeper may still answer. Of others, whoever answers lives.
 */
async function answers(mountPoint: string): Promise<boolean> {
  const record = readRecord(mountPoint);
  if (record !== undefined) return isAlive(record);
  try {
    await native.statfsAsync(mountPoint);
    return true;
  } catch (error) {
    // Aborted: its last process ended while we asked.
    return !['ENOTCONN', 'ECONNABORTED'].includes((error as NodeJS.ErrnoException).code ?? '');
  }
}
