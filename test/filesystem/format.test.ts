// What format writes, and what it leaves alone when it is asked again.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { type ErrorCode, hasCode } from '../../src/base/errors.ts';
import { formatVolume } from '../../src/filesystem/format.ts';
import { type FormatOptions, roundPageSize } from '../../src/filesystem/format-record.ts';
import { openAtRest } from '../../src/filesystem/keys/at-rest.ts';
import { readPrivateKey } from '../../src/filesystem/keys/read-key.ts';
import { readSettingOf } from '../../src/filesystem/meta/read-setting.ts';
import { Ledger } from '../../src/filesystem/page/ledger.ts';
import { openBlob } from '../../src/filesystem/page/seal.ts';
import { makeTemp } from '../harness/temp.ts';

const temp = makeTemp();
const is = (code: ErrorCode) => (thrown: unknown) => hasCode(thrown, code);
const passphrase = Buffer.from('correct horse');
const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
const otherPair = generateKeyPairSync('rsa', { modulusLength: 2048 });
const publicPem = Buffer.from(pair.publicKey.export({ type: 'spki', format: 'pem' }) as string);
const privatePem = Buffer.from(
  pair.privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase }) as string,
);

let volumes = 0;
function options(more: Partial<FormatOptions> = {}): FormatOptions {
  const name = `volume-${++volumes}`;
  return {
    metaUrl: `sqlite3://${temp.at(`${name}.db`)}`,
    name,
    store: { storage: 'file', bucket: temp.at(name) },
    key: { kind: 'none' },
    ...more,
  };
}

const recordOf = ({ metaUrl }: FormatOptions): string => {
  const database = new DatabaseSync(metaUrl.slice('sqlite3://'.length));
  const row = database.prepare("SELECT value, typeof(value) AS type FROM jfs_setting WHERE name = 'format'").get();
  database.close();
  assert.equal(row?.['type'], 'text');
  return String(row?.['value']);
};

const objectOf = (given: FormatOptions, key: string): string => `${given.store.bucket}/${given.name}/${key}`;

