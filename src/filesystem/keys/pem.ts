// The outside of a PEM file (RFC 1421, RFC 7468): the first block, its label, headers and bytes. Decrypts nothing.
import { fail } from '../../base/errors.ts';
import { type Element, elementAt, OBJECT_ID, objectId, readElements, SEQUENCE, smallInteger } from './der.ts';

/** An RSA-16384 key is 13 KiB; nothing larger is a key file. */
export const MAX_PEM_BYTES = 64 * 1024;
/** A minute of PBKDF2 on a slow machine; a damaged or hostile file must not hang a worker. */
const MAX_ROUNDS = 50_000_000;
/** scrypt's memory, 128 * N * r: as much as our own slots may take. */
const MAX_SCRYPT_BYTES = 256 * 1024 * 1024;

export type PemKind = 'pkcs1' | 'pkcs8' | 'pkcs8-encrypted' | 'legacy-encrypted' | 'spki' | 'pkcs1-public';

export interface Pem {
  readonly kind: PemKind;
  /** Contents; of a legacy-encrypted file still sealed. */
  readonly der: Buffer;
  /** The block alone, as text for the crypto library. */
  readonly text: Buffer;
}

const kinds: Readonly<Record<string, PemKind>> = {
  'RSA PRIVATE KEY': 'pkcs1',
  'PRIVATE KEY': 'pkcs8',
  'ENCRYPTED PRIVATE KEY': 'pkcs8-encrypted',
  'PUBLIC KEY': 'spki',
  'RSA PUBLIC KEY': 'pkcs1-public',
};

const DES_HINT =
  'single DES is broken and no longer read; convert the key: openssl rsa -provider legacy -provider default ' +
  '-in OLD.pem -aes256 -out NEW.pem';
const CONVERT_HINT = 'convert the key: openssl rsa -provider legacy -provider default -in OLD.pem -aes256 -out NEW.pem';

/** Throws damaged-key when the outside is no PEM key, unsupported when its cipher is not read. */
export function readPem(file: Buffer): Pem {
  if (file.length > MAX_PEM_BYTES)
    throw fail('damaged-key', `read a key: wanted a PEM file of at most ${MAX_PEM_BYTES} bytes, found ${file.length}`);
  // latin1 keeps positions of bytes; the text of a private key stays in this function and is collected with it.
  const text = file.toString('latin1');
  const begin = /^-----BEGIN ([A-Z0-9 ]{1,40})-----[ \t]*\r?$/m.exec(text);
  if (begin === null) throw fail('damaged-key', 'read a key: no PEM block found (a line "-----BEGIN ...-----")');
  const label = begin[1] ?? '';
  const end = text.indexOf(`-----END ${label}-----`, begin.index);
  if (end < 0) throw fail('damaged-key', `read a key: PEM block ${label} has no end (is the file cut off?)`);
  const kind = kinds[label];
  if (kind === undefined) throw fail('damaged-key', `read a key: wanted an RSA key in PEM form, found ${label}`);
  const inner = text.slice(begin.index + begin[0].length, end);
  const { headers, body } = splitHeaders(inner);
  if (!/^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(body))
    throw fail('damaged-key', `read a key: PEM block ${label} is not base64`);
  const der = Buffer.from(body, 'base64');
  if (der.length === 0) throw fail('damaged-key', `read a key: PEM block ${label} is empty`);
  const block = file.subarray(begin.index, end + `-----END ${label}-----`.length);
  if (kind === 'pkcs1' && /^Proc-Type: *4, *ENCRYPTED/im.test(headers)) {
    checkLegacyCipher(headers);
    return { kind: 'legacy-encrypted', der, text: block };
  }
  checkOutside(kind, label, der);
  return { kind, der, text: block };
}

/** RFC 1421 headers end at an empty line; files without headers have none. */
function splitHeaders(inner: string): { headers: string; body: string } {
  const match = /^\s*((?:[A-Za-z-]+: .*\r?\n)+)[ \t]*\r?\n/.exec(inner);
  if (match === null) return { headers: '', body: inner };
  return { headers: match[1] ?? '', body: inner.slice(match[0].length) };
}

function checkLegacyCipher(headers: string): void {
  const cipher = /^DEK-Info: *([A-Za-z0-9-]+),[0-9A-Fa-f]+\s*$/m.exec(headers)?.[1]?.toUpperCase();
  if (cipher === undefined) throw fail('damaged-key', 'read a key: encrypted PEM without a DEK-Info line');
  if (cipher === 'DES-CBC') throw fail('unsupported', 'read a key: sealed with single DES', { hint: DES_HINT });
  if (!/^(?:AES-(?:128|192|256)-CBC|DES-EDE3-CBC)$/.test(cipher))
    throw fail('unsupported', `read a key: sealed with ${cipher}`, { hint: CONVERT_HINT });
}

