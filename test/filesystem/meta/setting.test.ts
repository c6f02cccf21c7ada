// The record: read by Go's rules, printed byte for byte.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ErrorCode, hasCode } from '../../../src/base/errors.ts';
import { parseRecord, parseSetting, printRecord } from '../../../src/filesystem/meta/setting.ts';
import { compareVersions, parseVersion } from '../../../src/filesystem/meta/version.ts';

const minimum = {
  Name: 'demo',
  UUID: '6f0c1a52-3c1e-4b7d-9b0a-2f6f6f1f9d11',
  Storage: 'file',
  Bucket: '/b/',
  BlockSize: 4096,
};
const with_ = (more: object): string => JSON.stringify({ ...minimum, ...more });
const is = (code: ErrorCode) => (thrown: unknown) => hasCode(thrown, code);

/** As the original client 1.4.2 wrote it. */
const original = `{
"Name": "demo",
"UUID": "2d21f703-a37b-428f-89f4-b952a1b63fa8",
"Storage": "file",
"Tiers": {
"0": {
"ID": 0,
"StorageClass": "",
"Tag": ""
}
},
"Bucket": "/tmp/a\\u0026b/",
"BlockSize": 4096,
"Compression": "none",
"Capacity": 18446744073709551615,
"EncryptAlgo": "aes256gcm-rsa",
"TrashDays": 1,
"MetaVersion": 1,
"MinClientVersion": "1.1.0-A",
"DirStats": true,
"EnableACL": false
}`;

test('the original record is read and printed byte for byte, numbers beyond 2^53 included', () => {
  assert.equal(printRecord(parseRecord(original)), original);
  const setting = parseSetting(original);
  assert.equal(setting.capacity, 2n ** 64n - 1n);
  assert.equal(setting.bucket, '/tmp/a&b/');
  assert.equal(setting.pageSize, 4 << 20);
  assert.equal(setting.dirStats, true);
});

test("Go's rules: names in any case, absent and null fields are zero, unknown ones stay", () => {
  const setting = parseSetting(
    '{"name":"demo","UUID":"u","STORAGE":"FILE","bucket":"/b/","blocksize":64,"HashPrefix":null,"New":{"a":[1]}}',
  );
  assert.deepEqual(
    [setting.name, setting.storage, setting.pageSize, setting.hashPrefix, setting.trashDays, setting.compression],
    ['demo', 'file', 65536, false, 0, 'none'],
  );
  assert.match(printRecord(setting.record), /"New": \{\n"a": \[\n1\n\]\n\}/);
});

test('what cannot be is metadata-damaged', () => {
  const bad = [
    '',
    '[]',
    '"x"',
    '{',
    with_({ Name: '' }),
    with_({ BlockSize: 100 }),
    with_({ BlockSize: 0 }),
    with_({ BlockSize: '4096' }),
    with_({ TrashDays: -1 }),
    with_({ MinClientVersion: 'new' }),
  ];
  for (const text of bad) assert.throws(() => parseSetting(text), is('metadata-damaged'), text);
});

test('versions: ours and the original ones pass, newer ones are named', () => {
  for (const MetaVersion of [0, 1, 2, 'pageseal-1'])
    assert.equal(parseSetting(with_({ MetaVersion })).metaVersion, MetaVersion);
  for (const MetaVersion of [3, 'pageseal-2', -1, true])
    assert.throws(
      () => parseSetting(with_({ MetaVersion })),
      (thrown: unknown) =>
        hasCode(thrown, 'newer-format') &&
        thrown.message.includes(JSON.stringify(MetaVersion)) &&
        thrown.message.includes('pageseal-1'),
    );
  for (const MinClientVersion of ['1.4.2', '1.4.2-rc1+x', '1.1.0-A', '']) parseSetting(with_({ MinClientVersion }));
  for (const MinClientVersion of ['1.4.3', '1.5.0-A', '2.0.0'])
    assert.throws(() => parseSetting(with_({ MinClientVersion })), is('newer-format'));
  assert.throws(() => parseSetting(with_({ MaxClientVersion: '1.4.1' })), is('newer-format'));
});

test('versions compare by numbers, then bytewise by pre-release, a release above all of them', () => {
  const order = ['1.1.0-A', '1.1.0-alpha', '1.1.0-beta', '1.1.0', '1.1.10', '1.2.0-A', '2.0.0'];
  const versions = order.map((text) => parseVersion(text));
  for (let i = 1; i < versions.length; i += 1) {
    const [a, b] = [versions[i - 1], versions[i]];
    assert.ok(a !== undefined && b !== undefined);
    assert.ok(compareVersions(a, b) < 0, `${order[i - 1]} < ${order[i]}`);
    assert.ok(compareVersions(b, a) > 0);
  }
  assert.equal(parseVersion('1.2'), undefined);
});

test('a name that leads out of the bucket is damage', () => {
  for (const Name of ['..', '.', 'a/../../b', '/etc', 'a\0'])
    assert.throws(() => parseSetting(with_({ Name })), is('metadata-damaged'), Name);
});
