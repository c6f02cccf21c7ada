// Which credentials and settings a store is opened with: the record's, or those that the caller brings.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sealAtRest } from '../../src/filesystem/keys/at-rest.ts';
import type { VolumeSetting } from '../../src/filesystem/meta/read-setting.ts';
import { parseSetting } from '../../src/filesystem/meta/setting.ts';
import { storeSettings } from '../../src/filesystem/store-settings.ts';

const UUID = '6f0c1a52-3c1e-4b7d-9b0a-2f6f6f1f9d11';
const volume = (more: object): VolumeSetting => {
  const record = { Name: 'demo', UUID, Storage: 's3', Bucket: 'https://b.example', BlockSize: 4096, ...more };
  return { setting: parseSetting(JSON.stringify(record)), ours: {} };
};
const sealed = (text: string): string => sealAtRest(UUID, Buffer.from(text));
const keys = { AccessKey: 'id', SecretKey: sealed('secret'), SessionToken: sealed('token'), KeyEncrypted: true };
const place = { storage: 's3', bucket: 'https://b.example' };

test('sealed credentials of the record are opened', () => {
  const own = { accessKey: 'id', secretKey: 'secret', sessionToken: 'token' };
  assert.deepEqual(storeSettings(volume(keys)), { ...place, ...own });
  assert.deepEqual(
    storeSettings(volume({ ...keys, SecretKey: 'secret', SessionToken: 'token', KeyEncrypted: false })),
    {
      ...place,
      ...own,
    },
  );
});

test('credentials that are given never mix with those of the record', () => {
  const own = { accessKey: 'mine', secretKey: 'own' };
  assert.deepEqual(storeSettings(volume(keys), own), { ...place, ...own });
  assert.deepEqual(storeSettings(volume(keys), { sessionToken: 'new' }).sessionToken, 'new');
});

test('a record whose secrets a dump took out serves who brings them', () => {
  const taken = volume({ ...keys, SecretKey: 'removed', SessionToken: 'removed' });
  assert.deepEqual(storeSettings(taken, { secretKey: 'own' }), { ...place, accessKey: 'id', secretKey: 'own' });
  assert.throws(() => storeSettings(taken), { code: 'failed-precondition' });
  const inClear = volume({ AccessKey: 'id', SecretKey: 'removed', KeyEncrypted: false });
  assert.throws(() => storeSettings(inClear), { code: 'failed-precondition' });
});

test('the storage class is that of tier 0, before that of older records; limits count Mbit/s', () => {
  const classOf = (more: object): string | undefined => storeSettings(volume(more)).storageClass;
  assert.equal(classOf({ StorageClass: 'OLD' }), 'OLD');
  assert.equal(classOf({ StorageClass: 'OLD', Tiers: null }), 'OLD');
  assert.equal(classOf({ StorageClass: 'OLD', Tiers: { 0: { ID: 0, StorageClass: '', Tag: '' } } }), undefined);
  assert.equal(classOf({ StorageClass: 'OLD', Tiers: { 0: { ID: 0, StorageClass: 'NEW' } } }), 'NEW');
  const { uploadLimit, downloadLimit } = storeSettings(volume({ UploadLimit: 100 }), { downloadLimit: 5 });
  assert.deepEqual([uploadLimit, downloadLimit], [100, 5]);
});
