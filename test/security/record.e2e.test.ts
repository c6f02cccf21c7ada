// The metadata's operator as the enemy, and metadata of a later release: a record that says otherwise about encryption, or
// about the format, never makes a mount that writes clear text or reads another volume's pages. Each edit is made on a
// copy of the metadata; the objects are the same for all.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { makeKey, type TestKey } from '../harness/keys.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { readRecord } from '../harness/volumes.ts';
import { AttackedVolume, errnoOf, isAlive, PAGE_BYTES } from './attacked-volume.ts';
import { mustRefuse, type Refusal } from './refused-mount.ts';

const PASSPHRASE = 'the passphrase';
type Custody = 'self-managed' | 'in-metadata';
type Edit = (volume: AttackedVolume) => void;

/** Fields of the record put in, or taken out with undefined. */
const record =
  (fields: Readonly<Record<string, unknown>>): Edit =>
  (volume) => {
    const text = JSON.stringify({ ...(JSON.parse(readRecord(volume.database)) as object), ...fields });
    volume.sql(`UPDATE jfs_setting SET value = '${text.replaceAll("'", "''")}' WHERE name = 'format'`);
  };
const sql =
  (text: string): Edit =>
  (volume) =>
    volume.sql(text);
const both =
  (...edits: readonly Edit[]): Edit =>
  (volume) => {
    for (const edit of edits) edit(volume);
  };

const dropOurTables: Edit = (volume) => {
  for (const { name } of volume.rows("SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB 'pageseal_*'"))
    volume.sql(`DROP TABLE ${name}`);
};

const NOT_ENCRYPTED = { MetaVersion: 1, EncryptKey: undefined };
const otherwise: Refusal = {
  exitCode: 3,
  says: /its record says otherwise about its key than was written down before$/m,
  hint: /somebody changed the record/,
};
const denies: Refusal = {
  exitCode: 3,
  says: /a key was given, but its record says that it is not encrypted$/m,
  hint: /somebody changed its record/,
};
const newer = (says: RegExp): Refusal => ({ exitCode: 8, says });
const broken = (says: RegExp): Refusal => ({ exitCode: 1, says });
const wrongKey = (says: RegExp): Refusal => ({ exitCode: 3, says });
const unsupported = (says: RegExp): Refusal => ({ exitCode: 8, says });

