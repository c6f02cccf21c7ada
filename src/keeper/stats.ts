// Usage of a mounted volume as CSI wants it, and what is wrong with it. Never waits for a mount that does not answer.
import { FsError } from '../base/errors.ts';
import { native } from '../native/native.ts';
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

/** `path` undefined: it is not asked, `condition` says why. */
export async function statsOf(path: string | undefined, condition: string): Promise<Stats> {
  if (path === undefined) return { ...nothing, abnormal: true, condition };
  const { promise: late, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), STATFS_DEADLINE_MS);
  try {
    const found = await Promise.race([native.statfsAsync(path), late]);
    if (found === undefined) return { ...nothing, abnormal: true, condition: 'the mount does not answer' };
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
    return { ...nothing, abnormal: true, condition: FsError.from(error, 'usage').message };
  } finally {
    clearTimeout(timer);
  }
}