function checkOutside(kind: PemKind, label: string, der: Buffer): void {
  try {
    const outer = elementAt(der);
    if (outer.tag !== SEQUENCE) throw new RangeError('wanted a sequence');
    if (kind === 'pkcs8-encrypted') checkEncryption(outer.contents);
  } catch (thrown) {
    if (!(thrown instanceof RangeError)) throw thrown;
    throw fail('damaged-key', `read a key: contents of PEM block ${label} are no key`, { cause: thrown });
  }
}

const PBES2 = '1.2.840.113549.1.5.13';
const PBKDF2 = '1.2.840.113549.1.5.12';
const SCRYPT = '1.3.6.1.4.1.11591.4.11';
/** PBES2 ciphers: AES-128, -192, -256 in CBC, and triple DES. */
const ciphers: ReadonlySet<string> = new Set([
  '2.16.840.1.101.3.4.1.2',
  '2.16.840.1.101.3.4.1.22',
  '2.16.840.1.101.3.4.1.42',
  '1.2.840.113549.3.7',
]);
const DES_CBC = '1.3.14.3.2.7';
/** PBES1 with triple DES; the ones with single DES (MD2, MD5 and SHA-1). */
const tripleDesSchemes: ReadonlySet<string> = new Set(['1.2.840.113549.1.12.1.3', '1.2.840.113549.1.12.1.4']);
const desSchemes: ReadonlySet<string> = new Set([
  '1.2.840.113549.1.5.1',
  '1.2.840.113549.1.5.3',
  '1.2.840.113549.1.5.10',
]);

/** EncryptedPrivateKeyInfo (RFC 5208): which scheme, and whether its cost is one we can pay. */
function checkEncryption(contents: Buffer): void {
  const [algorithm] = readElements(contents);
  const [scheme, parameters] = readElements(algorithm?.contents ?? Buffer.alloc(0));
  if (scheme === undefined || parameters === undefined) throw new RangeError('no encryption scheme');
  const id = objectId(scheme);
  if (desSchemes.has(id)) throw fail('unsupported', 'read a key: sealed with single DES', { hint: DES_HINT });
  if (tripleDesSchemes.has(id)) {
    checkRounds(smallInteger(childAt(parameters.contents, 1)));
    return;
  }
  if (id !== PBES2) throw fail('unsupported', `read a key: sealed with scheme ${id}`, { hint: CONVERT_HINT });
  const kdf = readElements(childAt(parameters.contents, 0).contents);
  const cipher = objectId(childAt(childAt(parameters.contents, 1).contents, 0));
  if (cipher === DES_CBC) throw fail('unsupported', 'read a key: sealed with single DES', { hint: DES_HINT });
  if (!ciphers.has(cipher))
    throw fail('unsupported', `read a key: sealed with cipher ${cipher}`, { hint: CONVERT_HINT });
  checkDerivation(kdf);
}

function checkDerivation([name, settings]: readonly Element[]): void {
  if (name?.tag !== OBJECT_ID || settings === undefined) throw new RangeError('no key derivation');
  const derivation = objectId(name);
  if (derivation === PBKDF2) {
    checkRounds(smallInteger(childAt(settings.contents, 1)));
    return;
  }
  if (derivation !== SCRYPT)
    throw fail('unsupported', `read a key: sealed with key derivation ${derivation}`, { hint: CONVERT_HINT });
  const [n, r, p] = [1, 2, 3].map((index) => smallInteger(childAt(settings.contents, index)));
  const cost = 128 * (n ?? 0) * (r ?? 0);
  if (cost > MAX_SCRYPT_BYTES || cost * (p ?? 0) > 16 * MAX_SCRYPT_BYTES)
    throw fail('unsupported', `read a key: scrypt over ${MAX_SCRYPT_BYTES} bytes`, { hint: CONVERT_HINT });
}

function childAt(contents: Buffer, index: number): Element {
  const child = readElements(contents)[index];
  if (child === undefined) throw new RangeError('missing DER element');
  return child;
}

function checkRounds(rounds: number): void {
  if (rounds > MAX_ROUNDS)
    throw fail('unsupported', `read a key: sealed with over ${MAX_ROUNDS} rounds`, { hint: CONVERT_HINT });
}
