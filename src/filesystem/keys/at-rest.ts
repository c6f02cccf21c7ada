// Secrets inside the setting record, as the original client keeps them (docs/FORMAT.md, secrets at rest): AES-128-GCM
// under the MD5 of the UUID's text. Anyone who reads the record can undo it; it only keeps secrets from a glance.
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { fail } from '../../base/errors.ts';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** What a dump without secrets leaves in their place. */
export const REMOVED = 'removed';

const keyOf = (uuid: string): Buffer => createHash('md5').update(uuid, 'utf8').digest();

/** base64(nonce, ciphertext, tag) of a secret; `nonce` is given by tests only. */
export function sealAtRest(uuid: string, secret: Buffer, nonce: Buffer = randomBytes(NONCE_BYTES)): string {
  const cipher = createCipheriv('aes-128-gcm', keyOf(uuid), nonce, { authTagLength: TAG_BYTES });
  return Buffer.concat([nonce, cipher.update(secret), cipher.final(), cipher.getAuthTag()]).toString('base64');
}

/** Throws metadata-damaged, and failed-precondition for a secret that a dump left out. */
export function openAtRest(uuid: string, text: string): Buffer {
  if (text === REMOVED)
    throw fail(
      'failed-precondition',
      'open a secret of the setting record: it was left out of a dump and must be set',
      {
        hint: 'pageseal config --secret-key sets it',
      },
    );
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length < NONCE_BYTES + TAG_BYTES)
    throw fail('metadata-damaged', `open a secret of the setting record: ${bytes.length} bytes are too few`);
  const nonce = bytes.subarray(0, NONCE_BYTES);
  const decipher = createDecipheriv('aes-128-gcm', keyOf(uuid), nonce, { authTagLength: TAG_BYTES });
  decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES));
  try {
    return Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, bytes.length - TAG_BYTES)), decipher.final()]);
  } catch (thrown) {
    throw fail('metadata-damaged', 'open a secret of the setting record: damaged, or of another UUID', {
      cause: thrown,
    });
  }
}
