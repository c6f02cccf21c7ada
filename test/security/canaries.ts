// Secrets of a test run and the search for them, in every form in which a program might leave them somewhere.
import { createPrivateKey } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

interface Needle {
  readonly what: string;
  readonly bytes: Buffer;
}

/** Shorter runs would be found by chance. */
const MIN_NEEDLE = 12;
/** Of a private number, a stretch in its middle: programs drop leading zeros and cut lines. */
const NUMBER_BYTES = 24;

export class Canaries {
  readonly #needles: Needle[] = [];

  /** A secret text: a passphrase, a credential. */
  addText(what: string, text: string): void {
    this.#add(what, Buffer.from(text));
    this.#needle(`${what}, JSON`, Buffer.from(JSON.stringify(text).slice(1, -1)));
    this.#needle(`${what}, twice JSON`, Buffer.from(JSON.stringify(JSON.stringify(text)).slice(1, -1)));
    this.#needle(`${what}, percent`, Buffer.from(encodeURIComponent(text)));
    this.#needle(`${what}, UTF-16`, Buffer.from(text, 'utf16le'));
  }

  /** A PEM file: its lines, and its contents. */
  addPem(what: string, pem: string): void {
    const lines = pem.split('\n').filter((line) => /^[A-Za-z0-9+/=]{20,}$/.test(line));
    for (const [at, line] of lines.entries()) this.#needle(`${what}, line ${at + 1}`, Buffer.from(line));
    const der = Buffer.from(lines.join(''), 'base64');
    for (const at of [40, Math.floor(der.length / 2), der.length - 40])
      this.#add(`${what}, bytes at ${at}`, der.subarray(at, at + NUMBER_BYTES));
    // The text as a whole in base64, as Secrets and JSON carry bytes.
    const middle = lines[Math.floor(lines.length / 2)] ?? '';
    this.#add(`${what}, middle line`, Buffer.from(middle));
  }

  /** The private numbers of a key; its public ones may be anywhere. */
  addPrivateNumbers(what: string, pem: string, passphrase: string): void {
    const jwk = createPrivateKey({ key: pem, passphrase }).export({ format: 'jwk' });
    for (const name of ['d', 'p', 'q', 'dp', 'dq', 'qi'] as const) {
      const number = Buffer.from(String(jwk[name]), 'base64url');
      this.#add(`${what}, ${name}`, number.subarray(32, 32 + NUMBER_BYTES));
    }
  }

  /** What of them the bytes hold. */
  findIn(bytes: Buffer): string[] {
    return this.#needles.filter((needle) => bytes.includes(needle.bytes)).map(({ what }) => what);
  }

  /** `path: what` for every file below a folder, or for a file; mounts are left out by the caller. */
  findBelow(path: string, except: readonly string[] = []): string[] {
    if (except.includes(path)) return [];
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found?.isDirectory())
      return readdirSync(path).flatMap((name) => [
        ...this.findIn(Buffer.from(name)).map((what) => `name of ${join(path, name)}: ${what}`),
        ...this.findBelow(join(path, name), except),
      ]);
    if (!found?.isFile()) return [];
    return this.findIn(contentsOf(path)).map((what) => `${path}: ${what}`);
  }

  #add(what: string, bytes: Buffer): void {
    this.#needle(what, bytes);
    this.#needle(`${what}, hex`, Buffer.from(bytes.toString('hex')));
    this.#needle(`${what}, HEX`, Buffer.from(bytes.toString('hex').toUpperCase()));
    // In base64 the bytes before decide how these are cut: three ways, each without its uncertain ends.
    for (const shift of [0, 1, 2]) {
      const text = Buffer.concat([Buffer.alloc(shift), bytes])
        .toString('base64')
        .replace(/=+$/, '')
        .slice(4, -2);
      this.#needle(`${what}, base64`, Buffer.from(text));
      this.#needle(`${what}, base64url`, Buffer.from(text.replaceAll('+', '-').replaceAll('/', '_')));
    }
  }

  #needle(what: string, bytes: Buffer): void {
    if (bytes.length < MIN_NEEDLE) throw new Error(`${what}: too short to be searched for`);
    if (!this.#needles.some((needle) => needle.bytes.equals(bytes))) this.#needles.push({ what, bytes });
  }
}

/** Of a file that somebody else may take away meanwhile. */
function contentsOf(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0);
    throw error;
  }
}
