// Rows of the database into checked values and back. The one place where integers are narrowed, byte columns become
// Buffers and the format's odd times become nanoseconds. Never runs a statement.
import { fail, hasCode } from '../../base/errors.ts';
import type { Row, SqlValue } from '../sql/op.ts';
import { type Attr, type Dirent, type Ino, MAX_LENGTH, NodeType, TRASH } from './types.ts';

export function bigintAt(row: Row, i: number): bigint {
  const value = row[i];
  if (typeof value === 'bigint') return value;
  // Columns that older clients added later, or left out, hold NULL where newer ones write 0.
  if (value === null) return 0n;
  throw fail('metadata-damaged', `column ${i} of a row: wanted an integer, found ${typeof value}`);
}

/** An exact JavaScript number, or metadata-damaged. */
export function numberAt(row: Row, i: number): number {
  const value = bigintAt(row, i);
  const narrow = Number(value);
  if (!Number.isSafeInteger(narrow)) throw fail('metadata-damaged', `column ${i} of a row: ${value} is out of range`);
  return narrow;
}

/** A Buffer over the bytes that the driver handed out; the column must be read through BYTES(). */
export function bytesAt(row: Row, i: number): Buffer {
  const value = row[i];
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  // CAST of a NULL stays NULL.
  if (value === null) return Buffer.alloc(0);
  throw fail('metadata-damaged', `column ${i} of a row: wanted bytes, found ${typeof value}`);
}

export function textAt(row: Row, i: number): string {
  const value = row[i];
  if (typeof value === 'string') return value;
  // SQLite keeps what it was given: another client may have bound a text as bytes.
  if (value instanceof Uint8Array) return Buffer.from(value).toString('utf8');
  throw fail('metadata-damaged', `column ${i} of a row: wanted text, found ${typeof value}`);
}

export function lengthOf(value: bigint, ino: Ino): bigint {
  if (value >= 0n && value <= MAX_LENGTH) return value;
  throw fail('metadata-damaged', `inode ${ino}: length ${value}, wanted 0 to ${MAX_LENGTH}`);
}

const types: ReadonlySet<number> = new Set(Object.values(NodeType));

export function nodeTypeAt(row: Row, i: number): NodeType {
  const type = numberAt(row, i);
  if (!types.has(type)) throw fail('metadata-damaged', `node type ${type}: wanted 1 to 7`);
  return type as NodeType;
}

/** Microseconds and the 0..999 nanoseconds beyond them (format spec: not a full nanosecond field). */
export const timeOf = (micros: bigint, rest: bigint): bigint => micros * 1000n + rest;

/** [microseconds, rest] as stored; times before 1970 are stored as 1970. */
export function storedTime(ns: bigint): [bigint, bigint] {
  return ns < 0n ? [0n, 0n] : [ns / 1000n, ns % 1000n];
}

const nodeColumns = [
  'inode', 'type', 'flags', 'mode', 'uid', 'gid', 'atime', 'mtime', 'ctime', 'atimensec', 'mtimensec', 'ctimensec',
  'nlink', 'length', 'rdev', 'parent', 'access_acl_id', 'default_acl_id', 'tier_id',
] as const; // biome-ignore format: the table's own order

/** The columns that decodeAttr reads, in its order, of a node table known as `alias`. */
export const attrColumns = (alias: string): string => nodeColumns.map((column) => `${alias}.${column}`).join(', ');

export const ATTR_COLUMNS = nodeColumns.length;

/** The same, and how many of its links lie in the trash, for a node that may have several: for `decodeSeen`. */
export const seenColumns = (alias: string): string =>
  `${attrColumns(alias)}, CASE WHEN COALESCE(${alias}.parent, 0) = 0 AND ${alias}.type <> 2 THEN
   (SELECT COUNT(*) FROM jfs_edge t WHERE t.inode = ${alias}.inode AND t.parent > ${TRASH}) END`;

/** `at` is where the node's columns begin in the row. */
export function decodeAttr(row: Row, at = 0): Attr {
  const ino = bigintAt(row, at);
  return {
    ino,
    type: nodeTypeAt(row, at + 1),
    flags: numberAt(row, at + 2),
    mode: numberAt(row, at + 3) & 0o7777,
    uid: numberAt(row, at + 4),
    gid: numberAt(row, at + 5),
    atime: timeOf(bigintAt(row, at + 6), bigintAt(row, at + 9)),
    mtime: timeOf(bigintAt(row, at + 7), bigintAt(row, at + 10)),
    ctime: timeOf(bigintAt(row, at + 8), bigintAt(row, at + 11)),
    nlink: numberAt(row, at + 12),
    length: lengthOf(bigintAt(row, at + 13), ino),
    rdev: numberAt(row, at + 14),
    parent: bigintAt(row, at + 15),
    accessAcl: numberAt(row, at + 16),
    defaultAcl: numberAt(row, at + 17),
    tier: numberAt(row, at + 18),
  };
}

export function decodeSeen(row: Row, at = 0): Attr {
  const attr = decodeAttr(row, at);
  return row[at + ATTR_COLUMNS] === null ? attr : { ...attr, linksInTrash: numberAt(row, at + ATTR_COLUMNS) };
}

/** All columns of a node row, in the table's order. */
export function attrParams(attr: Attr): SqlValue[] {
  const [atime, atimeRest] = storedTime(attr.atime);
  const [mtime, mtimeRest] = storedTime(attr.mtime);
  const [ctime, ctimeRest] = storedTime(attr.ctime);
  const narrow = [attr.type, attr.flags, attr.mode, attr.uid, attr.gid].map(BigInt);
  const tail = [BigInt(attr.nlink), attr.length, BigInt(attr.rdev)];
  const acl = [attr.accessAcl, attr.defaultAcl, attr.tier].map(BigInt);
  return [attr.ino, ...narrow, atime, mtime, ctime, atimeRest, mtimeRest, ctimeRest, ...tail, attr.parent, ...acl];
}

export const INSERT_NODE = `INSERT INTO jfs_node (${nodeColumns.join(', ')}) VALUES (${nodeColumns.map(() => '?').join(', ')})`;

/**
 * name, inode, type and, in the plus form, the node's columns behind them. A node that cannot be served goes without
 * attributes: who asks for it by name hears why, and the rest of the directory can be listed.
 */
export function decodeDirent(row: Row): Dirent {
  const dirent = { name: bytesAt(row, 0), ino: bigintAt(row, 1), type: nodeTypeAt(row, 2) };
  if (row.length <= 3) return dirent;
  try {
    return { ...dirent, attr: decodeSeen(row, 3) };
  } catch (thrown) {
    if (hasCode(thrown, 'metadata-damaged')) return dirent;
    throw thrown;
  }
}
