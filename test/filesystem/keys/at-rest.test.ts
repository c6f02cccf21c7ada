// Secrets in the setting record: the format's vector, both ways, and damage.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openAtRest, sealAtRest } from '../../../src/filesystem/keys/at-rest.ts';

const UUID = '6f0c1a52-3c1e-4b7d-9b0a-2f6f6f1f9d11';
const VECTOR = 'AAECAwQFBgcICQoLUMSzTa+WL9NPMDZWD7W45A8mFsaeSqi/b2w=';

test('seals and opens the vector', () => {
  const nonce = Buffer.from('000102030405060708090a0b', 'hex');
  assert.equal(sealAtRest(UUID, Buffer.from('s3cr3t-key'), nonce), VECTOR);
  assert.equal(openAtRest(UUID, VECTOR).toString(), 's3cr3t-key');
});

test('a fresh nonce each time', () => {
  const sealed = sealAtRest(UUID, Buffer.from('x'));
  assert.notEqual(sealed, sealAtRest(UUID, Buffer.from('x')));
  assert.equal(openAtRest(UUID, sealed).toString(), 'x');
});

test('damage, another UUID and a secret left out of a dump are errors', () => {
  const other = '6f0c1a52-3c1e-4b7d-9b0a-2f6f6f1f9d12';
  assert.throws(() => openAtRest(other, VECTOR), { code: 'metadata-damaged' });
  assert.throws(() => openAtRest(UUID, VECTOR.replace('S', 'T')), { code: 'metadata-damaged' });
  assert.throws(() => openAtRest(UUID, 'AAEC'), { code: 'metadata-damaged' });
  assert.throws(() => openAtRest(UUID, ''), { code: 'metadata-damaged' });
  assert.throws(() => openAtRest(UUID, 'removed'), { code: 'failed-precondition' });
});
