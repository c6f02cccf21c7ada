// What a volume key does: wrap, unwrap, its part in the ledger, and its way to a successor.
import assert from 'node:assert/strict';
import { constants, createPrivateKey, generateKeyPairSync, privateDecrypt, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { PublicKey, VolumeKey } from '../../../src/filesystem/keys/volume-key.ts';

for (const bits of [1024, 2048, 3072]) {
  describe(`RSA-${bits}`, () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: bits });
    const key = new VolumeKey(privateKey);

    test('what the public half wraps, the private half unwraps, and so does plain OAEP', async () => {
      const pageKey = randomBytes(32);
      const wrapped = PublicKey.fromSpki(key.spki).wrap(pageKey);
      assert.equal(wrapped.length, bits / 8);
      assert.equal(wrapped.length, key.wrappedLength);
      assert.deepEqual(await key.unwrap(wrapped), pageKey);
      const padding = constants.RSA_PKCS1_OAEP_PADDING;
      const oaepLabel = Buffer.from('keys');
      assert.deepEqual(privateDecrypt({ key: privateKey, padding, oaepHash: 'sha256', oaepLabel }, wrapped), pageKey);
    });

    test('anything else is a damaged page', async () => {
      await assert.rejects(key.unwrap(Buffer.alloc(key.wrappedLength, 1)), { code: 'page-damaged' });
      await assert.rejects(key.unwrap(Buffer.alloc(0)), { code: 'page-damaged' });
    });

    test('the ledger’s secret is the larger prime, half as long as the modulus', () => {
      const { p = '', q = '' } = privateKey.export({ format: 'jwk' });
      const primes = [p, q].map((each) => Buffer.from(each, 'base64url')).sort(Buffer.compare);
      assert.deepEqual(key.ledgerSecret(), primes[1]);
      assert.equal(key.ledgerSecret().length, bits / 16);
    });

    test('comes back from its DER as the same key', () => {
      const der = key.exportDer();
      assert.equal(VolumeKey.fromDer(der).id, key.id);
      assert.equal(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).asymmetricKeyType, 'rsa');
    });

    test('is of no use once wiped', async () => {
      const wiped = VolumeKey.fromDer(key.exportDer());
      wiped.wipe();
      await assert.rejects(wiped.unwrap(key.wrap(Buffer.alloc(32))), { code: 'internal' });
      assert.throws(() => wiped.exportDer(), { code: 'internal' });
      assert.throws(() => wiped.ledgerSecret(), { code: 'internal' });
    });
  });
}

test('a key whose numbers do not fit together is damaged, though it parses', () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const der = privateKey.export({ type: 'pkcs1', format: 'der' });
  const { p = '', d = '', dq = '', qi = '' } = privateKey.export({ format: 'jwk' });
  for (const number of [p, d, dq, qi]) {
    const damaged = Buffer.from(der);
    const at = damaged.indexOf(Buffer.from(number, 'base64url'));
    assert.ok(at > 0);
    damaged[at + 40] = (damaged[at + 40] ?? 0) ^ 4;
    const key = createPrivateKey({ key: damaged, format: 'der', type: 'pkcs1' });
    assert.throws(() => new VolumeKey(key), { code: 'damaged-key' });
  }
});

test('other bytes are no unlocked key', () => {
  assert.throws(() => VolumeKey.fromDer(Buffer.from('nonsense')), { code: 'damaged-key' });
});
