// Extended attributes. A caller that gives no room asks for the size.
import { fail } from '../../base/errors.ts';
import type { Caller } from '../../filesystem/vfs/vfs.ts';
import { hasLongSetxattr } from '../negotiate.ts';
import { SETXATTR_ACL_KILL_SGID, Size } from '../protocol.ts';
import { numberBody } from '../reply.ts';
import type { Handler } from './handler.ts';

function fitted(value: Buffer, room: number): Buffer {
  if (room === 0) return numberBody(value.length);
  if (value.length > room) throw fail('ERANGE', `${value.length} bytes into a room of ${room}`);
  return value;
}

/**
 * The namespaces of a local file system. Other names that a client of the format left are read and removed, never made:
 * programs try them and expect to be told.
 */
const namespaces = ['user.', 'trusted.', 'security.', 'system.'];

function checkNamespace(name: string): void {
  const found = namespaces.find((namespace) => name.startsWith(namespace));
  if (found === undefined) throw fail('ENOTSUP', `attribute ${JSON.stringify(name)}: in no namespace`);
  if (found === name) throw fail('EINVAL', `attribute ${JSON.stringify(name)}: a namespace without a name`);
}

export const setxattr: Handler = async ({ vfs, nodes, privileges, agreed }, request) => {
  const state = agreed();
  const long = state !== undefined && hasLongSetxattr(state);
  const header = long ? Size.setxattrExtIn : Size.setxattrIn;
  const ino = nodes.toIno(request.node);
  const name = request.utf8(header);
  checkNamespace(name.text);
  const value = Buffer.from(request.bytes(header + name.length + 1, request.u32(0)));
  // The one thing that the kernel leaves to us here: it knows the caller's groups, and says so.
  const killSgid = long && (request.u32(8) & SETXATTR_ACL_KILL_SGID) !== 0;
  await vfs.setxattr(killSgid ? stranger(request) : request, ino, name.text, value, request.u32(4));
  privileges.changed(ino);
  return undefined;
};

/** The caller as one who is in no group but the primary one. */
function stranger({ uid, gid, pid, umask, request }: Caller): Caller {
  return { uid, gid, pid, umask, vouched: false, ...(request && { request }) };
}

export const getxattr: Handler = async ({ vfs, nodes }, request) => {
  const room = request.u32(0);
  return fitted(await vfs.getxattr(request, nodes.toIno(request.node), request.utf8(8).text), room);
};

export const listxattr: Handler = async ({ vfs, nodes }, request) => {
  const room = request.u32(0);
  const all = await vfs.listxattr(request, nodes.toIno(request.node));
  // Who may not read them is not told of them either; the kernel sees to the reading.
  const names = request.uid === 0 ? all : all.filter((name) => !name.startsWith('trusted.'));
  return fitted(Buffer.from(names.map((name) => `${name}\0`).join('')), room);
};

export const removexattr: Handler = async ({ vfs, nodes }, request) => {
  await vfs.removexattr(request, nodes.toIno(request.node), request.utf8(0).text);
  return undefined;
};
