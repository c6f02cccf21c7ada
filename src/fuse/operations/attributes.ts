// getattr, setattr, readlink.
import type { Caller, HandleId, Ino, VfsAttrChange } from '../../filesystem/vfs/vfs.ts';
import { GETATTR_FH, SetattrIn, SetattrValid } from '../protocol.ts';
import { attrBody } from '../reply.ts';
import type { KernelRequest } from '../request.ts';
import type { Context, Handler } from './handler.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export const getattr: Handler = async ({ vfs, nodes }, request) => {
  const handle = (request.u32(0) & GETATTR_FH) !== 0 ? request.u64(8) : undefined;
  return attrBody(await vfs.getattr(request, nodes.toIno(request.node), handle), nodes);
};

function time(request: KernelRequest, seconds: number, nanoseconds: number): bigint {
  return request.i64(seconds) * 1_000_000_000n + BigInt(request.u32(nanoseconds));
}

function changeOf(request: KernelRequest, valid: number): Mutable<VfsAttrChange> {
  const change: Mutable<VfsAttrChange> = {};
  if (valid & SetattrValid.MODE) change.mode = request.u32(SetattrIn.mode) & 0o7777;
  if (valid & SetattrValid.UID) change.uid = request.u32(SetattrIn.uid);
  if (valid & SetattrValid.GID) change.gid = request.u32(SetattrIn.gid);
  if (valid & SetattrValid.SIZE) change.size = request.u64(SetattrIn.size);
  if (valid & SetattrValid.ATIME_NOW) change.atime = 'now';
  else if (valid & SetattrValid.ATIME) change.atime = time(request, SetattrIn.atime, SetattrIn.atimensec);
  if (valid & SetattrValid.MTIME_NOW) change.mtime = 'now';
  else if (valid & SetattrValid.MTIME) change.mtime = time(request, SetattrIn.mtime, SetattrIn.mtimensec);
  return change;
}

async function apply(
  { vfs, privileges }: Context,
  caller: Caller,
  ino: Ino,
  change: Mutable<VfsAttrChange>,
  valid: number,
  handle: HandleId | undefined,
) {
  const owner = change.uid !== undefined || change.gid !== undefined;
  if (owner && change.mode === undefined) {
    const mode = await privileges.reduced(caller, ino, true);
    if (mode !== undefined) change.mode = mode;
  }
  if (change.mode !== undefined) privileges.changed(ino);
  if (owner) await privileges.strip(caller, ino);
  if (change.size !== undefined) await privileges.lose(caller, ino, (valid & SetattrValid.KILL_SUIDGID) !== 0);
  return vfs.setattr(caller, ino, change, handle);
}

export const setattr: Handler = async (context, request) => {
  const valid = request.u32(SetattrIn.valid);
  const handle = valid & SetattrValid.FH ? request.u64(SetattrIn.fh) : undefined;
  const ino = context.nodes.toIno(request.node);
  const entry = await apply(context, request, ino, changeOf(request, valid), valid, handle);
  return attrBody(entry, context.nodes);
};

export const readlink: Handler = ({ vfs, nodes }, request) => vfs.readlink(request, nodes.toIno(request.node));
