// What acts on names in directories: lookup, the makers, link, rename, unlink, rmdir.
import { hasCode } from '../../base/errors.ts';
import type { Entry } from '../../filesystem/vfs/vfs.ts';
import { absentBody, entryBody, Held } from '../reply.ts';
import type { KernelRequest } from '../request.ts';
import type { Context, Handler } from './handler.ts';

/** The kernel counts one lookup per entry it is given; if the reply is lost it never heard of it. */
export function heldEntry({ vfs, nodes }: Context, entry: Entry): Held {
  return new Held(entryBody(entry, nodes), () => vfs.forget(entry.attr.ino, 1n));
}

export const lookup: Handler = async (context, request) => {
  const { vfs, nodes } = context;
  const asked = vfs.lookup(request, nodes.toIno(request.node), request.text(0));
  const lifetime = vfs.negativeTimeout ?? 0;
  if (lifetime === 0) return heldEntry(context, await asked);
  try {
    return heldEntry(context, await asked);
  } catch (thrown) {
    if (hasCode(thrown, 'ENOENT')) return absentBody(lifetime);
    throw thrown;
  }
};

export const mknod: Handler = async (context, request) => {
  const parent = context.nodes.toIno(request.node);
  const mode = request.u32(0);
  const rdev = request.u32(4);
  request.umask = request.u32(8);
  return heldEntry(context, await context.vfs.mknod(request, parent, request.text(16), mode, rdev));
};

export const mkdir: Handler = async (context, request) => {
  const parent = context.nodes.toIno(request.node);
  const mode = request.u32(0) & 0o7777;
  request.umask = request.u32(4);
  return heldEntry(context, await context.vfs.mkdir(request, parent, request.text(8), mode));
};

export const symlink: Handler = async (context, request) => {
  const parent = context.nodes.toIno(request.node);
  const name = request.text(0);
  const target = request.target(name.length + 1);
  return heldEntry(context, await context.vfs.symlink(request, parent, name, target));
};

export const link: Handler = async (context, request) => {
  const ino = context.nodes.toIno(request.u64(0));
  const parent = context.nodes.toIno(request.node);
  return heldEntry(context, await context.vfs.link(request, ino, parent, request.text(8)));
};

export const unlink: Handler = async ({ vfs, nodes }, request) => {
  await vfs.unlink(request, nodes.toIno(request.node), request.text(0));
  return undefined;
};

export const rmdir: Handler = async ({ vfs, nodes }, request) => {
  await vfs.rmdir(request, nodes.toIno(request.node), request.text(0));
  return undefined;
};

async function move({ vfs, nodes }: Context, request: KernelRequest, flags: number, at: number): Promise<undefined> {
  const parent = nodes.toIno(request.node);
  const newParent = nodes.toIno(request.u64(0));
  const name = request.text(at);
  const newName = request.text(at + name.length + 1);
  await vfs.rename(request, parent, name, newParent, newName, flags);
  return undefined;
}

export const rename: Handler = (context, request) => move(context, request, 0, 8);
export const rename2: Handler = (context, request) => move(context, request, request.u32(8), 16);