test('an unencrypted volume: record in the original form, uuid object, no trace of the store test', async () => {
  const given = options({
    capacity: 2n ** 40n,
    trashDays: 0,
    hashPrefix: true,
    compression: 'LZ4',
    pageSize: 100 * 1024,
  });
  const { uuid, created, keyId } = await formatVolume(given);
  assert.deepEqual([created, keyId], [true, undefined]);
  assert.equal(
    recordOf(given),
    `{\n"Name": "${given.name}",\n"UUID": "${uuid}",\n"Storage": "file",\n"Tiers": {\n"0": {\n"ID": 0,\n"StorageClass": "",\n"Tag": ""\n}\n},\n"Bucket": "${given.store.bucket}/",\n"BlockSize": 64,\n"Compression": "lz4",\n"HashPrefix": true,\n"Capacity": 1099511627776,\n"EncryptAlgo": "aes256gcm-rsa",\n"TrashDays": 0,\n"MetaVersion": 1,\n"MinClientVersion": "1.1.0-A",\n"DirStats": true,\n"EnableACL": false\n}`,
  );
  assert.equal(readFileSync(objectOf(given, 'juicefs_uuid'), 'utf8'), uuid);
  const { ours } = await readSettingOf(given.metaUrl);
  assert.deepEqual(ours, { custody: 'unencrypted', mode: 'lenient', owner: 'user' });
  const files = readdirSync(given.store.bucket, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  assert.deepEqual(
    files.map((entry) => entry.name),
    ['juicefs_uuid'],
  );
});

test('asked again: the same is fine, other settings are named and nothing is changed', async () => {
  const uuid = '6F0C1A52-3C1E-4B7D-9B0A-2F6F6F1F9D11';
  const given = options({ uuid, key: { kind: 'in-metadata', pem: privatePem, passphrase } });
  const first = await formatVolume(given);
  assert.equal(first.uuid, uuid.toLowerCase());
  const record = recordOf(given);
  assert.deepEqual(await formatVolume(given), { ...first, created: false });
  const otherPem = Buffer.from(otherPair.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string);
  const changes: [Partial<FormatOptions>, RegExp][] = [
    [{ trashDays: 7 }, /trashDays/],
    [{ uuid: '00000000-0000-4000-8000-000000000000' }, /UUID/],
    [{ key: { kind: 'none' } }, /key/],
    [{ key: { kind: 'in-metadata', pem: otherPem } }, /key/],
    [{ name: 'another', compression: 'zstd' }, /name, compression/],
  ];
  for (const [change, text] of changes)
    await assert.rejects(
      formatVolume({ ...given, ...change }),
      (thrown) => hasCode(thrown, 'already-formatted') && text.test(thrown.message),
    );
  assert.equal((await formatVolume({ ...given, trashDays: 7, noUpdate: true })).created, false);
  assert.equal(recordOf(given), record);
});

test('a key in the metadata is sealed at rest; with its passphrase the ledger begins', async () => {
  const given = options({ key: { kind: 'in-metadata', pem: privatePem, passphrase } });
  const { uuid, keyId } = await formatVolume(given);
  const { setting, ours } = await readSettingOf(given.metaUrl);
  assert.deepEqual(openAtRest(uuid, setting.encryptKey), privatePem);
  assert.equal(setting.keyEncrypted, true);
  assert.equal(setting.metaVersion, 1);
  assert.deepEqual([ours.custody, ours.mode, ours.keyCheck?.toString('hex')], ['in-metadata', 'lenient', keyId]);
  const key = readPrivateKey(privatePem, passphrase);
  Ledger.open(key, uuid, ours.ledger ?? Buffer.alloc(0)).wipe();
  const object = readFileSync(objectOf(given, 'juicefs_uuid'));
  assert.equal((await openBlob('aes256gcm-rsa', key, object)).toString(), uuid);
  assert.equal(object.length, 323);
  // Without a passphrase it is stored unopened.
  const unopened = options({ key: { kind: 'in-metadata', pem: privatePem } });
  assert.equal((await formatVolume(unopened)).keyId, undefined);
  const unread = { custody: 'in-metadata', mode: 'lenient', owner: 'user' };
  assert.deepEqual((await readSettingOf(unopened.metaUrl)).ours, unread);
  assert.equal(existsSync(objectOf(unopened, 'juicefs_uuid')), false);
});

test('self-managed: the record shuts out the original client and holds nothing of the key', async () => {
  for (const key of [
    { kind: 'self-managed', pem: publicPem },
    { kind: 'self-managed', pem: privatePem, passphrase },
    { kind: 'self-managed' },
  ] as const) {
    const given = options({ key, encryptAlgo: 'chacha20-rsa' });
    const { keyId } = await formatVolume(given);
    const record = recordOf(given);
    assert.match(record, /"MetaVersion": "pageseal-1"/);
    assert.doesNotMatch(record, /EncryptKey|KeyEncrypted|PRIVATE/);
    const { ours, setting } = await readSettingOf(given.metaUrl);
    assert.equal(setting.encryptAlgo, 'chacha20-rsa');
    assert.deepEqual([ours.custody, ours.mode, ours.keyCheck?.toString('hex')], ['self-managed', 'strict', keyId]);
    assert.equal(ours.ledger !== undefined, 'passphrase' in key);
    assert.equal(existsSync(objectOf(given, 'juicefs_uuid')), 'pem' in key);
  }
});

test('bad input ends in its own error with nothing made', async () => {
  const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({
    type: 'spki',
    format: 'pem',
  }) as string;
  const cases: [Partial<FormatOptions>, ErrorCode][] = [
    [{ name: 'ab' }, 'bad-input'],
    [{ name: 'Abc' }, 'bad-input'],
    [{ name: '-abc' }, 'bad-input'],
    [{ name: 'a'.repeat(64) }, 'bad-input'],
    [{ compression: 'gzip' }, 'bad-input'],
    [{ trashDays: 1.5 }, 'bad-input'],
    [{ trashDays: -1 }, 'bad-input'],
    [{ capacity: -1n }, 'bad-input'],
    [{ pageSize: Number.NaN }, 'bad-input'],
    [{ uuid: 'x' }, 'bad-input'],
    [{ encryptAlgo: 'sm4gcm' }, 'unsupported'],
    [{ store: { storage: 's4', bucket: 'x' } }, 'unsupported'],
    [{ store: { storage: 'file', bucket: '' } }, 'bad-input'],
    [{ metaUrl: 'mysql://h/d' }, 'unsupported'],
    [{ metaUrl: 'postgres://h/d' }, 'bad-input'],
    [{ store: { storage: 's3', bucket: 'https://a:b@h.example/b' } }, 'bad-input'],
    [{ metaUrl: `sqlite3://${temp.at('none', 'x.db')}` }, 'metadata-unavailable'],
    [{ key: { kind: 'self-managed', pem: Buffer.from('no key') } }, 'damaged-key'],
    [{ key: { kind: 'self-managed', pem: Buffer.from(small) } }, 'refused'],
    [{ key: { kind: 'self-managed', pem: privatePem } }, 'passphrase-required'],
    [{ key: { kind: 'self-managed', pem: privatePem, passphrase: Buffer.from('wrong') } }, 'wrong-passphrase'],
    [{ key: { kind: 'in-metadata', pem: publicPem } }, 'damaged-key'],
  ];
  for (const [change, code] of cases) {
    const given = options(change);
    await assert.rejects(formatVolume(given), is(code), JSON.stringify(code));
    assert.equal(existsSync(given.metaUrl.slice('sqlite3://'.length)), false);
  }
});

test('objects of somebody else are refused; what a store test left is not', async () => {
  const first = options();
  await formatVolume(first);
  const again = { ...first, metaUrl: `sqlite3://${temp.at('again.db')}` };
  await assert.rejects(formatVolume(again), is('store-not-empty'));
  const clean = options();
  await formatVolume({ ...clean, name: 'other' });
  writeFileSync(`${clean.store.bucket}/other/testing/left`, 'over');
  const { rmSync } = await import('node:fs');
  rmSync(`${clean.store.bucket}/other/juicefs_uuid`);
  const { created } = await formatVolume({ ...clean, name: 'other', metaUrl: `sqlite3://${temp.at('third.db')}` });
  assert.equal(created, true);
});

test('two at once make one volume', async () => {
  const given = options();
  const outcomes = await Promise.allSettled([formatVolume(given), formatVolume(given)]);
  const made = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  assert.ok(made.length >= 1);
  assert.equal(new Set(made.map(({ uuid }) => uuid)).size, 1);
  assert.equal(made.filter(({ created }) => created).length, 1);
});

test('page sizes round down to a power of two within the bounds', () => {
  const kib = (n: number): number => roundPageSize(n * 1024) / 1024;
  assert.deepEqual(
    [1, 64, 65, 127, 128, 4096, 5000, 16384, 99999].map(kib),
    [64, 64, 64, 64, 128, 4096, 4096, 16384, 16384],
  );
});
