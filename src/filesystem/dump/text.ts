// How a dump spells things: names, link targets and values as %XX where a byte is no plain text, JSON strings as Go
// writes them. Pure.
import { goString, type Json } from '../meta/setting.ts';

const plainText = /^[!#$&-[\]-~]*$/;
const HEX = '0123456789ABCDEF';
/** U+FFFD itself: the original client takes it for a decoding error and loses two of its bytes, so it is spelled out. */
const REPLACEMENT = 0xfffd;

const escapeByte = (byte: number): string => `%${HEX[byte >> 4]}${HEX[byte & 15]}`;

/** Space and control characters, '%', '"', '\' and what is no UTF-8 as %XX; the rest as it is. */
export function escapeBytes(bytes: Buffer): string {
  const quick = bytes.toString('latin1');
  if (plainText.test(quick)) return quick;
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const byte = bytes[at] ?? 0;
    if (byte < 0x80) {
      text +=
        byte <= 0x20 || byte === 0x25 || byte === 0x22 || byte === 0x5c ? escapeByte(byte) : String.fromCharCode(byte);
      at += 1;
      continue;
    }
    const length = sequenceAt(bytes, at);
    if (length === 0) {
      text += escapeByte(byte);
      at += 1;
      continue;
    }
    const char = bytes.toString('utf8', at, at + length);
    text += char.charCodeAt(0) === REPLACEMENT ? [...bytes.subarray(at, at + length)].map(escapeByte).join('') : char;
    at += length;
  }
  return text;
}

/** Bytes of the well-formed UTF-8 sequence at `at`, or 0: no overlong forms, no surrogates, nothing past U+10FFFF. */
function sequenceAt(bytes: Buffer, at: number): number {
  const [lead = 0, second = 0] = [bytes[at], bytes[at + 1]];
  const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || at + length > bytes.length) return 0;
  for (let i = 1; i < length; i += 1) if (((bytes[at + i] ?? 0) & 0xc0) !== 0x80) return 0;
  const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  return second >= low && second <= high ? length : 0;
}

/** The reverse; a '%' that no two hex digits follow stays one. */
export function unescapeBytes(text: string): Buffer {
  const bytes = Buffer.from(text);
  let to = bytes.indexOf(0x25);
  if (to < 0) return bytes;
  for (let at = to; at < bytes.length; to += 1) {
    const byte = bytes[at] ?? 0;
    const high = byte === 0x25 ? hexDigit(bytes[at + 1]) : -1;
    const low = high < 0 ? -1 : hexDigit(bytes[at + 2]);
    bytes[to] = low < 0 ? byte : high * 16 + low;
    at += low < 0 ? 1 : 3;
  }
  return bytes.subarray(0, to);
}

function hexDigit(code = 0): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** A map where the order of the keys counts: an object puts those that look like numbers first. */
export type Indentable = Json | ReadonlyMap<string, Json>;

/** Indented by two spaces, as Go's MarshalIndent does; `indent` stands before every line but the first. */
export function indented(value: Indentable, indent: string): string {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'string') return goString(value);
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const inner = `${indent}  `;
  const fields = value instanceof Map ? [...(value as ReadonlyMap<string, Json>)] : Object.entries(value);
  const parts = Array.isArray(value)
    ? (value as readonly Json[]).map((each) => inner + indented(each, inner))
    : fields.map(([key, each]) => `${inner}${goString(key)}: ${indented(each, inner)}`);
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  return parts.length === 0 ? `${open}${close}` : `${open}\n${parts.join(',\n')}\n${indent}${close}`;
}
