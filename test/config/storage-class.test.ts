// StorageClass parameters, volume attributes and mount flags: accepted, ignored, refused.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../src/base/errors.ts';
import { mergeFormatOptions } from '../../src/config/format-options.ts';
import { parseMountOptions } from '../../src/config/mount-options.ts';
import { pageSizeOf } from '../../src/config/page-size.ts';
import { directoryOf } from '../../src/config/path-pattern.ts';
import { parseStorageClass } from '../../src/config/storage-class.ts';
import { parseVolumeContext, volumeContextOf } from '../../src/config/volume-context.ts';

const refused = (work: () => unknown, text: RegExp): void =>
  assert.throws(work, (error) => {
    assert(hasCode(error, 'bad-input'), String(error));
    assert.match(error.message, text);
    return true;
  });

test('encryption is required unless the class says otherwise', () => {
  assert.equal(parseStorageClass({}).encryption, 'required');
  assert.equal(parseStorageClass({ encryption: 'none' }).encryption, 'none');
  refused(() => parseStorageClass({ encryption: 'maybe' }), /encryption: wanted required or none/);
});

test('settings are parsed once into what format takes', () => {
  const { format } = parseStorageClass({ pageSize: '1MiB', compression: 'lz4', trashDays: '7', hashPrefix: 'true' });
  assert.deepEqual(format, { pageSize: 1 << 20, compression: 'lz4', trashDays: 7, hashPrefix: true });
  refused(() => parseStorageClass({ pageSize: '5MiB' }), /pageSize/);
  refused(() => parseStorageClass({ trashDays: '-1' }), /trashDays/);
});

test('key material and connections are refused with the place where they belong', () => {
  for (const name of ['rsa-key', 'passphrase', 'metaurl', 'encryptRsaKey', 'accessSecret', 'my-token'])
    refused(() => parseStorageClass({ [name]: 'x' }), /Secret/);
  refused(() => parseStorageClass({ pathPattern: '-----BEGIN RSA PRIVATE KEY-----' }), /Secret/);
  refused(() => parseStorageClass({ 'juicefs/x': '-----BEGIN RSA PRIVATE KEY-----' }), /Secret/);
});

test('unknown names are refused, names of the other driver and of sidecars are not', () => {
  refused(() => parseStorageClass({ compresion: 'zstd' }), /unknown parameter compresion/);
  const parsed = parseStorageClass({
    'juicefs/mount-cpu-limit': '1',
    'csi.storage.k8s.io/node-stage-secret-name': 's',
    'csi.storage.k8s.io/pvc/name': 'claim',
  });
  assert.deepEqual(parsed.ignored, ['juicefs/mount-cpu-limit']);
  assert.equal(parsed.claim.name, 'claim');
});

test('class and Secret may say the same, not different things', () => {
  assert.deepEqual(mergeFormatOptions({ trashDays: 1 }, { trashDays: 1, compression: 'none' }), {
    trashDays: 1,
    compression: 'none',
  });
  refused(() => mergeFormatOptions({ trashDays: 1 }, { trashDays: 2 }), /trashDays/);
});

test('page sizes', () => {
  const sizes = { '64K': 65536, '64KiB': 65536, '4096': 4 << 20, '4m': 4 << 20, '16MiB': 16 << 20 };
  for (const [text, bytes] of Object.entries(sizes)) assert.equal(pageSizeOf(text), bytes, text);
  for (const text of ['', '0', '32K', '32M', '4G', '3M', '1.5M', '-4M'])
    assert.equal(pageSizeOf(text), undefined, text);
});

test('pathPattern: filled from the claim, never empty, root, upwards or into the trash', () => {
  const claim = { name: 'data', namespace: 'team', volume: 'pv-1' };
  const pattern = (text: string): string => directoryOf(text.replaceAll('<', '$' + '{').replaceAll('>', '}'), claim);
  assert.equal(pattern('<pvc.namespace>/<pvc.name>'), '/team/data');
  for (const bad of ['', '/', '../x', '<pvc.name>/..', '.trash/x', '<pvc.labels.x>'])
    refused(() => pattern(bad), /path/);
  refused(() => directoryOf('$' + '{pvc.name}', { ...claim, name: '../../etc' }), /cannot be a directory/);
  refused(() => directoryOf('$' + '{pvc.name}', { ...claim, name: undefined }), /extra-create-metadata/);
});

test('mount flags: an allow-list', () => {
  const options = parseMountOptions(['ro,noatime', 'buffer-size=64', '--cache-size=100']);
  assert.equal(options.readOnly, true);
  assert.deepEqual(options.worker, ['buffer-size=64']);
  assert.deepEqual(options.ignored, ['noatime', 'cache-size']);
  for (const bad of ['suid', 'writeback', 'ledger=off', 'buffer-size=64;rm'])
    refused(() => parseMountOptions([bad]), /./);
});

test('volume attributes: what CreateVolume wrote comes back, strangers are refused', () => {
  const context = {
    fileSystem: `pvc-${'0a'.repeat(16)}`,
    directory: '/x',
    uuid: '6f0c1a52-3c1e-8b7d-9b0a-2f6f6f1f9d11',
    encryption: 'required' as const,
  };
  assert.deepEqual(parseVolumeContext(volumeContextOf(context)), context);
  assert.equal(parseVolumeContext({ 'csi.storage.k8s.io/pod.name': 'x' }).directory, '/');
  refused(() => parseVolumeContext({ directory: '/a/../../b' }), /directory/);
  refused(() => parseVolumeContext({ fs: '../x' }), /fs/);
  refused(() => parseVolumeContext({ secret: 'x' }), /unknown/);
});