const refused: readonly (readonly [what: string, custody: Custody, edit: Edit, refusal: Refusal])[] = [
  ['"not encrypted"', 'self-managed', record(NOT_ENCRYPTED), otherwise],
  ['"not encrypted", custody edited', 'self-managed', both(record(NOT_ENCRYPTED), sql("UPDATE pageseal_setting SET value = CAST('unencrypted' AS BLOB) WHERE name = 'custody'")), otherwise],
  ['"not encrypted", custody removed', 'self-managed', both(record(NOT_ENCRYPTED), sql("DELETE FROM pageseal_setting WHERE name = 'custody'")), otherwise],
  ['"not encrypted", our settings removed', 'self-managed', both(record(NOT_ENCRYPTED), sql('DELETE FROM pageseal_setting')), denies],
  ['"not encrypted", our tables removed', 'self-managed', both(record(NOT_ENCRYPTED), dropOurTables), denies],
  ['custody edited, record as it was', 'self-managed', sql("UPDATE pageseal_setting SET value = CAST('unencrypted' AS BLOB) WHERE name = 'custody'"), otherwise],
  ['a key of the attacker in the record', 'self-managed', (volume) => record({ MetaVersion: 1, EncryptKey: readFileSync(attackers.file, 'utf8') })(volume), otherwise],
  ['the same, custody edited too', 'self-managed', (volume) => both(record({ MetaVersion: 1, EncryptKey: readFileSync(attackers.file, 'utf8') }), sql(`UPDATE pageseal_setting SET value = CAST('in-metadata' AS BLOB) WHERE name = 'custody'; UPDATE pageseal_setting SET value = zeroblob(32) WHERE name = 'key-check'`))(volume), wrongKey(/wanted key 0{16}, found [0-9a-f]{16}$/m)],
  ['the key check of another key', 'self-managed', sql("UPDATE pageseal_setting SET value = zeroblob(32) WHERE name = 'key-check'"), wrongKey(/wanted key 0{16}, found [0-9a-f]{16}$/m)],
  ['the ledger key altered', 'self-managed', sql("UPDATE pageseal_setting SET value = CAST(x'01' || zeroblob(60) AS BLOB) WHERE name = 'ledger'"), wrongKey(/open the ledger with key \w+: sealed with another key, for another volume, or damaged$/m)],
  ['the ledger key cut', 'self-managed', sql("UPDATE pageseal_setting SET value = x'0100' WHERE name = 'ledger'"), broken(/the ledger key: wanted 61 bytes, found 2$/m)],
  ['the ledger key gone', 'self-managed', sql("DELETE FROM pageseal_setting WHERE name = 'ledger'"), broken(/the key of its page ledger is gone, its rows are not$/m)],
  ['another UUID', 'self-managed', record({ UUID: '00000000-0000-4000-8000-000000000000' }), wrongKey(/open the ledger/)],
  ['no UUID', 'self-managed', record({ UUID: '' }), broken(/setting record: uuid is missing/)],
  ['a page size that cannot be', 'self-managed', record({ BlockSize: 100 }), broken(/BlockSize: wanted a power of two, 64 to 16384, found 100/)],
  ['an unknown compression', 'self-managed', record({ Compression: 'brotli' }), unsupported(/compression "brotli": wanted none, lz4 or zstd/)],
  ['an unknown cipher', 'self-managed', record({ EncryptAlgo: 'sm4gcm' }), unsupported(/encryption "sm4gcm": wanted aes256gcm-rsa or chacha20-rsa/)],
  ['a field of another type', 'self-managed', record({ Name: 7 }), broken(/setting record: Name: wanted string, found number/)],
  ['not JSON', 'self-managed', sql("UPDATE jfs_setting SET value = '{' WHERE name = 'format'"), broken(/setting record: not JSON/)],
  ['a JSON list', 'self-managed', sql("UPDATE jfs_setting SET value = '[]' WHERE name = 'format'"), broken(/setting record: wanted a JSON object/)],
  ['no record', 'self-managed', sql('DELETE FROM jfs_setting'), { exitCode: 4, says: /holds no file system/ }],
  ['a bucket that is not there', 'self-managed', record({ Bucket: '/nowhere/at/all/' }), { exitCode: 7, says: /\/nowhere\/at\/all/ }],
  ['an unknown store', 'self-managed', record({ Storage: 'tape' }), unsupported(/tape/)],
  ['MetaVersion 2', 'self-managed', record({ MetaVersion: 2 }), newer(/metadata version: wanted 1 or "pageseal-1", found 2$/m)],
  ['MetaVersion "pageseal-2"', 'self-managed', record({ MetaVersion: 'pageseal-2' }), newer(/metadata version: wanted 1 or "pageseal-1", found "pageseal-2"$/m)],
  ['MinClientVersion 9.9', 'self-managed', record({ MinClientVersion: '9.9.0' }), newer(/format of client version 1\.4\.2: the volume wants MinClientVersion 9\.9\.0$/m)],
  ['a later custody', 'self-managed', sql("UPDATE pageseal_setting SET value = CAST('enclave' AS BLOB) WHERE name = 'custody'"), newer(/custody of the key: wanted self-managed, .* found enclave/)],
  ['a later ledger mode', 'self-managed', sql("INSERT OR REPLACE INTO pageseal_setting (name, value) VALUES ('ledger-mode', CAST('paranoid' AS BLOB))"), newer(/ledger mode: wanted strict or lenient, found paranoid/)],
  ['the key taken out', 'in-metadata', record({ EncryptKey: undefined }), { exitCode: 3, says: /its key is not in the metadata|otherwise about its key/ }],
  ['the key taken out, our settings too', 'in-metadata', both(record({ EncryptKey: undefined }), sql('DELETE FROM pageseal_setting')), denies],
  ['the key of an attacker put in', 'in-metadata', (volume) => record({ EncryptKey: readFileSync(attackers.file, 'utf8'), KeyEncrypted: false })(volume), wrongKey(/wanted key [0-9a-f]{16}, found [0-9a-f]{16}$/m)],
  ['the key damaged', 'in-metadata', record({ EncryptKey: 'AAAA' }), broken(/open a secret of the setting record/)],
  ['the key said to be in clear', 'in-metadata', record({ KeyEncrypted: false }), wrongKey(/no PEM block found/)],
]; // biome-ignore format: a table

