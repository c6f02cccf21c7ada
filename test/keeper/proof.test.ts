// Which secrets count as the same, and which failures are remembered.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fail } from '../../src/base/errors.ts';
import type { Connection } from '../../src/keeper/messages.ts';
import { connectionDigest, FailedKeys } from '../../src/keeper/proof.ts';

const connection: Connection = {
  metaUrl: 'sqlite3:///m', storage: '', bucket: '', accessKey: '', secretKey: '', sessionToken: '', caBundle: '',
  rsaKey: Buffer.from('PEM'),
  passphrase: Buffer.from('pass'), hasPassphrase: true, encryptionRequired: true,
}; // biome-ignore format: a table reads better than a column

test('a digest changes with each field', () => {
  const others: Partial<Connection>[] = [
    { bucket: 'b' }, { sessionToken: 't' }, { caBundle: 'c' }, { rsaKey: Buffer.from('PEN') }, { passphrase: Buffer.from('pasS') }, { hasPassphrase: false },
    { rsaKey: Buffer.from('PEMp'), passphrase: Buffer.from('ass') },
  ]; // biome-ignore format: one per line would hide the table
  const digests = [connection, ...others.map((other) => ({ ...connection, ...other }))].map(connectionDigest);
  assert.equal(new Set(digests).size, digests.length);
  assert.equal(connectionDigest({ ...connection }), digests[0]);
});

test('a pair that cannot open its own key is not tried again, wherever it is to be used', () => {
  const failed = new FailedKeys();
  failed.note(connection, fail('wrong-passphrase', 'no', { hint: 'look' }));
  assert.throws(() => failed.check({ ...connection, metaUrl: 'sqlite3:///other' }), {
    code: 'wrong-passphrase',
    hint: 'look',
  });
  failed.check({ ...connection, passphrase: Buffer.from('better') });
});

test('what may be mended elsewhere is tried again', () => {
  const failed = new FailedKeys();
  failed.note(connection, fail('wrong-key', 'of another volume'));
  failed.note(connection, fail('metadata-unavailable', 'gone'));
  failed.check(connection);
  const inMetadata = { ...connection, rsaKey: Buffer.alloc(0) };
  failed.note(inMetadata, fail('wrong-passphrase', 'no'));
  failed.check(inMetadata);
});
