// Reads a JSON text of any length piece by piece: objects and arrays are walked by whoever knows what is in them, single
// values come whole, within a bound. Strict about commas, colons and brackets; says where it stopped.
import { isUtf8 } from 'node:buffer';
import { type FsError, fail } from '../../base/errors.ts';
import { exactIntegers, type Json } from '../meta/setting.ts';

/** Of one value that comes whole: a record, an attribute, the records of a chunk. Real ones are below 1 MiB. */
const MAX_VALUE = 16 * 1024 * 1024;
/** Of brackets inside such a value; real ones have 3. */
const MAX_DEPTH = 64;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN: ReadonlySet<number> = new Set([0x7b, 0x5b]);
const CLOSE: ReadonlySet<number> = new Set([0x7d, 0x5d]);
const isSpace = (byte: number): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;

export class JsonReader {
  readonly #source: AsyncIterator<Buffer>;
  #window: Buffer = Buffer.alloc(0);
  /** Where the window lies when it was put together from pieces, and how much of it is used. */
  #room: Buffer = Buffer.allocUnsafeSlow(0);
  #roomUsed = 0;
  #at = 0;
  /** Bytes before the window. */
  #before = 0;

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** For messages. */
  get position(): number {
    return this.#before + this.#at;
  }

  fail(what: string, cause?: unknown): FsError {
    return fail('bad-input', `read the dump: ${what} at byte ${this.position}`, { cause }) as FsError;
  }

  /** Goes past one of `{ } [ ] : ,` */
  async expect(char: string): Promise<void> {
    const byte = await this.#peek();
    if (byte !== char.charCodeAt(0)) throw this.fail(`wanted ${char}, found ${shown(byte)}`);
    this.#at += 1;
  }

  /** The next key of an object, its colon included; undefined at the object's end, which it goes past. */
  async key(first: boolean): Promise<string | undefined> {
    if (!(await this.#next(first, '}'))) return undefined;
    if ((await this.#peek()) !== QUOTE) throw this.fail('wanted a name in quotes');
    const name = await this.value();
    await this.expect(':');
    return String(name);
  }

  /** Whether there is another element of an array; goes past its end. */
  element(first: boolean): Promise<boolean> {
    return this.#next(first, ']');
  }

  async #next(first: boolean, close: string): Promise<boolean> {
    const byte = await this.#peek();
    if (byte === close.charCodeAt(0)) {
      this.#at += 1;
      return false;
    }
    if (first) return true;
    if (byte !== COMMA) throw this.fail(`wanted , or ${close}, found ${shown(byte)}`);
    this.#at += 1;
    return true;
  }

  /** Whether a null stands there; goes past it. Go writes an empty list so. */
  async isNull(): Promise<boolean> {
    if ((await this.#peek()) !== 'n'.charCodeAt(0)) return false;
    if ((await this.value()) === null) return true;
    throw this.fail('what stands there is no JSON');
  }

  /** Nothing but white space is left. */
  async end(): Promise<void> {
    const byte = await this.#peek();
    if (byte >= 0) throw this.fail(`wanted the end, found ${shown(byte)}`);
  }

  /** Ends the source early. */
  async close(): Promise<void> {
    await this.#source.return?.();
  }

  async value(): Promise<Json> {
    const text = await this.text();
    try {
      // Integers beyond 2^53 have 16 digits or more; looking at each value again is slow.
      return JSON.parse(text, /\d{16}/.test(text) ? (exactIntegers as Reviver) : undefined) as Json;
    } catch (thrown) {
      throw this.fail('what stands there is no JSON', thrown);
    }
  }

  /** The next value as it stands. */
  async text(): Promise<string> {
    const first = await this.#peek();
    if (first < 0 || first === COMMA || CLOSE.has(first)) throw this.fail(`wanted a value, found ${shown(first)}`);
    const scan = new ValueScan();
    while (!scan.feed(this.#window, this.#at)) {
      if (scan.length > MAX_VALUE) throw this.fail(`a value of more than ${MAX_VALUE} bytes`);
      if (scan.depth > MAX_DEPTH) throw this.fail(`brackets nested more than ${MAX_DEPTH} deep`);
      if (await this.#more()) continue;
      if (scan.isScalar) break;
      throw this.fail('the text ends in the middle');
    }
    if (scan.depth > MAX_DEPTH) throw this.fail(`brackets nested more than ${MAX_DEPTH} deep`);
    const bytes = this.#window.subarray(this.#at, this.#at + scan.length);
    if (!isUtf8(bytes)) throw this.fail('bytes that are no UTF-8');
    this.#at += scan.length;
    return bytes.toString();
  }

  /** The next byte that is no white space, not taken; -1 at the end. */
  async #peek(): Promise<number> {
    for (;;) {
      for (; this.#at < this.#window.length; this.#at += 1) {
        const byte = this.#window[this.#at] ?? 0;
        if (!isSpace(byte)) return byte;
      }
      if (!(await this.#more())) return -1;
    }
  }

  /** Adds the next piece to what has not been taken. */
  async #more(): Promise<boolean> {
    const { done, value } = await this.#source.next();
    if (done === true) return false;
    const left = this.#window.length - this.#at;
    this.#before += this.#at;
    if (left === 0) this.#window = value;
    else {
      // Room is doubled when it ends, so that a long value in small pieces is not copied once per piece.
      const end = this.#roomUsed + value.length;
      if (this.#window.buffer !== this.#room.buffer || end > this.#room.length) {
        const grown = Buffer.allocUnsafeSlow(2 * (left + value.length));
        this.#window.copy(grown, 0, this.#at);
        this.#room = grown;
        this.#roomUsed = left;
      }
      value.copy(this.#room, this.#roomUsed);
      this.#roomUsed += value.length;
      this.#window = this.#room.subarray(this.#roomUsed - left - value.length, this.#roomUsed);
    }
    this.#at = 0;
    return true;
  }
}

type Reviver = (key: string, value: unknown) => unknown;

const shown = (byte: number): string => (byte < 0 ? 'the end of the text' : JSON.stringify(String.fromCharCode(byte)));

/** Finds the end of a value, however it is cut into pieces; whether it is JSON is seen afterwards. */
class ValueScan {
  length = 0;
  /** The deepest so far. */
  depth = 0;
  #open = 0;
  #inText = false;
  #escaped = false;
  /** A number or a word: it ends where something else begins. */
  isScalar = true;

  /** The value begins at `start` of the window; true when it ends in there. */
  feed(window: Buffer, start: number): boolean {
    for (let at = start + this.length; at < window.length; at += 1) {
      const byte = window[at] ?? 0;
      if (this.#inText) {
        if (this.#escaped) this.#escaped = false;
        else if (byte === BACKSLASH) this.#escaped = true;
        else if (byte === QUOTE) this.#inText = false;
        if (this.#inText || this.#open > 0) continue;
        return this.#ends(at + 1 - start);
      }
      if (this.#open === 0 && this.isScalar && at > start && endsScalar(byte)) return this.#ends(at - start);
      if (byte === QUOTE) {
        this.isScalar = false;
        this.#inText = true;
      } else if (OPEN.has(byte)) {
        this.isScalar = false;
        this.#open += 1;
        this.depth = Math.max(this.depth, this.#open);
      } else if (CLOSE.has(byte)) {
        this.#open -= 1;
        if (this.#open <= 0) return this.#ends(at + 1 - start);
      }
    }
    this.length = window.length - start;
    return false;
  }

  #ends(length: number): true {
    this.length = length;
    return true;
  }
}

const endsScalar = (byte: number): boolean => byte === COMMA || CLOSE.has(byte) || isSpace(byte);
