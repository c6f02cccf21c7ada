// POSIX ACL rules: the row form, the kernel's xattr form and the arithmetic with mode bits (spec 5.8). Pure.
import { fail } from '../../base/errors.ts';

/** A permission that the rule does not hold (an absent mask, say). */
export const ABSENT = 0xffff;
const PERMS = 0o7;

export interface AclEntry {
  readonly id: number;
  readonly perm: number;
}

/** One row of the acl table; rows are shared between nodes and never change. */
export interface AclRule {
  readonly owner: number;
  readonly group: number;
  readonly mask: number;
  readonly other: number;
  readonly users: readonly AclEntry[];
  readonly groups: readonly AclEntry[];
}

/** Attribute names under which the kernel and setfacl ask for the two rules of a node. */
export const ACCESS_XATTR = 'system.posix_acl_access';
export const DEFAULT_XATTR = 'system.posix_acl_default';
export const isAclXattr = (name: string): boolean => name === ACCESS_XATTR || name === DEFAULT_XATTR;

const ENTRY_BYTES = 6;

/** named_users and named_groups: 4 bytes id, 2 bytes permissions, big-endian. */
export function decodeEntries(bytes: Buffer): AclEntry[] {
  const entries: AclEntry[] = [];
  for (let at = 0; at + ENTRY_BYTES <= bytes.length; at += ENTRY_BYTES)
    entries.push({ id: bytes.readUInt32BE(at), perm: bytes.readUInt16BE(at + 4) });
  return entries;
}

export function encodeEntries(entries: readonly AclEntry[]): Buffer {
  const bytes = Buffer.alloc(entries.length * ENTRY_BYTES);
  entries.forEach(({ id, perm }, index) => {
    bytes.writeUInt32BE(id, index * ENTRY_BYTES);
    bytes.writeUInt16BE(perm, index * ENTRY_BYTES + 4);
  });
  return bytes;
}

const tags = { owner: 0x01, user: 0x02, group: 0x04, namedGroup: 0x08, mask: 0x10, other: 0x20 } as const;
const XATTR_VERSION = 2;
const XATTR_HEADER = 4;
const XATTR_ENTRY = 8;
/** ACL_UNDEFINED_ID: entries that name nobody. */
const NO_ID = 0xffff_ffff;
/** More named entries than any tool writes; the value limit of an xattr gives it. */
const MAX_XATTR_ENTRIES = 8191;

/** The value getxattr answers: version, then entries in the order the kernel wants them. */
export function toXattr(rule: AclRule): Buffer {
  const rows: [tag: number, perm: number, id: number][] = [];
  const add = (tag: number, perm: number, id = NO_ID): void => {
    if (perm !== ABSENT) rows.push([tag, perm, id]);
  };
  add(tags.owner, rule.owner);
  for (const { id, perm } of rule.users) add(tags.user, perm, id);
  add(tags.group, rule.group);
  for (const { id, perm } of rule.groups) add(tags.namedGroup, perm, id);
  add(tags.mask, rule.mask);
  add(tags.other, rule.other);
  const bytes = Buffer.alloc(XATTR_HEADER + rows.length * XATTR_ENTRY);
  bytes.writeUInt32LE(XATTR_VERSION, 0);
  rows.forEach(([tag, perm, id], index) => {
    const at = XATTR_HEADER + index * XATTR_ENTRY;
    bytes.writeUInt16LE(tag, at);
    bytes.writeUInt16LE(perm, at + 2);
    bytes.writeUInt32LE(id, at + 4);
  });
  return bytes;
}

/** The rule of a setxattr value; an empty list of entries is the rule that removes. */
export function fromXattr(value: Buffer): AclRule {
  const count = (value.length - XATTR_HEADER) / XATTR_ENTRY;
  if (!Number.isInteger(count) || count < 0 || count > MAX_XATTR_ENTRIES)
    throw fail('EINVAL', `read an access control list: ${value.length} bytes cannot hold one`);
  if (value.readUInt32LE(0) !== XATTR_VERSION)
    throw fail(
      'ENOTSUP',
      `read an access control list: wanted version ${XATTR_VERSION}, found ${value.readUInt32LE(0)}`,
    );
  const single = { owner: ABSENT, group: ABSENT, mask: ABSENT, other: ABSENT };
  const users: AclEntry[] = [];
  const groups: AclEntry[] = [];
  for (let at = XATTR_HEADER; at < value.length; at += XATTR_ENTRY) {
    const [tag, perm, id] = [value.readUInt16LE(at), value.readUInt16LE(at + 2) & PERMS, value.readUInt32LE(at + 4)];
    if (tag === tags.owner) single.owner = perm;
    else if (tag === tags.group) single.group = perm;
    else if (tag === tags.mask) single.mask = perm;
    else if (tag === tags.other) single.other = perm;
    else if (tag === tags.user) users.push({ id, perm });
    else if (tag === tags.namedGroup) groups.push({ id, perm });
    else throw fail('EINVAL', `read an access control list: unknown tag ${tag}`);
  }
  return { ...single, users, groups };
}

const hasNamed = (rule: AclRule): boolean => rule.users.length + rule.groups.length > 0;

/** Says nothing at all: setting it removes the list. */
export const isEmptyRule = (rule: AclRule): boolean =>
  !hasNamed(rule) && [rule.owner, rule.group, rule.mask, rule.other].every((perm) => perm === ABSENT);

/** Says no more than mode bits could. */
export const isMinimal = (rule: AclRule): boolean => !hasNamed(rule) && rule.mask === ABSENT;

/** The nine permission bits of a node with this access rule; the group bits show the mask. */
export const ruleBits = (rule: AclRule): number =>
  ((rule.owner & PERMS) << 6) | (((isMinimal(rule) ? rule.group : rule.mask) & PERMS) << 3) | (rule.other & PERMS);

/** A rule whose absent parts are taken from the mode. */
export const filledFrom = (rule: AclRule, mode: number): AclRule => ({
  ...rule,
  owner: rule.owner === ABSENT ? (mode >> 6) & PERMS : rule.owner,
  group: rule.group === ABSENT ? (mode >> 3) & PERMS : rule.group,
  other: rule.other === ABSENT ? mode & PERMS : rule.other,
});

/** chmod on a node with an access rule: owner and other follow the mode, and the mask stands for its group bits. */
export function chmodRule(rule: AclRule, mode: number): AclRule {
  const group = (mode >> 3) & PERMS;
  return {
    ...rule,
    owner: (mode >> 6) & PERMS,
    other: mode & PERMS,
    ...(isMinimal(rule) ? { group } : { mask: group }),
  };
}

/** What a new node in a directory with this default rule gets; no access rule when the default says only mode bits. */
export function inheritRule(rule: AclRule, mode: number): { readonly mode: number; readonly access?: AclRule } {
  const high = mode & 0o7000;
  if (isMinimal(rule)) return { mode: high | (mode & ruleBits(rule)) };
  const access: AclRule = {
    ...rule,
    owner: (mode >> 6) & rule.owner & PERMS,
    mask: (mode >> 3) & rule.mask & PERMS,
    other: mode & rule.other & PERMS,
  };
  return { mode: high | ruleBits(access), access };
}
