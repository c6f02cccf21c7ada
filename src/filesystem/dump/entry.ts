// One directory entry as a dump has it: the lines between its name and its entries. Pure.
import type { AclEntry, AclRule } from '../meta/acl.ts';
import { goString } from '../meta/setting.ts';
import { type Attr, NodeType, type Slice } from '../meta/types.ts';
import { escapeBytes } from './text.ts';

export interface ChunkRow {
  readonly indx: number;
  readonly slices: readonly Slice[];
}

export interface Xattr {
  readonly name: string;
  readonly value: Buffer;
}

/** What hangs on a node beside its row. */
export interface NodeExtras {
  readonly target?: Buffer;
  readonly xattrs: readonly Xattr[];
  readonly access?: AclRule;
  readonly default?: AclRule;
}

/** The original client's words. */
export const typeNames: Readonly<Record<NodeType, string>> = {
  [NodeType.file]: 'regular',
  [NodeType.directory]: 'directory',
  [NodeType.symlink]: 'symlink',
  [NodeType.fifo]: 'fifo',
  [NodeType.block]: 'blockdev',
  [NodeType.char]: 'chardev',
  [NodeType.socket]: 'socket',
};

const NS = 1_000_000_000n;

/** Seconds, and the nanoseconds beyond them, also before 1970. */
function splitTime(ns: bigint): [seconds: bigint, rest: bigint] {
  const rest = ((ns % NS) + NS) % NS;
  return [(ns - rest) / NS, rest];
}

export function attrText(attr: Attr): string {
  const times = [attr.atime, attr.mtime, attr.ctime].map(splitTime);
  const names = ['atime', 'mtime', 'ctime'];
  const seconds = times.map(([s], i) => `"${names[i]}":${s}`).join(',');
  const rest = times.map(([, ns], i) => (ns === 0n ? '' : `,"${names[i]}nsec":${ns}`)).join('');
  const flags = attr.flags === 0 ? '' : `"flags":${attr.flags},`;
  const length = attr.type === NodeType.file ? attr.length : 0;
  return (
    `{"inode":${attr.ino},${flags}"type":"${typeNames[attr.type]}","mode":${attr.mode},"uid":${attr.uid},"gid":${attr.gid},` +
    `${seconds}${rest},"nlink":${attr.nlink},"length":${length}` +
    `${attr.rdev === 0 ? '' : `,"rdev":${attr.rdev}`}${attr.tier === 0 ? '' : `,"tier":${attr.tier}`}}`
  );
}

export function chunkText({ indx, slices }: ChunkRow): string {
  const texts = slices.map(
    ({ id, pos, size, off, len }) =>
      `{"id":${id},${pos === 0 ? '' : `"pos":${pos},`}"size":${size},${off === 0 ? '' : `"off":${off},`}"len":${len}}`,
  );
  return `{"index":${indx},"slices":[${texts.join(',')}]}`;
}

/** The lines before chunks and entries, without commas between them. */
export function nodeLines(attr: Attr, extras: NodeExtras): string[] {
  const { target, xattrs, access, default: inherited } = extras;
  const lines = [`"attr": ${attrText(attr)}`];
  if (target !== undefined) lines.push(`"symlink": "${escapeBytes(target)}"`);
  if (xattrs.length > 0) lines.push(`"xattrs": [${xattrs.map(xattrText).join(',')}]`);
  if (access !== undefined) lines.push(`"posix_acl_access": ${ruleText(access)}`);
  if (inherited !== undefined) lines.push(`"posix_acl_default": ${ruleText(inherited)}`);
  return lines;
}

const xattrText = ({ name, value }: Xattr): string =>
  `{"name":${goString(name)},"value":${goString(escapeBytes(value))}}`;

function ruleText({ owner, group, other, mask, users, groups }: AclRule): string {
  return `{"owner":${owner},"group":${group},"other":${other},"mask":${mask},"users":${named(users)},"groups":${named(groups)}}`;
}

/** Go's nil slice. */
const named = (entries: readonly AclEntry[]): string =>
  entries.length === 0 ? 'null' : `[${entries.map(({ id, perm }) => `{"id":${id},"perm":${perm}}`).join(',')}]`;
