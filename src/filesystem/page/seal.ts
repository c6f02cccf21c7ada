// Seals and opens one object: AEAD under a fresh key S per object, S wrapped with M. Synchronous; whoever calls decides on
// which thread. The same bytes are never sealed twice under one S: every call draws a new key and a new nonce.
import {
  type CipherChaCha20Poly1305,
  type CipherGCM,
  createCipheriv,
  createDecipheriv,
  randomBytes,
} from 'node:crypto';
import { release, wipe } from '../../base/bytes.ts';
import { FsError, fail } from '../../base/errors.ts';
import type { PublicKey, VolumeKey } from '../keys/volume-key.ts';
import { type Compression, compress, decompress } from './compress.ts';
import { type Envelope, envelopeHeader, NONCE_BYTES, parseEnvelope, TAG_BYTES } from './envelope.ts';

export type EncryptAlgo = 'aes256gcm-rsa' | 'chacha20-rsa';

/** The setting's value as the original client reads it. Throws unsupported. */
export function parseEncryptAlgo(setting: string): EncryptAlgo {
  const value = setting.toLowerCase();
  if (value === '' || value === 'aes256gcm-rsa') return 'aes256gcm-rsa';
  if (value === 'chacha20-rsa') return value;
  throw fail('unsupported', `encryption ${JSON.stringify(setting)}: wanted aes256gcm-rsa or chacha20-rsa`);
}

/** Length of S for both algorithms. */
export const PAGE_KEY_BYTES = 32;

export interface Sealed {
  /** The object, to be written one part after the other. */
  readonly parts: readonly Buffer[];
  readonly tag: Buffer;
  /** S; the caller wipes it. */
  readonly pageKey: Buffer;
}

const options = { authTagLength: TAG_BYTES };

/** The two calls look alike but have types of their own. */
const newCipher = (algo: EncryptAlgo, key: Buffer, nonce: Buffer): CipherGCM | CipherChaCha20Poly1305 =>
  algo === 'aes256gcm-rsa'
    ? createCipheriv('aes-256-gcm', key, nonce, options)
    : createCipheriv('chacha20-poly1305', key, nonce, options);

/** Seals bytes as they are. */
export function sealBytes(algo: EncryptAlgo, key: PublicKey, bytes: Buffer): Sealed {
  const random = randomBytes(PAGE_KEY_BYTES + NONCE_BYTES);
  const pageKey = random.subarray(0, PAGE_KEY_BYTES);
  const nonce = random.subarray(PAGE_KEY_BYTES);
  const cipher = newCipher(algo, pageKey, nonce);
  const ciphertext = cipher.update(bytes);
  // Stream ciphers leave nothing for the end.
  cipher.final();
  const tag = cipher.getAuthTag();
  return { parts: [envelopeHeader(key.wrap(pageKey), nonce), ciphertext, tag], tag, pageKey };
}

/** Compresses and seals a page. */
export function sealPage(algo: EncryptAlgo, key: PublicKey, compression: Compression, plain: Buffer): Sealed {
  const packed = compress(compression, plain);
  const sealed = sealBytes(algo, key, packed);
  if (packed !== plain) release(packed);
  return sealed;
}

/** The bytes inside an envelope. Throws page-damaged. */
export function openBytes(algo: EncryptAlgo, envelope: Envelope, pageKey: Buffer): Buffer {
  if (pageKey.length !== PAGE_KEY_BYTES)
    throw fail(
      'page-damaged',
      `open a sealed object: wanted a key of ${PAGE_KEY_BYTES} bytes, found ${pageKey.length}`,
    );
  const decipher =
    algo === 'aes256gcm-rsa'
      ? createDecipheriv('aes-256-gcm', pageKey, envelope.nonce, options)
      : createDecipheriv('chacha20-poly1305', pageKey, envelope.nonce, options);
  decipher.setAuthTag(envelope.tag);
  const bytes = decipher.update(envelope.ciphertext);
  try {
    decipher.final();
  } catch (thrown) {
    throw fail('page-damaged', 'open a sealed object: its contents do not fit its tag', { cause: thrown });
  }
  return bytes;
}

/** Opens and decompresses a page. Throws page-damaged. */
export function openPage(
  algo: EncryptAlgo,
  compression: Compression,
  envelope: Envelope,
  pageKey: Buffer,
  length: number,
): Buffer {
  const packed = openBytes(algo, envelope, pageKey);
  const plain = decompress(compression, packed, length);
  if (plain !== packed) release(packed);
  return plain;
}

/** A sealed object that is no page (juicefs_uuid, testing/...): the envelope without compression. */
export function sealBlob(algo: EncryptAlgo, key: PublicKey, plain: Buffer): Buffer {
  const { parts, pageKey } = sealBytes(algo, key, plain);
  wipe(pageKey);
  return Buffer.concat(parts);
}

/** Rejects page-damaged: not sealed, damaged, or sealed with another key. */
export async function openBlob(algo: EncryptAlgo, key: VolumeKey, object: Buffer): Promise<Buffer> {
  const envelope = parseEnvelope(object, key.wrappedLength);
  const pageKey = await key.unwrap(envelope.wrapped);
  try {
    return openBytes(algo, envelope, pageKey);
  } catch (thrown) {
    throw FsError.from(thrown, 'open a sealed object');
  } finally {
    wipe(pageKey);
  }
}
