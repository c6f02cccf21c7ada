// Values of a dump, checked: what a client could have written, or bad-input. Pure.
import { fail } from '../../base/errors.ts';
import { typeNames } from '../dump/entry.ts';
import { ABSENT, type AclEntry, type AclRule } from '../meta/acl.ts';
import type { Json } from '../meta/setting.ts';
import { CHUNK_SIZE, type Ino, NodeType, type Slice } from '../meta/types.ts';

export type JsonObject = { readonly [key: string]: Json };

const U32 = 0xffff_ffffn;
const I31 = 0x7fff_ffffn;
export const MAX_ID = 2n ** 63n - 1n;
/** Lengths the format allows. */
const MAX_FILE = 2n ** 57n - 1n;
/** A path component, and the longest target of a link. */
const MAX_NAME = 255;
const MAX_TARGET = 4096;

const bad = (what: string, wanted: string, found: unknown): Error =>
  fail('bad-input', `read the dump: ${what}: wanted ${wanted}, found ${shown(found)}`);

function shown(found: unknown): string {
  if (found === undefined) return 'nothing';
  if (typeof found === 'bigint') return found.toString();
  return JSON.stringify(found)?.slice(0, 80) ?? typeof found;
}

export function objectOf(value: Json | undefined, what: string): JsonObject {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw bad(what, 'an object', value);
}

/** Go writes an empty list as null. */
export function arrayOf(value: Json | undefined, what: string): readonly Json[] {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) return value as readonly Json[];
  throw bad(what, 'a list', value);
}

export function textOf(value: Json | undefined, what: string): string {
  if (typeof value !== 'string' || !value.isWellFormed()) throw bad(what, 'a text', value);
  return value;
}

/** Missing is 0, as everywhere in Go. */
export function integerOf(value: Json | undefined, what: string, max: bigint, min = 0n): bigint {
  if (value === undefined) return 0n;
  const integer = typeof value === 'bigint' || Number.isSafeInteger(value);
  if (!integer) throw bad(what, 'an integer', value);
  const exact = BigInt(value as number | bigint);
  if (exact < min || exact > max) throw bad(what, `${min} to ${max}`, exact);
  return exact;
}

const small = (value: Json | undefined, what: string, max: bigint): number => Number(integerOf(value, what, max));

const typeOfName = new Map<string, NodeType>(
  Object.entries(typeNames).map(([code, name]) => [name, Number(code) as NodeType]),
);

/** A node's row but for what load finds out itself: parent, links, ids of access lists. */
export interface LoadedAttr {
  readonly ino: Ino;
  readonly type: NodeType;
  readonly flags: bigint;
  readonly mode: bigint;
  readonly uid: bigint;
  readonly gid: bigint;
  readonly atime: bigint;
  readonly mtime: bigint;
  readonly ctime: bigint;
  readonly length: bigint;
  readonly rdev: bigint;
  readonly tier: bigint;
}

const NS = 1_000_000_000n;
/** Seconds that microseconds in 64 bits can hold. */
const MAX_SECONDS = MAX_ID / 1_000_000n;

export function attrOf(value: Json, what: string): LoadedAttr {
  const fields = objectOf(value, what);
  const type = typeOfName.get(String(fields['type']));
  if (type === undefined) throw bad(`${what}: type`, [...typeOfName.keys()].join(', '), fields['type']);
  const at = (name: string, max: bigint): bigint => integerOf(fields[name], `${what}: ${name}`, max);
  const time = (name: string): bigint =>
    integerOf(fields[name], `${what}: ${name}`, MAX_SECONDS, -MAX_SECONDS) * NS + at(`${name}nsec`, U32);
  return {
    ino: integerOf(fields['inode'], `${what}: inode`, MAX_ID, 1n),
    type,
    flags: at('flags', 0xffn),
    mode: at('mode', U32) & 0o7777n,
    uid: at('uid', U32),
    gid: at('gid', U32),
    atime: time('atime'),
    mtime: time('mtime'),
    ctime: time('ctime'),
    length: type === NodeType.file ? at('length', MAX_FILE) : 0n,
    rdev: at('rdev', U32),
    tier: at('tier', 0xffn),
  };
}

export function nameOf(bytes: Buffer, what: string): Buffer {
  const text = bytes.toString('latin1');
  if (bytes.length < 1 || bytes.length > MAX_NAME || /[/\0]/.test(text) || text === '.' || text === '..')
    throw fail('bad-input', `read the dump: ${what}: an entry has a name that cannot be, of ${bytes.length} bytes`);
  return bytes;
}

export function targetOf(bytes: Buffer, what: string): Buffer {
  if (bytes.length >= 1 && bytes.length <= MAX_TARGET && !bytes.includes(0)) return bytes;
  throw fail('bad-input', `read the dump: ${what}: a link target that cannot be, of ${bytes.length} bytes`);
}

export function ruleOf(value: Json, what: string): AclRule {
  const fields = objectOf(value, what);
  const perm = (name: string): number => permission(fields[name], `${what}: ${name}`);
  const named = (name: string): AclEntry[] =>
    arrayOf(fields[name], `${what}: ${name}`).map((entry) => {
      const { id, perm: bits } = objectOf(entry, `${what}: ${name}`);
      return { id: small(id, `${what}: id`, U32), perm: permission(bits, `${what}: perm`) };
    });
  return {
    owner: perm('owner'),
    group: perm('group'),
    mask: perm('mask'),
    other: perm('other'),
    users: named('users'),
    groups: named('groups'),
  };
}

const permission = (value: Json | undefined, what: string): number => small(value, what, BigInt(ABSENT));

export interface LoadedChunk {
  readonly indx: number;
  readonly slices: readonly Slice[];
}

export function chunkOf(value: Json, what: string): LoadedChunk {
  const fields = objectOf(value, what);
  const indx = small(fields['index'], `${what}: index`, I31);
  const where = `${what}: chunk ${indx}`;
  return { indx, slices: arrayOf(fields['slices'], where).map((slice) => sliceOf(slice, where)) };
}

/** Dumps of early releases say chunkid for id. For holes size and off mean nothing. */
function sliceOf(value: Json, what: string): Slice {
  const fields = objectOf(value, what);
  const at = (name: string): number => small(fields[name], `${what}: ${name}`, U32);
  const id = integerOf(fields['id'] ?? fields['chunkid'], `${what}: id`, MAX_ID);
  const slice = { pos: at('pos'), id, size: at('size'), off: at('off'), len: at('len') };
  const { pos, size, off, len } = slice;
  const inside =
    len >= 1 && pos + len <= CHUNK_SIZE && (id === 0n || (size >= 1 && size <= CHUNK_SIZE && off + len <= size));
  if (!inside) throw bad(what, 'a record inside its chunk and slice', `pos ${pos} size ${size} off ${off} len ${len}`);
  return slice;
}
