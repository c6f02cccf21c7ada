// Open files: open, create, read, write, flush, fsync, release, fallocate, lseek, copy_file_range.
import { fail } from '../../base/errors.ts';
import { counter } from '../../base/metrics.ts';
import { MAX_WRITE } from '../negotiate.ts';
import {
  O_APPEND,
  O_TRUNC,
  OPEN_KILL_SUIDGID,
  RELEASE_FLOCK_UNLOCK,
  Size,
  WRITE_CACHE,
  WRITE_KILL_SUIDGID,
} from '../protocol.ts';
import { createBody, Held, longBody, numberBody, openBody } from '../reply.ts';
import type { KernelRequest } from '../request.ts';
import type { Context, Handler } from './handler.ts';
import type { Privileges } from './privileges.ts';

const readBytes = counter('pageseal_fuse_read_bytes_total', 'Bytes that reads answered');
const writtenBytes = counter('pageseal_fuse_written_bytes_total', 'Bytes that writes brought');

/** Pieces one writev takes (native/fuse.c). */
const MAX_PIECES = 256;

export const open: Handler = async (context, request) => {
  const { vfs, nodes, privileges } = context;
  const ino = nodes.toIno(request.node);
  const kill = (request.u32(4) & OPEN_KILL_SUIDGID) !== 0;
  const changes = kill || (request.u32(0) & O_TRUNC) !== 0;
  const opened = await vfs.open(request, ino, request.u32(0));
  if (opened.attributesChanged) context.forgetAttributes(ino);
  privileges.opened(ino, opened);
  return dropped(
    changes && privileges.lose(request, ino, kill),
    new Held(openBody(opened), () => letGo(context, request, ino, opened.handle)),
  );
};

/** The answer, once set-id bits are gone; should that fail, the kernel gets an error and nothing to hold. */
async function dropped(drop: false | Promise<void>, held: Held): Promise<Held> {
  try {
    await drop;
    return held;
  } catch (thrown) {
    held.undo();
    throw thrown;
  }
}

/** A handle whose number never reached the kernel has no one to close it. */
function letGo({ vfs }: Context, request: KernelRequest, ino: bigint, handle: bigint): void {
  vfs.release(request, ino, handle).catch(() => undefined);
}

export const create: Handler = async (context, request) => {
  const { vfs, nodes, privileges } = context;
  const parent = nodes.toIno(request.node);
  const flags = request.u32(0);
  const mode = request.u32(4) & 0o7777;
  request.umask = request.u32(8);
  const kill = (request.u32(12) & OPEN_KILL_SUIDGID) !== 0;
  const [entry, opened] = await vfs.create(request, parent, request.text(16), mode, flags);
  const { ino } = entry.attr;
  const held = new Held(createBody(entry, opened, nodes), () => {
    letGo(context, request, ino, opened.handle);
    vfs.forget(ino, 1n);
  });
  privileges.opened(ino, opened);
  return dropped(kill && privileges.lose(request, ino, kill), held);
};

export const read: Handler = async ({ vfs, nodes }, request) => {
  const size = Math.min(request.u32(16), MAX_WRITE);
  const pieces = await vfs.read(request, nodes.toIno(request.node), request.u64(0), request.u64(8), size);
  let total = 0;
  for (const piece of pieces) total += piece.length;
  readBytes.inc(total);
  if (total > size) throw fail('EIO', `read of ${size} bytes answered ${total}`);
  return pieces.length <= MAX_PIECES ? pieces : Buffer.concat(pieces, total);
};

export const write: Handler = async ({ vfs, nodes, privileges }, request) => {
  const ino = nodes.toIno(request.node);
  const length = request.u32(16);
  const flags = request.u32(20);
  const kill = (flags & WRITE_KILL_SUIDGID) !== 0;
  // Pages of a mapping are written back through any handle of the file, one that appends too.
  const placed = (flags & WRITE_CACHE) !== 0 || (request.u32(32) & O_APPEND) === 0;
  const data = request.bytes(Size.writeIn, length);
  writtenBytes.inc(length);
  // The Vfs takes its copy before it returns the promise, so nothing may wait before this call.
  const writing = vfs.write(request, ino, request.u64(0), request.u64(8), data, placed);
  const losing = privileges.lose(request, ino, kill);
  if (losing === false) return numberBody(await writing);
  const [written] = await Promise.all([writing, losing]);
  return numberBody(written);
};

export const flush: Handler = async ({ vfs, nodes }, request) => {
  await vfs.flush(request, nodes.toIno(request.node), request.u64(0), request.u64(16));
  return undefined;
};

export const fsync: Handler = async ({ vfs, nodes }, request) => {
  await vfs.fsync(request, nodes.toIno(request.node), request.u64(0));
  return undefined;
};

export const release: Handler = async ({ vfs, nodes }, request) => {
  const flockOwner = (request.u32(12) & RELEASE_FLOCK_UNLOCK) === 0 ? undefined : request.u64(16);
  await vfs.release(request, nodes.toIno(request.node), request.u64(0), flockOwner);
  return undefined;
};

export const fallocate: Handler = async ({ vfs, nodes, privileges }, request) => {
  const ino = nodes.toIno(request.node);
  const offset = request.u64(8);
  const size = request.u64(16);
  await vfs.fallocate(request, ino, request.u64(0), request.u32(24), offset, size);
  await killed(request, privileges, ino);
  return undefined;
};

/** Both forms of it; they differ in how the answer is written. */
async function copy({ vfs, nodes, privileges }: Context, request: KernelRequest): Promise<bigint> {
  const source = { ino: nodes.toIno(request.node), handle: request.u64(0), offset: request.u64(8) };
  const target = { ino: nodes.toIno(request.u64(16)), handle: request.u64(24), offset: request.u64(32) };
  if (request.u64(48) !== 0n) throw fail('EINVAL', `copy a range with flags ${request.u64(48)}`);
  const copied = await vfs.copyRange(request, source, target, request.u64(40));
  await killed(request, privileges, target.ino);
  return copied;
}

/** The kernel asks for no set-id bits to be dropped here, and leaves it to us (HANDLE_KILLPRIV_V2). */
async function killed(request: KernelRequest, privileges: Privileges, ino: bigint): Promise<void> {
  await privileges.lose(request, ino, request.uid !== 0);
}

export const copyFileRange: Handler = async (context, request) => numberBody(Number(await copy(context, request)));
export const copyFileRange64: Handler = async (context, request) => longBody(await copy(context, request));

export const lseek: Handler = async ({ vfs, nodes }, request) => {
  const ino = nodes.toIno(request.node);
  return longBody(await vfs.lseek(request, ino, request.u64(0), request.u64(8), request.u32(16)));
};
