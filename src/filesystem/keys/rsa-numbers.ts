// Whether the numbers of a private RSA key belong together. OpenSSL goes around a wrong one in silence, so a damaged file
// would be used until the day on which somebody needs the number that is wrong. Buffers only, wiped here: a bigint of a
// prime could not be.
import { sameBytes, wipe } from '../../base/bytes.ts';

/** RSAPrivateKey (RFC 8017), big-endian without leading zeros. */
export interface RsaNumbers {
  readonly modulus: Buffer;
  readonly publicExponent: Buffer;
  readonly privateExponent: Buffer;
  readonly prime1: Buffer;
  readonly prime2: Buffer;
  readonly exponent1: Buffer;
  readonly exponent2: Buffer;
  readonly coefficient: Buffer;
}

/** Milliseconds for keys of usual size. */
export function belongTogether(numbers: RsaNumbers): boolean {
  const { modulus, publicExponent, privateExponent, prime1, prime2, exponent1, exponent2, coefficient } = numbers;
  return (
    isProduct(prime1, prime2, modulus) &&
    isExponent(exponent1, prime1, privateExponent, publicExponent) &&
    isExponent(exponent2, prime2, privateExponent, publicExponent) &&
    isInverse(coefficient, prime2, prime1)
  );
}

function isProduct(a: Buffer, b: Buffer, wanted: Buffer): boolean {
  const found = product(a, b);
  const same = sameBytes(trimmed(found), wanted);
  wipe(found);
  return same;
}

/** exponent = d mod (prime - 1), and the inverse of e there. */
function isExponent(exponent: Buffer, prime: Buffer, d: Buffer, e: Buffer): boolean {
  const order = Buffer.from(prime);
  order.writeUInt8(order.readUInt8(order.length - 1) & 0xfe, order.length - 1); // primes are odd
  const found = remainder(d, order);
  const same = sameBytes(trimmed(found), exponent) && isInverse(exponent, e, order);
  wipe(order, found);
  return same;
}

/** a * b = 1 mod m. */
function isInverse(a: Buffer, b: Buffer, m: Buffer): boolean {
  const both = product(a, b);
  const found = remainder(both, m);
  const one = found.readUInt8(found.length - 1) === 1 && found.subarray(0, -1).every((byte) => byte === 0);
  wipe(both, found);
  return one;
}

/** Schoolbook; sums of at most 2048 products of two bytes stay below 2^32. */
function product(a: Buffer, b: Buffer): Buffer {
  const sums = new Uint32Array(a.length + b.length);
  for (let i = 0; i < a.length; i++)
    for (let j = 0; j < b.length; j++) sums[i + j + 1] = (sums[i + j + 1] ?? 0) + (a[i] ?? 0) * (b[j] ?? 0);
  const result = Buffer.alloc(sums.length);
  let carry = 0;
  for (let i = sums.length - 1; i >= 0; i--) {
    carry += sums[i] ?? 0;
    result[i] = carry & 0xff;
    carry = Math.floor(carry / 256);
  }
  sums.fill(0);
  return result;
}

/** `a` mod `m`, bit by bit, as long as `m` and one byte more, which is room to shift. */
function remainder(a: Buffer, m: Buffer): Buffer {
  const modulus = Buffer.concat([Buffer.alloc(1), m]);
  const rest = Buffer.alloc(modulus.length);
  for (const byte of a)
    for (let bit = 7; bit >= 0; bit--) {
      let carry = (byte >> bit) & 1;
      for (let i = rest.length - 1; i >= 0; i--) {
        const doubled = ((rest[i] ?? 0) << 1) | carry;
        rest[i] = doubled & 0xff;
        carry = doubled >> 8;
      }
      if (Buffer.compare(rest, modulus) >= 0) subtract(rest, modulus);
    }
  wipe(modulus);
  return rest;
}

function subtract(from: Buffer, what: Buffer): void {
  let borrow = 0;
  for (let i = from.length - 1; i >= 0; i--) {
    const difference = (from[i] ?? 0) - (what[i] ?? 0) - borrow;
    from[i] = difference & 0xff;
    borrow = difference < 0 ? 1 : 0;
  }
}

function trimmed(bytes: Buffer): Buffer {
  let zeros = 0;
  while (zeros < bytes.length && bytes[zeros] === 0) zeros++;
  return bytes.subarray(zeros);
}
