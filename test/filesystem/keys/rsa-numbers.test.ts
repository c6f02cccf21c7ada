// The numbers of a private key: sound ones fit, and no single one can be wrong unnoticed.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { belongTogether, type RsaNumbers } from '../../../src/filesystem/keys/rsa-numbers.ts';

const names = {
  modulus: 'n',
  publicExponent: 'e',
  privateExponent: 'd',
  prime1: 'p',
  prime2: 'q',
  exponent1: 'dp',
  exponent2: 'dq',
  coefficient: 'qi',
} as const satisfies Record<keyof RsaNumbers, string>;

for (const bits of [1024, 2047, 2048])
  test(`RSA-${bits}`, () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: bits });
    const jwk = privateKey.export({ format: 'jwk' });
    const numbers = Object.fromEntries(
      Object.entries(names).map(([name, short]) => [name, Buffer.from(String(jwk[short]), 'base64url')]),
    ) as unknown as RsaNumbers;
    assert(belongTogether(numbers));
    for (const name of Object.keys(names) as (keyof RsaNumbers)[])
      for (const share of [0, 0.5, 0.999]) {
        const wrong = Buffer.from(numbers[name]);
        const at = Math.floor(share * wrong.length);
        wrong.writeUInt8(wrong.readUInt8(at) ^ 0x04, at);
        assert(!belongTogether({ ...numbers, [name]: wrong }), `${name} at ${at}`);
      }
    const { prime1, prime2, exponent1, exponent2 } = numbers;
    const swapped = { prime1: prime2, prime2: prime1, exponent1: exponent2, exponent2: exponent1 };
    assert(!belongTogether({ ...numbers, ...swapped }), 'primes swapped, coefficient not');
  });
