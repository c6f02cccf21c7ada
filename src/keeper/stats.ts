// Usage of a mounted volume as CSI wants it, and what is wrong with it. Never waits for a mount that does not answer.
import { FsError } from '../base/errors.ts';
import { native, type Statfs } from '../native/native.ts';
import type { KeeperStats as Stats } from './messages.ts';

export type { KeeperStats as Stats } from './messages.ts';

/** kubelet asks every minute or so; a healthy mount answers in milliseconds. */
const STATFS_DEADLINE_MS = 5000;

const nothing = {
  totalBytes: 0n,
  availableBytes: 0n,
  usedBytes: 0n,
  totalInodes: 0n,
  freeInodes: 0n,
  usedInodes: 0n,
};

interface MountedVolume {
  /** major:minor. */
  readonly device: string;
  readonly mountPoint: string;
}

/** Asked and not answered yet. A call on a mount that does not answer holds a thread, so there is one per volume. */
const asked = new Map<string, Promise<Statfs>>();

function ask({ device, mountPoint }: MountedVolume): Promise<Statfs> {
  const waiting = asked.get(device);
  if (waiting !== undefined) return waiting;
  const answer = native.statfsAsync(mountPoint).finally(() => asked.delete(device));
  asked.set(device, answer);
  answer.catch(() => undefined); // may fail when nobody waits any more
  return answer;
}

export const abnormal = (condition: string): Stats => ({ ...nothing, abnormal: true, condition });

export async function statsOf(volume: MountedVolume): Promise<Stats> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), STATFS_DEADLINE_MS);
  try {
    const found = await Promise.race([ask(volume), late]);
    if (found === undefined) return abnormal('the mount does not answer');
    const size = BigInt(found.blockSize);
    return {
      totalBytes: found.blocks * size,
      availableBytes: found.available * size,
      usedBytes: (found.blocks - found.free) * size,
      totalInodes: found.files,
      freeInodes: found.filesFree,
      usedInodes: found.files - found.filesFree,
      abnormal: false,
      condition: '',
    };
  } catch (error) {
    return abnormal(FsError.from(error, 'usage').message);
  } finally {
    clearTimeout(timer);
  }
}
