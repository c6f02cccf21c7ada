// Sealed objects that are too long for memory: the envelope of seal.ts, written and read as a stream. What is opened is
// not to be believed before the stream has ended well: the tag stands at its end.
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { Transform } from 'node:stream';
import { wipe } from '../../base/bytes.ts';
import { fail } from '../../base/errors.ts';
import type { PublicKey, VolumeKey } from '../keys/volume-key.ts';
import { envelopeHeader, envelopeOverhead, NONCE_BYTES, parseEnvelope, TAG_BYTES } from './envelope.ts';
import { type EncryptAlgo, PAGE_KEY_BYTES } from './seal.ts';

const ciphers = { 'aes256gcm-rsa': 'aes-256-gcm', 'chacha20-rsa': 'chacha20-poly1305' } as const;
const options = { authTagLength: TAG_BYTES };
/** AES-GCM's own limit for one message is 64 GiB; nothing sealed here comes near it. */
const MAX_BYTES = 2 ** 36 - 256;

/** Whatever is written comes out as one sealed object. */
export function sealStream(algo: EncryptAlgo, key: PublicKey): Transform {
  const pageKey = randomBytes(PAGE_KEY_BYTES);
  const nonce = randomBytes(NONCE_BYTES);
  // One interface for both kinds; the text of the name is what decides.
  const cipher = createCipheriv(ciphers[algo] as 'aes-256-gcm', pageKey, nonce, options);
  let header: Buffer | undefined = envelopeHeader(key.wrap(pageKey), nonce);
  wipe(pageKey);
  let length = 0;
  const sealing = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      length += chunk.length;
      if (length > MAX_BYTES) return done(fail('unsupported', `seal ${length} bytes as one object: too long`));
      if (header !== undefined) this.push(header);
      header = undefined;
      done(null, cipher.update(chunk));
    },
    flush(done) {
      if (header !== undefined) this.push(header);
      cipher.final();
      done(null, cipher.getAuthTag());
    },
  });
  return sealing;
}

/** Opens a sealed file: pieces of its contents. Rejects page-damaged, at the latest behind the last piece. */
export async function* openSealedFile(
  algo: EncryptAlgo,
  key: VolumeKey,
  file: FileHandle,
  size: number,
): AsyncGenerator<Buffer> {
  const overhead = envelopeOverhead(key.wrappedLength);
  if (size < overhead)
    throw fail('page-damaged', `open a sealed file: wanted at least ${overhead} bytes, found ${size}`);
  const head = Buffer.alloc(overhead);
  await file.read(head, 0, overhead, 0);
  // Header and nonce; what parseEnvelope takes for the tag is not.
  const { wrapped, nonce } = parseEnvelope(head, key.wrappedLength);
  const tag = Buffer.alloc(TAG_BYTES);
  await file.read(tag, 0, TAG_BYTES, size - TAG_BYTES);
  const pageKey = await key.unwrap(wrapped);
  if (pageKey.length !== PAGE_KEY_BYTES)
    throw fail('page-damaged', `open a sealed file: a key of ${pageKey.length} bytes`);
  const decipher = createDecipheriv(ciphers[algo] as 'aes-256-gcm', pageKey, nonce, options);
  wipe(pageKey);
  decipher.setAuthTag(tag);
  const end = size - TAG_BYTES;
  const piece = Buffer.alloc(PIECE);
  for (let at = overhead - TAG_BYTES; at < end; ) {
    const { bytesRead } = await file.read(piece, 0, Math.min(PIECE, end - at), at);
    if (bytesRead === 0) throw fail('page-damaged', 'open a sealed file: it became shorter while it was read');
    at += bytesRead;
    yield decipher.update(piece.subarray(0, bytesRead));
  }
  try {
    decipher.final();
  } catch (thrown) {
    throw fail('page-damaged', 'open a sealed file: its contents do not fit its tag', { cause: thrown });
  }
}

/** Bytes read at once. */
const PIECE = 65_536;
