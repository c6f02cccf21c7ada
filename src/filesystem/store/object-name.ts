// Which keys a store takes. Keys come from metadata, which others may write: none may lead out of the bucket.
import { fail } from '../../base/errors.ts';

/** S3's limit; far above what the format produces. */
const MAX_KEY_BYTES = 1024;

/** Throws bad-input for a key that is empty, too long, absolute or has empty, '.' or '..' parts. */
export function checkKey(key: string): void {
  const bad =
    key.length === 0 ||
    Buffer.byteLength(key) > MAX_KEY_BYTES ||
    key.includes('\0') ||
    key.split('/').some((part) => part === '' || part === '.' || part === '..');
  if (bad) throw fail('bad-input', `object key ${JSON.stringify(key.slice(0, 100))}: not a key inside the bucket`);
}

export const missing = (key: string, cause?: unknown): Error =>
  fail('object-missing', `object ${key}: not in the store`, { cause });
