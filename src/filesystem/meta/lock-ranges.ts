// Locks of one holder on one file, as byte ranges: what a new lock makes of them, what stands in its way, and the 24 bytes
// of a plock record. Pure; flock's locks are one range over everything.
import { fail } from '../../base/errors.ts';

/** Linux numbers; `none` takes a lock away and is never stored. */
export const LockType = { read: 0, write: 1, none: 2 } as const;
export type LockType = (typeof LockType)[keyof typeof LockType];

/** To wherever the file ends. */
export const LOCK_END = 0x7fff_ffff_ffff_ffffn;

/** Bytes `start` to `end`, both included. */
export interface LockRange {
  readonly type: LockType;
  readonly start: bigint;
  readonly end: bigint;
  /** As the holder's client knows it; nothing follows from it but getlk's answer. */
  readonly pid: number;
}

const RECORD = 24;

export function encodeRanges(ranges: readonly LockRange[]): Buffer {
  const bytes = Buffer.alloc(ranges.length * RECORD);
  ranges.forEach(({ type, pid, start, end }, i) => {
    const at = i * RECORD;
    bytes.writeUInt32BE(type, at);
    bytes.writeUInt32BE(pid, at + 4);
    bytes.writeBigUInt64BE(start, at + 8);
    bytes.writeBigUInt64BE(end, at + 16);
  });
  return bytes;
}

export function decodeRanges(bytes: Buffer, what: string): LockRange[] {
  if (bytes.length % RECORD !== 0)
    throw fail('metadata-damaged', `${what}: ${bytes.length} bytes, wanted records of ${RECORD}`);
  const ranges: LockRange[] = [];
  for (let at = 0; at < bytes.length; at += RECORD)
    ranges.push({
      // Clients of other systems have numbers of their own; taken for exclusive, none of them is run over.
      type: bytes.readUInt32BE(at) === LockType.read ? LockType.read : LockType.write,
      pid: bytes.readUInt32BE(at + 4),
      start: bytes.readBigUInt64BE(at + 8),
      end: bytes.readBigUInt64BE(at + 16),
    });
  return ranges;
}

const overlap = (a: LockRange, b: LockRange): boolean => a.start <= b.end && b.start <= a.end;

/** The first of another holder's ranges that keeps `wanted` from being had. */
export const conflictOf = (held: readonly LockRange[], wanted: LockRange): LockRange | undefined =>
  held.find((range) => (range.type === LockType.write || wanted.type === LockType.write) && overlap(range, wanted));

/** The holder's ranges after `change`: it cuts what it covers; neighbours of one type and process become one. */
export function placeRange(held: readonly LockRange[], change: LockRange): LockRange[] {
  const parts: LockRange[] = [];
  for (const range of held) {
    if (!overlap(range, change)) {
      parts.push(range);
      continue;
    }
    if (range.start < change.start) parts.push({ ...range, end: change.start - 1n });
    if (range.end > change.end) parts.push({ ...range, start: change.end + 1n });
  }
  if (change.type !== LockType.none) parts.push(change);
  parts.sort((a, b) => (a.start < b.start ? -1 : 1));
  const merged: LockRange[] = [];
  for (const range of parts) {
    const last = merged.at(-1);
    if (last?.type === range.type && last.pid === range.pid && last.end + 1n === range.start)
      merged[merged.length - 1] = { ...last, end: range.end };
    else merged.push(range);
  }
  return merged;
}
