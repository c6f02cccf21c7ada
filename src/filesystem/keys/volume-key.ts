// The RSA key M of a file system. Its private half never leaves this file except through exportDer (the state memfd of a
// mount); printed in any way, a key shows its id only.
import {
  constants,
  createHash,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
  webcrypto,
} from 'node:crypto';
import { inspect } from 'node:util';
import { sameBytes, wipe } from '../../base/bytes.ts';
import { FsError, fail } from '../../base/errors.ts';
import { elementAt, magnitude, readElements } from './der.ts';
import { belongTogether, type RsaNumbers } from './rsa-numbers.ts';

/** The original client refuses 512-bit keys and takes 1024-bit ones, so such volumes exist. */
const MIN_BITS_TO_OPEN = 1024;
/** Below this a key is within reach of a state; no new volume gets one. */
export const MIN_BITS_FOR_NEW = 2048;
/** OpenSSL's own limit for public keys. */
const MAX_BITS = 16384;
/** The format's label for OAEP (docs/FORMAT.md, envelope). */
export const OAEP_LABEL = Buffer.from('keys');

/** The public half: wraps page keys and names the file system's key. Enough to format, not to read. */
export class PublicKey {
  /** SHA-256 of the SPKI in hex: what messages, logs and the key check show. */
  readonly id: string;
  /** SubjectPublicKeyInfo in DER. */
  readonly spki: Buffer;
  readonly bits: number;
  readonly #key: KeyObject;

  constructor(key: KeyObject) {
    const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
    if (key.asymmetricKeyType !== 'rsa')
      throw fail('damaged-key', `read a key: wanted an RSA key, found ${key.asymmetricKeyType}`);
    if (bits < MIN_BITS_TO_OPEN || bits > MAX_BITS)
      throw fail('damaged-key', `read a key: wanted RSA of ${MIN_BITS_TO_OPEN} to ${MAX_BITS} bits, found ${bits}`);
    this.#key = key;
    this.bits = bits;
    this.spki = key.export({ type: 'spki', format: 'der' });
    this.id = createHash('sha256').update(this.spki).digest('hex');
  }

  static fromSpki(der: Buffer): PublicKey {
    return new PublicKey(createPublicKey({ key: der, format: 'der', type: 'spki' }));
  }

  /** Bytes of a wrapped key. */
  get wrappedLength(): number {
    return Math.ceil(this.bits / 8);
  }

  /** What the metadata keeps to recognise the key: SHA-256 of the SPKI. */
  get check(): Buffer {
    return Buffer.from(this.id, 'hex');
  }

  /** Wraps a page key. Fast (0.1 ms at most for 4096 bits), so fit for the event loop. */
  wrap(pageKey: Buffer): Buffer {
    return publicEncrypt(
      { key: this.#key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256', oaepLabel: OAEP_LABEL },
      pageKey,
    );
  }

  /** Throws refused when the key is too short for a new volume. */
  assertFitForNewVolume(): void {
    if (this.bits < MIN_BITS_FOR_NEW)
      throw fail('refused', `use key ${this}: wanted RSA of at least ${MIN_BITS_FOR_NEW} bits, found ${this.bits}`, {
        hint: 'make a longer key: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:4096 -aes256 -out key.pem',
      });
  }

  toString(): string {
    return this.id.slice(0, 16);
  }

  toJSON(): string {
    return this.toString();
  }

  [inspect.custom](): string {
    return `${this.constructor.name}(${this})`;
  }
}

/** M with its private half. */
export class VolumeKey extends PublicKey {
  #private: KeyObject | undefined;
  #unwrapping: webcrypto.CryptoKey | undefined;

  constructor(key: KeyObject) {
    super(createPublicKey(key));
    this.#private = key;
    this.#assertWhole(key);
  }

  /** PKCS#8 in clear, as exportDer made it. `der` stays the caller's to wipe. */
  static fromDer(der: Buffer): VolumeKey {
    try {
      return new VolumeKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
    } catch (thrown) {
      if (thrown instanceof FsError) throw thrown;
      throw fail('damaged-key', 'read an unlocked key: not a PKCS#8 private key', { cause: safeCause(thrown) });
    }
  }

