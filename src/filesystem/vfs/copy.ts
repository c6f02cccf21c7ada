// copy_file_range(2): a barrier for both files, since records can name only what is committed.
import { fail } from '../../base/errors.ts';
import type { Caller } from '../../base/words.ts';
import type { ChunkGrowth, Copied } from '../meta/meta.ts';
import { type Core, changing, fileHandle, mayChange, settled } from './core.ts';
import type { FileHandle } from './handles.ts';
import type { OpenInode } from './inodes.ts';
import { tellErrors, tellLoss } from './loss.ts';
import type { OpenPlace } from './vfs.ts';

export async function copyRange(
  core: Core,
  caller: Caller,
  source: OpenPlace,
  target: OpenPlace,
  size: bigint,
): Promise<bigint> {
  mayChange(core, `copy a range to inode ${target.ino}`);
  const from = await fileHandle(core, caller, source.ino, source.handle);
  const to = await fileHandle(core, caller, target.ino, target.handle);
  if (!from.readable) throw fail('EBADF', `copy a range of inode ${source.ino}: opened for writing only`);
  if (!to.writable || to.append) throw fail('EBADF', `copy a range to inode ${target.ino}: not opened to write there`);
  await settle(core, caller, from, to);
  const chunks: ChunkGrowth[] = [];
  const { copied } = await changing(core, 'copy a range', () =>
    ordered(from.inode, to.inode, async () => {
      const done = await core.meta.copyRange(caller, source, target, size, (chunk) => chunks.push(chunk));
      adopt(to.inode, done);
      return done;
    }),
  );
  for (const { indx, records, added } of chunks) await core.compactions?.appended(target.ino, indx, records, added);
  return copied;
}

/** What could not be committed is not there to be copied: the caller hears of it here. */
async function settle(core: Core, caller: Caller, from: FileHandle, to: FileHandle): Promise<void> {
  const { errors } = from.inode;
  await Promise.all([settled(core, caller, from.inode), settled(core, caller, to.inode)]);
  if (from.inode.errors !== errors && from.inode.lastError !== undefined) throw from.inode.lastError;
  tellLoss(to, core.inodes, 'write');
  tellErrors(to, 'write');
}

function adopt(inode: OpenInode, { attr, copied }: Copied): void {
  if (copied > 0n) inode.adoptReshaped(attr);
}

/** Behind what changes either of them, locked in ascending order as metadata does. */
function ordered(a: OpenInode, b: OpenInode, work: () => Promise<Copied>): Promise<Copied> {
  if (a === b) return a.order.run(work);
  const [first, second] = a.ino < b.ino ? [a, b] : [b, a];
  return first.order.run(() => second.order.run(work));
}
