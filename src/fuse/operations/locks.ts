// flock(2) and fcntl(2) locks. SETLKW may wait for as long as the lock is held elsewhere: the session counts it apart.
import { fail } from '../../base/errors.ts';
import { type FileLock, LockType } from '../../filesystem/vfs/vfs.ts';
import { LOCK_FLOCK, LockIn } from '../protocol.ts';
import { lockBody } from '../reply.ts';
import type { KernelRequest } from '../request.ts';
import type { Context, Handler } from './handler.ts';

const types: readonly LockType[] = Object.values(LockType);

function lockOf(request: KernelRequest): FileLock {
  const number = request.u32(LockIn.type);
  const type = types.find((one) => one === number);
  if (type === undefined) throw fail('EINVAL', `${request.name}: lock type ${number}`);
  return {
    flock: (request.u32(LockIn.flags) & LOCK_FLOCK) !== 0,
    owner: request.u64(LockIn.owner),
    start: request.u64(LockIn.start),
    end: request.u64(LockIn.end),
    pid: request.u32(LockIn.pid),
    type,
  };
}

export const getlk: Handler = async ({ vfs, nodes }, request) =>
  lockBody(await vfs.getLock(request, nodes.toIno(request.node), request.u64(LockIn.fh), lockOf(request)));

async function set({ vfs, nodes, notifier }: Context, request: KernelRequest, wait: boolean): Promise<undefined> {
  const ino = nodes.toIno(request.node);
  const stale = await vfs.setLock(request, ino, request.u64(LockIn.fh), lockOf(request), wait);
  // Whoever has the lock reads what its last holder wrote.
  if (stale) await notifier.inode(ino, 0, 0);
  return undefined;
}

export const setlk: Handler = (context, request) => set(context, request, false);

export const setlkw: Handler = (context, request) => set(context, request, true);