/** Edits that are seen only when a page is read: EIO, with the code that the log shows. */
const unreadable: readonly (readonly [what: string, edit: Edit, code: string])[] = [
  ['another compression', record({ Compression: 'zstd' }), 'page-damaged'],
  ['another cipher', record({ EncryptAlgo: 'chacha20-rsa' }), 'page-damaged'],
  ['another page size', record({ BlockSize: 128 }), 'object-missing'],
  ['another layout', record({ HashPrefix: true }), 'object-missing'],
  ['another name', record({ Name: 'other' }), 'object-missing'],
  ['lenient, and a page without a row', sql("INSERT OR REPLACE INTO pageseal_setting (name, value) VALUES ('ledger-mode', CAST('lenient' AS BLOB)); DELETE FROM pageseal_page"), 'page-unledgered'],
]; // biome-ignore format: a table

let attackers: TestKey;

describe('edited metadata', needs('root', 'fuse', 'openssl', 'the addon'), () => {
  const temp = makeTemp();
  const volumes = new Map<Custody, AttackedVolume>();
  const bytes = randomBytes(2 * PAGE_BYTES);
  let copies = 0;

  before(async () => {
    const key = await makeKey(temp, 2048, 'pkcs8', PASSPHRASE);
    attackers = await makeKey(temp, 2048, 'pkcs8');
    for (const custody of ['self-managed', 'in-metadata'] as const) {
      const volume = new AttackedVolume(
        temp,
        custody,
        key,
        custody === 'self-managed' ? '--rsa-key' : '--encrypt-rsa-key',
      );
      await volume.format();
      await volume.mount();
      writeFileSync(volume.path('file'), bytes);
      await volume.umount();
      volumes.set(custody, volume);
    }
  });

  /** A copy of the metadata, over the same objects. */
  function copyOf(custody: Custody, edit: Edit): AttackedVolume {
    const original = volumes.get(custody);
    if (original === undefined) throw new Error('not made');
    const copy = new AttackedVolume(temp, `copy-${++copies}`, original.key, original.custody);
    copyFileSync(original.database, copy.database);
    if (existsSync(`${original.database}-wal`)) copyFileSync(`${original.database}-wal`, `${copy.database}-wal`);
    edit(copy);
    return copy;
  }

  for (const [what, custody, edit, refusal] of refused)
    test(`${custody}: ${what}: refused`, async () => {
      const copy = copyOf(custody, edit);
      const { metaUrl, keyFlags: flags, database, key } = copy;
      const objects = volumes.get(custody)?.contents().objects;
      const untouched = [database, `${database}-wal`];
      await mustRefuse(temp, { metaUrl, flags, passphrase: key.passphrase, untouched }, refusal);
      assert.deepEqual(volumes.get(custody)?.contents().objects, objects);
    });

  for (const [what, edit, code] of unreadable)
    test(`self-managed: ${what}: EIO, ${code}`, async () => {
      const copy = copyOf('self-managed', edit);
      const objects = volumes.get('self-managed')?.contents().objects;
      const { tables } = copy.contents();
      await copy.mount();
      const worker = await copy.worker();
      assert.equal(
        errnoOf(() => readFileSync(copy.path('file')).length),
        'EIO',
      );
      assert(copy.log().includes(`"code":"${code}"`), copy.log());
      assert(isAlive(worker));
      await copy.umount();
      assert.deepEqual(copy.contents().tables, tables);
      assert.deepEqual(volumes.get('self-managed')?.contents().objects, objects);
    });

  test('a read-only mount does not do without the ledger either', async () => {
    const copy = copyOf(
      'self-managed',
      sql("DELETE FROM pageseal_setting WHERE name = 'ledger'; DELETE FROM pageseal_page"),
    );
    const { metaUrl, keyFlags, key, database } = copy;
    const attempt = { metaUrl, flags: [...keyFlags, '--read-only'], passphrase: key.passphrase, untouched: [database] };
    await mustRefuse(temp, attempt, { exitCode: 6, says: /its page ledger has no key yet$/m });
  });

  test('the volumes themselves still read right', async () => {
    for (const volume of volumes.values()) {
      await volume.mount();
      assert(readFileSync(volume.path('file')).equals(bytes));
      await volume.umount();
    }
  });
});
