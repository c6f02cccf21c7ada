// Who may do what: owner, sticky, setgid, trash and flag rules, and rwx for library callers. Pure. Callers that come
// through the kernel had their rwx checked there (default_permissions), with supplementary groups we do not know.
import { fail } from '../../base/errors.ts';
import type { Caller } from '../../base/words.ts';
import type { AclRule } from './acl.ts';
import { type Attr, type Ino, NodeFlag, NodeType, TRASH } from './types.ts';

export const S_ISUID = 0o4000;
export const S_ISGID = 0o2000;
const S_ISVTX = 0o1000;
const S_IXGRP = 0o010;
export const MODE_BITS = 0o7777;

export const isRoot = (caller: Caller): boolean => caller.uid === 0;
export const owns = (caller: Caller, attr: Attr): boolean => isRoot(caller) || caller.uid === attr.uid;

/** Whether the caller counts as a member of the group, as far as it can be known here. */
export const inGroup = (caller: Caller, gid: number): boolean =>
  isRoot(caller) || caller.gid === gid || caller.vouched === true;

/** access(2): mask of 4 read, 2 write, 1 execute. The list counts only when the group bits show that it grants anything. */
export function mayAccess(attr: Attr, caller: Caller, mask: number, acl?: AclRule): boolean {
  const wanted = mask & 7;
  const grants = (perm: number): boolean => (perm & wanted) === wanted;
  if (isRoot(caller)) {
    const executable = attr.type === NodeType.directory || (attr.mode & 0o111) !== 0;
    return (wanted & 1) === 0 || executable;
  }
  if (caller.uid === attr.uid) return grants(attr.mode >> 6);
  if (acl === undefined || (attr.mode & 0o070) === 0)
    return grants(caller.gid === attr.gid ? attr.mode >> 3 : attr.mode);
  const user = acl.users.find(({ id }) => id === caller.uid);
  if (user !== undefined) return grants(user.perm & acl.mask);
  const groups = acl.groups.filter(({ id }) => id === caller.gid).map(({ perm }) => perm);
  if (caller.gid === attr.gid) groups.push(acl.group);
  if (groups.length > 0) return groups.some((perm) => grants(perm & acl.mask));
  return grants(acl.other);
}

/** Taking an entry out of a sticky directory needs ownership of the entry or the directory. */
export function checkSticky(caller: Caller, parent: Attr, node: Attr): void {
  if ((parent.mode & S_ISVTX) === 0 || owns(caller, parent) || owns(caller, node)) return;
  throw fail('EACCES', `remove inode ${node.ino} from sticky directory ${parent.ino}: user ${caller.uid} owns neither`);
}

export const isTrash = (ino: Ino): boolean => ino >= TRASH;

/** The node is in the trash (or, for a directory, holds what is). */
export const inTrash = (attr: Attr): boolean => attr.parent > TRASH;

/** Directory arguments of create, link and rename into; `restoring` may put a node into a directory that is in the trash. */
export function checkInto(parent: Attr | undefined, ino: Ino, restoring = false): asserts parent is Attr {
  if (isTrash(ino)) throw fail('EPERM', `make an entry in directory ${ino}: nothing can be put into the trash`);
  if (parent === undefined || (inTrash(parent) && !restoring))
    throw fail('ENOENT', `make an entry in directory ${ino}: no such directory`);
  if (parent.type !== NodeType.directory) throw fail('ENOTDIR', `make an entry in inode ${ino}: not a directory`);
  if ((parent.flags & NodeFlag.immutable) !== 0)
    throw fail('EPERM', `make an entry in directory ${ino}: it is immutable`);
}

/** Directory arguments of unlink, rmdir and rename out of. */
export function checkOutOf(caller: Caller, parent: Attr | undefined, ino: Ino): asserts parent is Attr {
  if (ino === TRASH) throw fail('EPERM', 'take an entry out of the trash: its hours go by themselves');
  if (isTrash(ino) && !isRoot(caller))
    throw fail('EPERM', `take an entry out of trash directory ${ino}: only root may`);
  if (parent === undefined) throw fail('ENOENT', `take an entry out of directory ${ino}: no such directory`);
  if (parent.type !== NodeType.directory) throw fail('ENOTDIR', `take an entry out of inode ${ino}: not a directory`);
  checkLoose(parent);
}

/** Neither append-only nor immutable: the node may lose entries, links or its name. */
export function checkLoose(attr: Attr): void {
  if ((attr.flags & (NodeFlag.immutable | NodeFlag.append)) === 0) return;
  throw fail('EPERM', `change inode ${attr.ino}: it is append-only or immutable`);
}

/** A setgid directory hands on its group, and to directories the bit itself. */
export function inheritGroup(
  caller: Caller,
  parent: Attr,
  type: NodeType,
  mode: number,
): { readonly gid: number; readonly mode: number } {
  if ((parent.mode & S_ISGID) === 0) return { gid: caller.gid, mode };
  if (type === NodeType.directory) return { gid: parent.gid, mode: mode | S_ISGID };
  const runsAsGroup = (mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP);
  return { gid: parent.gid, mode: runsAsGroup && !inGroup(caller, parent.gid) ? mode & ~S_ISGID : mode };
}

/** The mode after a change of owner or group: set-id bits go, except setgid without group execution for a member. */
export function modeAfterChown(caller: Caller, attr: Attr, mode: number): number {
  if (attr.type === NodeType.directory) return mode;
  const kept = inGroup(caller, attr.gid) && (attr.mode & S_IXGRP) === 0 ? S_ISGID : 0;
  return mode & (~(S_ISUID | S_ISGID) | kept);
}
