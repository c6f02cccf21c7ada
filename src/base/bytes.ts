// Small things done with buffers, so that big-endian fields and constant-time comparisons are written once.
import { timingSafeEqual } from 'node:crypto';
import { isMarkedAsUntransferable } from 'node:worker_threads';

export function be32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value);
  return buffer;
}

export function be64(value: bigint): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64BE(value);
  return buffer;
}

/** Equal contents, in a time that depends on the lengths only. */
export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && timingSafeEqual(a, b);

/** Overwrites what held a secret. Copies that the runtime or OpenSSL made are out of reach (docs/SECURITY.md). */
export function wipe(...buffers: readonly (Uint8Array | undefined)[]): void {
  for (const buffer of buffers) buffer?.fill(0);
}

/** Smaller memory is not worth the call. */
const RELEASE_FROM = 65_536;

/**
 * Gives large memory back now, which empties every buffer on it: what is left to the collector makes it run every few
 * pages. For whoever knows that nobody else looks at it any more.
 */
export function release(bytes: Uint8Array | undefined): void {
  const memory = bytes?.buffer;
  if (!(memory instanceof ArrayBuffer) || memory.byteLength < RELEASE_FROM || isMarkedAsUntransferable(memory)) return;
  memory.transfer(0);
}

/** The 16 bytes of a UUID's text form. */
export function uuidBytes(uuid: string): Buffer | undefined {
  if (!/^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i.test(uuid)) return undefined;
  return Buffer.from(uuid.replaceAll('-', ''), 'hex');
}
