// Reads DER (ITU-T X.690) as far as key files need it: tag, length, contents; definite lengths only. Throws RangeError
// on anything else; the caller knows what that means.

export interface Element {
  readonly tag: number;
  readonly contents: Buffer;
  /** Bytes of tag, length and contents. */
  readonly length: number;
}

export const SEQUENCE = 0x30;
export const INTEGER = 0x02;
export const OBJECT_ID = 0x06;
export const OCTET_STRING = 0x04;

/** The element at the start of `der`. */
export function readElement(der: Buffer): Element {
  const tag = der.readUInt8(0);
  const first = der.readUInt8(1);
  let header = 2;
  let size = first;
  if (first >= 0x80) {
    const count = first & 0x7f;
    // Key files are kilobytes; four bytes of length are plenty, and 0 would be an indefinite length.
    if (count < 1 || count > 4) throw new RangeError('length of a DER element');
    size = der.readUIntBE(2, count);
    header += count;
  }
  if (header + size > der.length) throw new RangeError('DER element longer than its surroundings');
  return { tag, contents: der.subarray(header, header + size), length: header + size };
}

/** The elements inside a constructed one, or inside the whole of `der`. */
export function readElements(contents: Buffer): Element[] {
  const found: Element[] = [];
  for (let rest = contents; rest.length > 0; ) {
    const element = readElement(rest);
    found.push(element);
    rest = rest.subarray(element.length);
  }
  return found;
}

/** The element at `path`: indexes of children, from the outermost element inwards. */
export function elementAt(der: Buffer, ...path: readonly number[]): Element {
  let element = readElement(der);
  for (const index of path) {
    const child = readElements(element.contents)[index];
    if (child === undefined) throw new RangeError('missing DER element');
    element = child;
  }
  return element;
}

/** Dotted form of an object id ("1.2.840.113549.1.1.1"). */
export function objectId(element: Element): string {
  if (element.tag !== OBJECT_ID) throw new RangeError('wanted an object id');
  const arcs: number[] = [];
  let value = 0;
  for (const byte of element.contents) {
    if (value > 0xff_ffff) throw new RangeError('object id with an enormous arc');
    value = value * 128 + (byte & 0x7f);
    if (byte >= 0x80) continue;
    // The first two arcs share a byte.
    if (arcs.length === 0)
      arcs.push(Math.min(2, Math.floor(value / 40)), value - 40 * Math.min(2, Math.floor(value / 40)));
    else arcs.push(value);
    value = 0;
  }
  return arcs.join('.');
}

/** A small non-negative integer; anything larger than 2^48 is Infinity (it only meets upper limits). */
export function smallInteger(element: Element): number {
  if (element.tag !== INTEGER || element.contents.length === 0) throw new RangeError('wanted an integer');
  const bytes = element.contents;
  if (bytes.readUInt8(0) >= 0x80) throw new RangeError('wanted a positive integer');
  return bytes.length > 6 ? Number.POSITIVE_INFINITY : bytes.readUIntBE(0, bytes.length);
}

/** The magnitude of a non-negative integer, without leading zero bytes: a view of the element's own memory. */
export function magnitude(element: Element): Buffer {
  if (element.tag !== INTEGER) throw new RangeError('wanted an integer');
  let start = 0;
  while (start < element.contents.length && element.contents[start] === 0) start++;
  return element.contents.subarray(start);
}
