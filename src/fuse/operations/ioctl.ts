// chattr(1) and lsattr(1): the flags that the format keeps per node. The kernel asks in the file system's old words, ioctls,
// and has checked before that the caller may (owner; CAP_LINUX_IMMUTABLE for the first two).
import { fail } from '../../base/errors.ts';
import { NodeFlag } from '../../filesystem/vfs/vfs.ts';
import { IoctlIn, Size } from '../protocol.ts';
import type { KernelRequest } from '../request.ts';
import type { Context, Handler } from './handler.ts';

/** <linux/fs.h>: the command's letter and number; its size depends on the program's word and is not compared. */
const GETFLAGS = 0x6601;
const SETFLAGS = 0x6602;
const FSGETXATTR = 0x581f;
const COMMAND = 0xffff;

const FS_SECRM = 0x01;
const FS_IMMUTABLE = 0x10;
const FS_APPEND = 0x20;
const XFLAG_IMMUTABLE = 0x08;
const XFLAG_APPEND = 0x10;

/** `s`, secure deletion, is what the original client takes for "do not keep it in the trash". */
const flagOf = [
  [NodeFlag.immutable, FS_IMMUTABLE],
  [NodeFlag.append, FS_APPEND],
  [NodeFlag.skipTrash, FS_SECRM],
] as const;
const xflagOf = [
  [NodeFlag.immutable, XFLAG_IMMUTABLE],
  [NodeFlag.append, XFLAG_APPEND],
] as const;
type Table = readonly (readonly [number, number])[];

const shown = (flags: number, table: Table): number =>
  table.reduce((all, [node, kernel]) => ((flags & node) === 0 ? all : all | kernel), 0);

function answer(room: number, value: number): Buffer {
  const out = Buffer.alloc(Size.ioctlOut + room);
  out.writeUInt32LE(value, Size.ioctlOut);
  return out;
}

async function set({ vfs, nodes }: Context, request: KernelRequest): Promise<Buffer> {
  const ino = nodes.toIno(request.node);
  const wanted = request.u32(Size.ioctlIn);
  if ((wanted & ~(FS_IMMUTABLE | FS_APPEND | FS_SECRM)) !== 0)
    throw fail('ENOTSUP', `set flags ${wanted.toString(16)} of inode ${ino}: only i, a and s of chattr are kept`);
  const { attr } = await vfs.getattr(request, ino, undefined);
  const others = attr.flags & ~(NodeFlag.immutable | NodeFlag.append | NodeFlag.skipTrash);
  const flags = flagOf.reduce((all, [node, kernel]) => ((wanted & kernel) === 0 ? all : all | node), others);
  await vfs.setattr(request, ino, { flags }, undefined);
  return Buffer.alloc(Size.ioctlOut);
}

export const ioctl: Handler = async (context, request) => {
  const command = request.u32(IoctlIn.command) & COMMAND;
  if (command === SETFLAGS) return set(context, request);
  const room = request.u32(IoctlIn.outSize);
  const table = room < 4 ? undefined : command === GETFLAGS ? flagOf : command === FSGETXATTR ? xflagOf : undefined;
  if (table === undefined) throw fail('ENOTTY', `ioctl ${request.u32(IoctlIn.command).toString(16)}: not known here`);
  const { attr } = await context.vfs.getattr(request, context.nodes.toIno(request.node), undefined);
  return answer(Math.min(room, MAX_ANSWER), shown(attr.flags, table));
};

/** struct fsxattr; none of the answers is longer. */
const MAX_ANSWER = 28;