  /**
   * Recovers a page key. A private operation takes milliseconds, so it goes through WebCrypto, which runs it on
   * libuv's threads. Rejects page-damaged.
   */
  async unwrap(wrapped: Buffer): Promise<Buffer> {
    const key = this.#open();
    this.#unwrapping ??= key.toCryptoKey({ name: 'RSA-OAEP', hash: 'SHA-256' }, false, ['decrypt']);
    try {
      const label = new Uint8Array(OAEP_LABEL);
      const opened = await webcrypto.subtle.decrypt(
        { name: 'RSA-OAEP', label },
        this.#unwrapping,
        new Uint8Array(wrapped),
      );
      return Buffer.from(opened);
    } catch (thrown) {
      throw fail('page-damaged', `unwrap a page key with key ${this}: not wrapped with this key, or damaged`, {
        cause: thrown,
      });
    }
  }

  /** The larger prime, big-endian, half as long as the modulus: what the ledger's root is derived from. */
  ledgerSecret(): Buffer {
    return withNumbers(this.#open(), ({ prime1, prime2 }) => {
      const longer =
        prime1.length === prime2.length ? Buffer.compare(prime1, prime2) >= 0 : prime1.length > prime2.length;
      const prime = longer ? prime1 : prime2;
      const secret = Buffer.alloc(Math.ceil(this.wrappedLength / 2));
      if (prime.length > secret.length)
        throw fail('unsupported', `use key ${this}: its primes differ too much in length`);
      prime.copy(secret, secret.length - prime.length);
      return secret;
    });
  }

  /**
   * A file damaged inside still parses, and OpenSSL silently goes around a wrong prime. A ledger made with it would open
   * for nobody else, so the numbers must fit and the key must undo its own wrapping. Milliseconds, once, before anything
   * is served.
   */
  #assertWhole(key: KeyObject): void {
    const probe = randomBytes(16);
    let same = false;
    try {
      const padding = constants.RSA_PKCS1_OAEP_PADDING;
      const opened = privateDecrypt({ key, padding, oaepHash: 'sha256', oaepLabel: OAEP_LABEL }, this.wrap(probe));
      same = sameBytes(opened, probe);
      same &&= withNumbers(key, belongTogether);
    } catch {
      same = false;
    }
    if (!same) throw fail('damaged-key', `use key ${this}: its numbers do not fit together`);
  }

  /** PKCS#8 DER in clear, for the sealed part of a mount's state memfd only. The caller wipes it. */
  exportDer(): Buffer {
    return this.#open().export({ type: 'pkcs8', format: 'der' });
  }

  /** Drops the private half. OpenSSL clears its memory when the runtime collects the object, which we cannot hasten. */
  wipe(): void {
    this.#private = undefined;
    this.#unwrapping = undefined;
  }

  #open(): KeyObject {
    if (this.#private === undefined) throw fail('internal', `use key ${this}: wiped before`);
    return this.#private;
  }
}

/** RSAPrivateKey (RFC 8017): version, modulus, exponents, prime1, prime2, ... The views end with the call. */
function withNumbers<T>(key: KeyObject, use: (numbers: RsaNumbers) => T): T {
  const der = key.export({ type: 'pkcs1', format: 'der' });
  try {
    const elements = readElements(elementAt(der).contents);
    const number = (at: number): Buffer => {
      const element = elements[at];
      if (element === undefined) throw new RangeError('not an RSA key');
      return magnitude(element);
    };
    return use({
      modulus: number(1),
      publicExponent: number(2),
      privateExponent: number(3),
      prime1: number(4),
      prime2: number(5),
      exponent1: number(6),
      exponent2: number(7),
      coefficient: number(8),
    });
  } finally {
    wipe(der);
  }
}

/** OpenSSL's errors hold no input, but they are not ours: only the code goes along. */
export const safeCause = (thrown: unknown): Error =>
  new Error(String((thrown as { code?: unknown }).code ?? 'unknown'));
