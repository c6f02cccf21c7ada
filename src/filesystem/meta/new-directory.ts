// The row of an empty directory that nobody asked for by a call: the roots, hours of the trash, directories of volumes.
import { type Attr, type Ino, NodeType } from './types.ts';

export const newDirectory = (ino: Ino, mode: number, parent: Ino, now: bigint): Attr => ({
  ino,
  type: NodeType.directory,
  flags: 0,
  mode,
  uid: 0,
  gid: 0,
  atime: now,
  mtime: now,
  ctime: now,
  nlink: 2,
  length: 4096n,
  rdev: 0,
  parent,
  accessAcl: 0,
  defaultAcl: 0,
  tier: 0,
});
