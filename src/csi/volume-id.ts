// Volume ids and the UUIDs of file systems that CreateVolume makes. Both follow from the request alone, so that a call
// that is repeated after a crash finds what the first one made.
import { createHash } from 'node:crypto';
import { DRIVER_NAME } from '../config/driver.ts';

/** 128 bits of the digest: a second name for the same id will not be found. */
const DIGEST_CHARACTERS = 32;
const ID_RULE = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\/([0-9a-f]{32})$/;

export interface VolumeId {
  readonly uuid: string;
  /** First 32 hexadecimal digits of SHA-256(request name). */
  readonly digest: string;
}

export const digestOfName = (name: string): string =>
  createHash('sha256').update(name).digest('hex').slice(0, DIGEST_CHARACTERS);

/** What takes the placeholder's place in the Secret: the name of the volume's own file system. */
export const fileSystemNameOf = (digest: string): string => `pvc-${digest}`;

export const formatVolumeId = (id: VolumeId): string => `${id.uuid}/${id.digest}`;

/** Undefined for what this driver never gave out. */
export function parseVolumeId(text: string): VolumeId | undefined {
  const match = ID_RULE.exec(text);
  return match?.[1] === undefined || match[2] === undefined ? undefined : { uuid: match[1], digest: match[2] };
}

/** A UUID (version 8, RFC 9562) from everything that tells one file system from another, credentials excepted. */
export function deriveUuid(parts: readonly string[]): string {
  const hash = createHash('sha256').update('pageseal file system');
  // Lengths in front: two lists of parts never run into the same text.
  for (const part of [DRIVER_NAME, ...parts]) hash.update(`\0${Buffer.byteLength(part)}\0${part}`);
  const bytes = hash.digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
