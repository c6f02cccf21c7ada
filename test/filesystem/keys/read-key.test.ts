// Key files of every kind, and what reading each ends in; no way of printing a key shows it.
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import { FsError } from '../../../src/base/errors.ts';
import { isPublicPem, isSealedPem, readPrivateKey, readPublicKey } from '../../../src/filesystem/keys/read-key.ts';

interface Case {
  readonly name: string;
  /** A failure's code, 'ok', or 'ok-short' for a key that opens but is too short for a new volume. */
  readonly expect: string;
  readonly passphrase: string;
  readonly pem: string;
}

const vectors = JSON.parse(readFileSync(new URL('../../vectors/keys.json', import.meta.url), 'utf8')) as {
  readonly keyId: string;
  readonly cases: readonly Case[];
};
const pemOf = (name: string): Buffer => {
  const found = vectors.cases.find((each) => each.name === name);
  assert.ok(found, name);
  return Buffer.from(found.pem, 'base64');
};
const PASSPHRASE = Buffer.from('a pass$"word');

describe('key vectors', () => {
  for (const { name, expect, passphrase, pem } of vectors.cases) {
    test(`${name}: ${expect}`, () => {
      const read = () => readPrivateKey(Buffer.from(pem, 'base64'), Buffer.from(passphrase));
      if (expect === 'ok') {
        const key = read();
        assert.equal(key.id, vectors.keyId);
        key.assertFitForNewVolume();
      } else if (expect === 'ok-short') {
        assert.throws(() => read().assertFitForNewVolume(), { code: 'refused' });
      } else {
        assert.throws(read, (thrown: unknown) => {
          assert.ok(thrown instanceof FsError);
          assert.equal(thrown.code, expect, inspect(thrown));
          assert.equal(inspect(thrown).includes('a pass$'), false, 'no passphrase in errors');
          if (expect === 'unsupported') assert.match(thrown.hint ?? '', /^.*openssl rsa .*-aes256/);
          return true;
        });
      }
    });
  }
});

test('a wrong passphrase is that, whatever the padding makes of it', () => {
  for (const name of ['legacy PEM aes256', 'legacy PEM des3']) {
    const pem = pemOf(name);
    for (let i = 0; i < 1500; i++)
      assert.throws(() => readPrivateKey(pem, randomBytes(8)), { code: 'wrong-passphrase' });
  }
});

test('a passphrase that OpenSSL cannot take is refused', () => {
  assert.throws(() => readPrivateKey(pemOf('legacy PEM aes256'), Buffer.alloc(2000, 'x')), { code: 'bad-input' });
});

test('the public half has the same id, in both forms, and is told from a private key', () => {
  const spki = pemOf('public key');
  assert.equal(readPublicKey(spki).id, vectors.keyId);
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pkcs1 = Buffer.from(publicKey.export({ type: 'pkcs1', format: 'pem' }));
  assert.equal(readPublicKey(pkcs1).bits, 2048);
  assert.equal(isPublicPem(spki) && isPublicPem(pkcs1), true);
  assert.equal(isPublicPem(pemOf('PKCS#8 in clear')), false);
  assert.equal(isSealedPem(pemOf('PKCS#8 in clear')), false);
  assert.equal(isSealedPem(pemOf('PKCS#8 scrypt')) && isSealedPem(pemOf('legacy PEM aes128')), true);
  assert.throws(() => readPublicKey(pemOf('PKCS#8 in clear')), { code: 'damaged-key' });
});

test('a cost that nobody can pay is refused before it is paid', () => {
  const pem = pemOf('PKCS#8 aes-256-cbc').toString();
  const der = Buffer.from(pem.replace(/-----[^-]+-----/g, ''), 'base64');
  // PBKDF2's round count: 2048 as a two-byte integer, made four bytes long inside lengths that stay right.
  const rounds = der.indexOf(Buffer.from('02020800', 'hex'));
  const salt = der.lastIndexOf(Buffer.from([0x04, 0x08]), rounds);
  const short = Buffer.concat([
    der.subarray(0, salt),
    Buffer.from([0x04, 0x06]),
    der.subarray(salt + 2, salt + 8),
    Buffer.from('02047fffffff', 'hex'),
    der.subarray(rounds + 4),
  ]);
  const text = `-----BEGIN ENCRYPTED PRIVATE KEY-----\n${short.toString('base64')}\n-----END ENCRYPTED PRIVATE KEY-----\n`;
  assert.throws(() => readPrivateKey(Buffer.from(text), PASSPHRASE), { code: 'unsupported', message: /rounds/ });
});

test('printed in any way, a key shows its id only', () => {
  const key = readPrivateKey(pemOf('PKCS#1 in clear'));
  const start = vectors.keyId.slice(0, 16);
  assert.equal(String(key), start);
  assert.equal(JSON.stringify({ key }), `{"key":"${start}"}`);
  assert.equal(inspect({ key }, { depth: 9, showHidden: true }), `{ key: VolumeKey(${start}) }`);
});
