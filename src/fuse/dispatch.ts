// Opcode to operation. What is not here is answered with an errno of its own, ENOSYS for the unknown: the kernel then
// stops asking and does without.
import { fail, hasCode } from '../base/errors.ts';
import * as attributes from './operations/attributes.ts';
import * as directories from './operations/directories.ts';
import * as files from './operations/files.ts';
import type { Handler } from './operations/handler.ts';
import { ioctl } from './operations/ioctl.ts';
import * as locks from './operations/locks.ts';
import * as names from './operations/names.ts';
import * as volume from './operations/volume.ts';
import * as xattrs from './operations/xattrs.ts';
import { Errno, OPCODES, Opcode } from './protocol.ts';

/** An inode that is gone: the kernel then looks names up again, where it was only that it believed them too long. */
const byInode =
  (handler: Handler): Handler =>
  (context, request) =>
    handler(context, request).catch((thrown: unknown) => {
      throw hasCode(thrown, 'ENOENT') ? fail('ESTALE', thrown.message, { cause: thrown }) : thrown;
    });

const handlers: readonly (Handler | undefined)[] = (() => {
  const table: (Handler | undefined)[] = new Array(OPCODES).fill(undefined);
  table[Opcode.LOOKUP] = names.lookup;
  table[Opcode.GETATTR] = byInode(attributes.getattr);
  table[Opcode.SETATTR] = byInode(attributes.setattr);
  table[Opcode.READLINK] = byInode(attributes.readlink);
  table[Opcode.SYMLINK] = names.symlink;
  table[Opcode.MKNOD] = names.mknod;
  table[Opcode.MKDIR] = names.mkdir;
  table[Opcode.UNLINK] = names.unlink;
  table[Opcode.RMDIR] = names.rmdir;
  table[Opcode.RENAME] = names.rename;
  table[Opcode.RENAME2] = names.rename2;
  table[Opcode.LINK] = names.link;
  table[Opcode.OPEN] = byInode(files.open);
  table[Opcode.CREATE] = files.create;
  table[Opcode.READ] = byInode(files.read);
  table[Opcode.WRITE] = byInode(files.write);
  table[Opcode.FLUSH] = byInode(files.flush);
  table[Opcode.FSYNC] = byInode(files.fsync);
  table[Opcode.RELEASE] = files.release;
  table[Opcode.FALLOCATE] = byInode(files.fallocate);
  table[Opcode.LSEEK] = byInode(files.lseek);
  table[Opcode.GETLK] = locks.getlk;
  table[Opcode.SETLK] = locks.setlk;
  table[Opcode.SETLKW] = locks.setlkw;
  table[Opcode.COPY_FILE_RANGE] = files.copyFileRange;
  table[Opcode.COPY_FILE_RANGE_64] = files.copyFileRange64;
  table[Opcode.OPENDIR] = byInode(directories.opendir);
  table[Opcode.READDIR] = directories.readdir;
  table[Opcode.READDIRPLUS] = directories.readdirplus;
  table[Opcode.RELEASEDIR] = directories.releasedir;
  table[Opcode.FSYNCDIR] = directories.fsyncdir;
  table[Opcode.SETXATTR] = byInode(xattrs.setxattr);
  table[Opcode.GETXATTR] = byInode(xattrs.getxattr);
  table[Opcode.LISTXATTR] = byInode(xattrs.listxattr);
  table[Opcode.REMOVEXATTR] = byInode(xattrs.removexattr);
  table[Opcode.IOCTL] = ioctl;
  table[Opcode.STATFS] = volume.statfs;
  table[Opcode.SYNCFS] = volume.flushAll;
  table[Opcode.DESTROY] = volume.flushAll;
  return table;
})();

export const handlerOf = (opcode: number): Handler | undefined => handlers[opcode];

/**
 * What may go on by itself after its caller was told EINTR: it changes nothing, or writes out what was written before. Not
 * OPEN, which may truncate.
 */
const abandonable: ReadonlySet<number> = new Set([
  Opcode.LOOKUP, Opcode.GETATTR, Opcode.READLINK, Opcode.READ, Opcode.FLUSH, Opcode.FSYNC, Opcode.LSEEK, Opcode.GETLK,
  Opcode.OPENDIR, Opcode.READDIR, Opcode.READDIRPLUS, Opcode.FSYNCDIR, Opcode.GETXATTR, Opcode.LISTXATTR, Opcode.STATFS,
]); // biome-ignore format: a table reads better than a column

export const mayBeAbandoned = (opcode: number): boolean => abandonable.has(opcode);

/**
 * For opcodes without a handler. ACCESS among them: the kernel checks permissions itself (default_permissions). Unnamed
 * files fall back to EOPNOTSUPP, statx to getattr.
 */
export const REFUSAL = Errno.ENOSYS;
