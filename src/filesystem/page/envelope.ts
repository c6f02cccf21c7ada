// The layout of a sealed object: K(2) N(1) wrapped key(K) nonce(N) ciphertext tag(16). Knows lengths, decrypts nothing.
import { fail } from '../../base/errors.ts';

/** All ciphers of the format have 96-bit nonces and 128-bit tags. */
export const NONCE_BYTES = 12;
export const TAG_BYTES = 16;
const LENGTHS_BYTES = 3;

export interface Envelope {
  readonly wrapped: Buffer;
  readonly nonce: Buffer;
  readonly ciphertext: Buffer;
  readonly tag: Buffer;
}

/** Bytes that sealing adds. */
export const envelopeOverhead = (wrappedLength: number): number =>
  LENGTHS_BYTES + wrappedLength + NONCE_BYTES + TAG_BYTES;

/** What stands before the ciphertext. */
export function envelopeHeader(wrapped: Buffer, nonce: Buffer): Buffer {
  const header = Buffer.allocUnsafeSlow(LENGTHS_BYTES + wrapped.length + nonce.length);
  header.writeUInt16BE(wrapped.length);
  header.writeUInt8(nonce.length, 2);
  wrapped.copy(header, LENGTHS_BYTES);
  nonce.copy(header, LENGTHS_BYTES + wrapped.length);
  return header;
}

/** Views into `object`. Throws page-damaged when it cannot be what a client with such a key wrote. */
export function parseEnvelope(object: Buffer, wrappedLength: number): Envelope {
  const shortest = envelopeOverhead(wrappedLength);
  if (object.length < shortest)
    throw fail('page-damaged', `parse a sealed object: wanted at least ${shortest} bytes, found ${object.length}`);
  const k = object.readUInt16BE(0);
  const n = object.readUInt8(2);
  if (k !== wrappedLength || n !== NONCE_BYTES)
    throw fail(
      'page-damaged',
      `parse a sealed object: wanted a wrapped key of ${wrappedLength} bytes and a nonce of ${NONCE_BYTES}, found ${k} and ${n}`,
    );
  const body = LENGTHS_BYTES + k + n;
  return {
    wrapped: object.subarray(LENGTHS_BYTES, LENGTHS_BYTES + k),
    nonce: object.subarray(LENGTHS_BYTES + k, body),
    ciphertext: object.subarray(body, object.length - TAG_BYTES),
    tag: object.subarray(object.length - TAG_BYTES),
  };
}
