// What somebody sees who has the object store and nothing else: names, sizes, bytes.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface StoredObject {
  readonly path: string;
  readonly bytes: number;
}

export function listObjects(bucket: string): StoredObject[] {
  return readdirSync(bucket, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => ({ path, bytes: readFileSync(path).length }));
}

/** Objects that hold any of the texts. */
export function findText(objects: readonly StoredObject[], texts: readonly string[]): string[] {
  return objects
    .filter(({ path }) => {
      const bytes = readFileSync(path);
      return texts.some((text) => bytes.includes(text));
    })
    .map(({ path }) => path);
}

/** Envelope of a page (docs/FORMAT.md): lengths of wrapped key and nonce, then both, then ciphertext. */
export function describeHeader(path: string): string {
  const bytes = readFileSync(path);
  const keyLength = bytes.readUInt16BE(0);
  const nonceLength = bytes.readUInt8(2);
  const hex = (from: number, to: number): string => bytes.subarray(from, to).toString('hex');
  const key = `wrapped key ${hex(3, 11)}... (${keyLength} bytes)`;
  return `${key}, nonce ${hex(3 + keyLength, 3 + keyLength + nonceLength)} (${nonceLength} bytes), ciphertext ${hex(3 + keyLength + nonceLength, 11 + keyLength + nonceLength)}... (${bytes.length - 3 - keyLength - nonceLength} bytes)`;
}
