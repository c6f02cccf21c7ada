// Bodies of replies, written into Buffers. Knows layouts only: no kernel, no file system.

import type { Attr, Entry, LockRange, Opened, VolumeUsage } from '../filesystem/vfs/vfs.ts';
import { LockType, NodeType } from '../filesystem/vfs/vfs.ts';
import type { NodeIds } from './nodes.ts';
import { OpenFlag, Size } from './protocol.ts';

/** What stat(2) recommends for reads and writes: pages are large, so coreutils and others should ask for much. */
const BLOCK_SIZE = 65_536;
/** The unit of st_blocks. */
const SECTOR = 512n;
/** The unit in which statfs counts. */
const STATFS_UNIT = 4096n;
const MAX_NAME = 255;
const NS_PER_S = 1_000_000_000n;

/** S_IFMT bits and, shifted down by 12, d_type of directory entries. */
const typeBits: Readonly<Record<NodeType, number>> = {
  [NodeType.file]: 0o100000,
  [NodeType.directory]: 0o040000,
  [NodeType.symlink]: 0o120000,
  [NodeType.fifo]: 0o010000,
  [NodeType.block]: 0o060000,
  [NodeType.char]: 0o020000,
  [NodeType.socket]: 0o140000,
};

export const modeOf = (attr: Attr): number => typeBits[attr.type] | (attr.mode & 0o7777);
export const direntType = (type: NodeType): number => typeBits[type] >> 12;

/** A reply that gave the kernel something to hold: `undo` takes it back if the reply did not arrive. */
export class Held {
  readonly body: Buffer;
  readonly undo: () => void;

  constructor(body: Buffer, undo: () => void) {
    this.body = body;
    this.undo = undo;
  }
}

export type Answer = undefined | Buffer | readonly Buffer[] | Held;

/** Milliseconds as seconds and nanoseconds at the two places. */
function writeLifetime(out: Buffer, seconds: number, nanoseconds: number, lifetime: number): void {
  const whole = Math.floor(lifetime / 1000);
  out.writeUInt32LE(whole, seconds);
  out.writeUInt32LE(0, seconds + 4);
  out.writeUInt32LE(Math.floor((lifetime - whole * 1000) * 1e6), nanoseconds);
}

function writeTime(out: Buffer, seconds: number, nanoseconds: number, time: bigint): void {
  const rest = time % NS_PER_S;
  const below = rest < 0n ? rest + NS_PER_S : rest;
  out.writeBigInt64LE((time - below) / NS_PER_S, seconds);
  out.writeUInt32LE(Number(below), nanoseconds);
}

function writeAttr(out: Buffer, at: number, attr: Attr, nodes: NodeIds): void {
  out.writeBigUInt64LE(nodes.toNode(attr.ino), at);
  out.writeBigUInt64LE(attr.length, at + 8);
  out.writeBigUInt64LE((attr.length + SECTOR - 1n) / SECTOR, at + 16);
  writeTime(out, at + 24, at + 48, attr.atime);
  writeTime(out, at + 32, at + 52, attr.mtime);
  writeTime(out, at + 40, at + 56, attr.ctime);
  out.writeUInt32LE(modeOf(attr), at + 60);
  out.writeUInt32LE(attr.nlink, at + 64);
  out.writeUInt32LE(attr.uid, at + 68);
  out.writeUInt32LE(attr.gid, at + 72);
  out.writeUInt32LE(attr.rdev, at + 76);
  out.writeUInt32LE(BLOCK_SIZE, at + 80);
  out.writeUInt32LE(0, at + 84);
}

export function writeEntry(out: Buffer, at: number, entry: Entry, nodes: NodeIds): void {
  out.writeBigUInt64LE(nodes.toNode(entry.attr.ino), at);
  // Inode numbers are never given out twice, so every node is generation 0.
  out.writeBigUInt64LE(0n, at + 8);
  writeLifetime(out, at + 16, at + 32, entry.entryTimeout);
  writeLifetime(out, at + 24, at + 36, entry.attrTimeout);
  writeAttr(out, at + 40, entry.attr, nodes);
}

export function entryBody(entry: Entry, nodes: NodeIds): Buffer {
  const out = Buffer.allocUnsafe(Size.entryOut);
  writeEntry(out, 0, entry, nodes);
  return out;
}

/** Node 0: there is no such name, and the kernel may believe it. */
export function absentBody(lifetime: number): Buffer {
  const out = Buffer.alloc(Size.entryOut);
  writeLifetime(out, 16, 32, lifetime);
  return out;
}

export function attrBody(entry: Entry, nodes: NodeIds): Buffer {
  const out = Buffer.allocUnsafe(Size.attrOut);
  writeLifetime(out, 0, 8, entry.attrTimeout);
  out.writeUInt32LE(0, 12);
  writeAttr(out, 16, entry.attr, nodes);
  return out;
}

function writeOpened(out: Buffer, at: number, opened: Opened): void {
  out.writeBigUInt64LE(opened.handle, at);
  const flags = (opened.keepCache ? OpenFlag.KEEP_CACHE : 0) | (opened.directIo ? OpenFlag.DIRECT_IO : 0);
  out.writeUInt32LE(flags, at + 8);
  out.writeUInt32LE(0, at + 12);
}

export function openBody(opened: Opened): Buffer {
  const out = Buffer.allocUnsafe(Size.openOut);
  writeOpened(out, 0, opened);
  return out;
}

export function createBody(entry: Entry, opened: Opened, nodes: NodeIds): Buffer {
  const out = Buffer.allocUnsafe(Size.entryOut + Size.openOut);
  writeEntry(out, 0, entry, nodes);
  writeOpened(out, Size.entryOut, opened);
  return out;
}

export function statfsBody(usage: VolumeUsage): Buffer {
  const out = Buffer.alloc(Size.statfsOut);
  const left = (total: bigint, used: bigint): bigint => (used < total ? total - used : 0n);
  const free = left(usage.totalBytes, usage.usedBytes) / STATFS_UNIT;
  out.writeBigUInt64LE(usage.totalBytes / STATFS_UNIT, 0);
  out.writeBigUInt64LE(free, 8);
  out.writeBigUInt64LE(free, 16);
  out.writeBigUInt64LE(usage.totalInodes, 24);
  out.writeBigUInt64LE(left(usage.totalInodes, usage.usedInodes), 32);
  out.writeUInt32LE(Number(STATFS_UNIT), 40);
  out.writeUInt32LE(MAX_NAME, 44);
  out.writeUInt32LE(Number(STATFS_UNIT), 48);
  return out;
}

/** One 32-bit number and its padding: write, getxattr and listxattr answer so. */
export function numberBody(value: number): Buffer {
  const out = Buffer.allocUnsafe(8);
  out.writeUInt32LE(value, 0);
  out.writeUInt32LE(0, 4);
  return out;
}

export function longBody(value: bigint): Buffer {
  const out = Buffer.allocUnsafe(8);
  out.writeBigUInt64LE(value, 0);
  return out;
}

/** The lock that is in the way, or that none is. */
export function lockBody(lock: LockRange | undefined): Buffer {
  const out = Buffer.alloc(Size.lockOut);
  if (lock !== undefined) {
    out.writeBigUInt64LE(lock.start, 0);
    out.writeBigUInt64LE(lock.end, 8);
  }
  out.writeUInt32LE(lock?.type ?? LockType.none, 16);
  out.writeUInt32LE(lock?.pid ?? 0, 20);
  return out;
}
