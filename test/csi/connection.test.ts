// Where a Secret may lead: placeholder, embedded directory, and links below it.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { hasCode } from '../../src/base/errors.ts';
import type { Connection } from '../../src/config/secret.ts';
import { identityOf, isPerVolume, placeOf } from '../../src/csi/connection.ts';
import { inspectFiles, makeFolders } from '../../src/csi/embedded.ts';

const FS = '$' + '{fs}';
const none: Connection = {
  name: undefined,
  metaUrl: undefined,
  storage: undefined,
  bucket: undefined,
  accessKey: undefined,
  secretKey: undefined,
};
const fileSystem = `pvc-${'0a'.repeat(16)}`;
const embedded = '/e';

const refused = (work: () => unknown, ...codes: ('refused' | 'bad-input' | 'unsupported')[]): void =>
  assert.throws(work, (error) => {
    assert(hasCode(error, ...codes), String(error));
    return true;
  });

test('in embedded mode a Secret needs no connection: each volume gets its own folder', () => {
  assert.equal(isPerVolume(none, embedded), true);
  const place = placeOf(none, { embedded, fileSystem });
  assert.equal(place.name, fileSystem);
  assert.equal(place.metaUrl, `sqlite3:///e/${fileSystem}/meta.db`);
  assert.equal(place.bucket, `/e/${fileSystem}/objects/`);
});

test('the placeholder must separate metadata and objects alike', () => {
  const own = { ...none, metaUrl: `sqlite3:///e/${FS}.db`, name: 'demo', bucket: `/e/${FS}/` };
  assert.equal(isPerVolume(own, embedded), true);
  assert.equal(isPerVolume({ ...own, metaUrl: 'sqlite3:///e/m.db', bucket: '/e/o/' }, embedded), false);
  refused(() => isPerVolume({ ...own, bucket: '/e/o/' }, embedded), 'bad-input');
  refused(() => isPerVolume({ ...own, metaUrl: 'sqlite3:///e/m.db' }, embedded), 'bad-input');
});

test('node paths outside the embedded directory are refused, whatever way they are written', () => {
  const shared = { ...none, name: 'demo', metaUrl: 'sqlite3:///e/m.db', bucket: '/e/o/' };
  assert.equal(placeOf(shared, { embedded, fileSystem: undefined }).files.database, '/e/m.db');
  const bad = ['/etc', '/e/../etc', '/e', '/e/', '/ex/o', 'e/o', '/e//o', '/e/./o', '/e/o/..', '/e/a\0b'];
  for (const path of bad) {
    refused(() => placeOf({ ...shared, bucket: path }, { embedded, fileSystem }), 'refused');
    refused(() => placeOf({ ...shared, metaUrl: `sqlite3://${path}` }, { embedded, fileSystem }), 'refused');
  }
  refused(() => placeOf(shared, { embedded: undefined, fileSystem }), 'refused');
});

test('other engines and stores are refused by name', () => {
  const shared = { ...none, name: 'demo', metaUrl: 'sqlite3:///e/m.db', bucket: '/e/o/' };
  refused(() => placeOf({ ...shared, metaUrl: 'redis://:canary@h/1' }, { embedded, fileSystem }), 'unsupported');
  refused(() => placeOf({ ...shared, storage: 'mem' }, { embedded, fileSystem }), 'unsupported');
});

test("names: 63 characters at most after substitution, the original client's alphabet", () => {
  const named = (name: string): Connection => ({
    ...none,
    name,
    metaUrl: `sqlite3:///e/${FS}.db`,
    bucket: `/e/${FS}/`,
  });
  placeOf(named(`team-${FS}`), { embedded, fileSystem });
  refused(() => placeOf(named(`${'t'.repeat(28)}${FS}`), { embedded, fileSystem }), 'bad-input');
  refused(() => placeOf(named('a/../b'), { embedded, fileSystem }), 'bad-input');
  refused(() => placeOf(named(`x-${FS}`), { embedded, fileSystem: undefined }), 'bad-input');
});

test('credentials are no part of what a file system is recognised by', () => {
  const place = placeOf(none, { embedded, fileSystem });
  const withUser = { ...place, metaUrl: 'postgres://user:canary@h/db', accessKey: 'canary', secretKey: 'canary' };
  assert.deepEqual(identityOf(withUser)[0], 'postgres://h/db');
  assert(!JSON.stringify(identityOf(withUser)).includes('canary'));
});

test('on the disk no link below the embedded directory is followed', async () => {
  const root = mkdtempSync(join(tmpdir(), 'pageseal-embedded-'));
  after(() => rmSync(root, { recursive: true, force: true }));
  const base = join(root, 'base');
  mkdirSync(join(root, 'outside'));
  mkdirSync(base);
  symlinkSync('../outside', join(base, 'link'));
  const isRefused = (error: unknown): boolean => hasCode(error, 'refused');
  await assert.rejects(makeFolders(base, `${base}/link/m.db`, `${base}/o`), isRefused);
  await assert.rejects(inspectFiles(base, `${base}/m.db`, `${base}/link`), isRefused);
  await assert.rejects(inspectFiles(base, `${base}/link/m.db`, `${base}/o`), isRefused);

  await makeFolders(base, `${base}/a/m.db`, `${base}/a/objects`);
  assert.equal(await inspectFiles(base, `${base}/a/m.db`, `${base}/a/objects`), 'missing');
  writeFileSync(join(base, 'a/m.db'), '');
  assert.equal(await inspectFiles(base, `${base}/a/m.db`, `${base}/a/objects`), 'present');
  symlinkSync('../../outside', join(base, 'a/n.db'));
  await assert.rejects(inspectFiles(base, `${base}/a/n.db`, `${base}/a/objects`), isRefused);
});
