// What a predecessor acknowledged and lost, and what this process could not write out: told to every handle, logged and
// counted once per inode. Only fsync settles it. A write tells it once, but the kernel may make a short count of that
// (the error met the second half of one write(2)); a flush may belong to a child process whose exit nobody looks at.
import { type FsError, fail } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { counter } from '../../base/metrics.ts';
import type { Ino } from '../../base/words.ts';
import type { FileHandle } from './handles.ts';
import type { Inodes } from './inodes.ts';
import type { UncommittedMarks } from './marks.ts';

/** For library users and tools, whose losses nobody inherits. */
export const noMarks: UncommittedMarks = { mark: () => undefined, clear: () => undefined, inherited: () => [] };

const lostInodes = counter('pageseal_lost_inodes_total', 'Inodes whose acknowledged data died with a worker');

/** An inode stays marked until its old handles are gone, so a third worker may tell of the same loss again. */
export function logInherited(lost: readonly Ino[], log: Log): void {
  lostInodes.inc(lost.length);
  for (const ino of lost)
    log.error('data lost: the worker died before what was written to this inode had been committed', { inode: ino });
}

export const lockIsLost = (ino: Ino): FsError =>
  fail('EIO', `use inode ${ino}: a lock of this open file was lost; open it again`);

/** Its lock may be another client's by now: nothing may be done under it. */
export function refuseLostLock({ lockLost, inode }: FileHandle): void {
  if (lockLost) throw lockIsLost(inode.ino);
}

export type Teller = 'write' | 'flush' | 'fsync';

/** Throws EIO for a handle of a predecessor on an inode that lost data. */
export function tellLoss(handle: FileHandle, inodes: Inodes, by: Teller): void {
  if (!handle.inherited || !inodes.lost.has(handle.inode.ino)) return;
  if (handle.lossTold === 'by-fsync' || (by === 'write' && handle.lossTold === 'by-write')) return;
  if (by !== 'flush') handle.lossTold = `by-${by}`;
  throw fail('EIO', `use inode ${handle.inode.ino}: data written before was lost when the mount's process died`);
}

/** Throws what went wrong on the inode since this handle was last told. */
export function tellErrors(handle: FileHandle, by: Teller): void {
  const { inode } = handle;
  if (handle.seenErrors === inode.errors || (by === 'write' && handle.seenByWrite === inode.errors)) return;
  if (by === 'fsync') handle.seenErrors = inode.errors;
  if (by === 'write') handle.seenByWrite = inode.errors;
  if (inode.lastError !== undefined) throw inode.lastError;
}

/** The kernel has dropped the inode, so no handle of any epoch is left: nobody remains to be told. */
export function forgetLoss(ino: Ino, inodes: Inodes, marks: UncommittedMarks): void {
  if (inodes.lost.delete(ino) && inodes.get(ino)?.writer.dirty !== true) marks.clear(ino);
}
