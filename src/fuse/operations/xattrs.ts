// Extended attributes. A caller that gives no room asks for the size.
import { fail } from '../../base/errors.ts';
import { Size } from '../protocol.ts';
import { numberBody } from '../reply.ts';
import type { Handler } from './handler.ts';

function fitted(value: Buffer, room: number): Buffer {
  if (room === 0) return numberBody(value.length);
  if (value.length > room) throw fail('ERANGE', `${value.length} bytes into a room of ${room}`);
  return value;
}

export const setxattr: Handler = async ({ vfs, nodes }, request) => {
  const ino = nodes.toIno(request.node);
  const name = request.utf8(Size.setxattrIn);
  const value = Buffer.from(request.bytes(Size.setxattrIn + name.length + 1, request.u32(0)));
  await vfs.setxattr(request, ino, name.text, value, request.u32(4));
  return undefined;
};

export const getxattr: Handler = async ({ vfs, nodes }, request) => {
  const room = request.u32(0);
  return fitted(await vfs.getxattr(request, nodes.toIno(request.node), request.utf8(8).text), room);
};

export const listxattr: Handler = async ({ vfs, nodes }, request) => {
  const room = request.u32(0);
  const names = await vfs.listxattr(request, nodes.toIno(request.node));
  return fitted(Buffer.from(names.map((name) => `${name}\0`).join('')), room);
};

export const removexattr: Handler = async ({ vfs, nodes }, request) => {
  await vfs.removexattr(request, nodes.toIno(request.node), request.utf8(0).text);
  return undefined;
};
