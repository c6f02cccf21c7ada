// Where a Secret may lead: placeholder, embedded directory, and links below it.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { hasCode } from '../../src/base/errors.ts';
import { parseEndpoints } from '../../src/config/endpoints.ts';
import type { Connection } from '../../src/config/secret.ts';
import { storeSettingsOf } from '../../src/connection/file-system.ts';
import { identityOf, isPerVolume, type Place, placeOf } from '../../src/connection/place.ts';
import { inspectFiles, makeFolders } from '../../src/csi/embedded.ts';
import { parseMetaUrl } from '../../src/filesystem/sql/url.ts';

const FS = '$' + '{fs}';
const none: Connection = {
  name: undefined,
  metaUrl: undefined,
  storage: undefined,
  bucket: undefined,
  accessKey: undefined,
  secretKey: undefined,
  sessionToken: undefined,
  metaPassword: undefined,
  caBundle: undefined,
  clientCertificate: undefined,
  clientKey: undefined,
};
const rules = { embedded: undefined, endpoints: parseEndpoints(''), ambientCredentials: false };
const fileSystem = `pvc-${'0a'.repeat(16)}`;
const embedded = '/e';

const refused = (work: () => unknown, ...codes: ('refused' | 'bad-input' | 'unsupported')[]): void =>
  assert.throws(work, (error) => {
    assert(hasCode(error, ...codes), String(error));
    assert(!`${error.message} ${error.hint}`.includes('canary'), error.message);
    return true;
  });

const refusedFor = (what: string, ...args: Parameters<typeof refused>): void => {
  try {
    refused(...args);
  } catch (cause) {
    throw new Error(what, { cause });
  }
};

const PEM = '-----BEGIN CERTIFICATE-----\nAA+/==\n-----END CERTIFICATE-----\n';

test('in embedded mode a Secret needs no connection: each volume gets its own folder', () => {
  assert.equal(isPerVolume(none, embedded), true);
  const place = placeOf(none, { ...rules, embedded, fileSystem });
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
  assert.equal(placeOf(shared, { ...rules, embedded, fileSystem: undefined }).files.database, '/e/m.db');
  const bad = ['/etc', '/e/../etc', '/e', '/e/', '/ex/o', 'e/o', '/e//o', '/e/./o', '/e/o/..', '/e/a\0b'];
  for (const path of bad) {
    refused(() => placeOf({ ...shared, bucket: path }, { ...rules, embedded, fileSystem }), 'refused');
    refused(() => placeOf({ ...shared, metaUrl: `sqlite3://${path}` }, { ...rules, embedded, fileSystem }), 'refused');
  }
  refused(() => placeOf(shared, { ...rules, fileSystem }), 'refused');
});

test('other engines and stores are refused by name', () => {
  const shared = { ...none, name: 'demo', metaUrl: 'sqlite3:///e/m.db', bucket: '/e/o/' };
  refused(
    () => placeOf({ ...shared, metaUrl: 'redis://:canary@h/1' }, { ...rules, embedded, fileSystem }),
    'unsupported',
  );
  refused(() => placeOf({ ...shared, storage: 'mem' }, { ...rules, embedded, fileSystem }), 'unsupported');
});

test("names: 63 characters at most after substitution, the original client's alphabet", () => {
  const named = (name: string): Connection => ({
    ...none,
    name,
    metaUrl: `sqlite3:///e/${FS}.db`,
    bucket: `/e/${FS}/`,
  });
  placeOf(named(`team-${FS}`), { ...rules, embedded, fileSystem });
  refused(() => placeOf(named(`${'t'.repeat(28)}${FS}`), { ...rules, embedded, fileSystem }), 'bad-input');
  refused(() => placeOf(named('a/../b'), { ...rules, embedded, fileSystem }), 'bad-input');
  refused(() => placeOf(named(`x-${FS}`), { ...rules, embedded, fileSystem: undefined }), 'bad-input');
});

const remote: Connection = {
  ...none,
  name: 'demo',
  metaUrl: 'postgres://me:canary@db.example:5433/meta?search_path=vol',
  storage: 's3',
  bucket: 'https://objects.example/bucket',
  accessKey: 'canary-id',
  secretKey: 'canary',
};
const at = (changed: Partial<Connection>, more: object = {}): Place =>
  placeOf({ ...remote, ...changed }, { ...rules, fileSystem, ...more });

test('a database and a store elsewhere need no embedded directory', () => {
  const place = at({});
  assert.equal(place.metaUrl, 'postgres://me:canary@db.example:5433/meta?search_path=vol&remote_only=true');
  assert.deepEqual(place.files, { database: undefined, bucket: undefined });
  assert.equal(place.bucket, 'https://objects.example/bucket');
  assert.equal(place.ownSchema, undefined);
});

test('credentials are no part of what a file system is recognised by, nor is the spelling', () => {
  const identity = identityOf(at({ clientCertificate: PEM, clientKey: PEM, caBundle: PEM, sessionToken: 'canary' }));
  assert(!JSON.stringify(identity).includes('canary'));
  assert.equal(identity[0], 'postgres://db.example:5433/meta?search_path=vol&table_prefix=');
  for (const metaUrl of [
    'postgresql://you@db.example:5433/meta?search_path=vol',
    'postgres://me:other@db.example:5433/meta?sslmode=require&search_path=vol&connect_timeout=3',
    'postgres://me:other@db.example:5433/m%65ta?search_path=v%6Fl',
  ])
    assert.deepEqual(identityOf(at({ metaUrl })), identity, metaUrl);
  for (const metaUrl of [
    'postgres://me@db.example/meta?search_path=vol', 'postgres://me@db.example:5433/other?search_path=vol',
    'postgres://me@db.example:5433/meta?search_path=vol2', 'postgres://me@db.example:5433/meta?search_path=vol&table_prefix=p',
  ]) // biome-ignore format: a list
    assert.notDeepEqual(identityOf(at({ metaUrl })), identity, metaUrl);
});

test('password and certificates of the Secret go into the metadata url, and come back whole', () => {
  const parts = { metaPassword: 'p@s/s:?#&=+ %ä', caBundle: PEM, clientCertificate: PEM, clientKey: PEM };
  const { metaUrl } = at({ ...parts, metaUrl: 'postgres://me@db.example/meta' });
  const url = new URL(metaUrl);
  assert.equal(decodeURIComponent(url.password), parts.metaPassword);
  for (const name of ['sslrootcert', 'sslcert', 'sslkey']) assert.equal(url.searchParams.get(name), PEM);
  refused(() => at({ clientCertificate: PEM }), 'bad-input');
  refused(
    () => at({ caBundle: PEM, metaUrl: `postgres://me@h.example/m?sslrootcert=${encodeURIComponent(PEM)}` }),
    'bad-input',
  );
});

test('a tenant names no file, socket or user of the node, no second host, and no clear text', () => {
  const bad = [
    'postgres://me@db.example/m?sslrootcert=/etc/passwd', 'postgres://me@db.example/m?sslkey=/root/.ssh/id_rsa&sslcert=/x',
    'postgres://me@db.example/m?sslrootcert=%2Fetc%2Fpasswd', 'postgres://me@db.example/m?sslrootcert=system',
    'postgres://me@/m?host=/var/run/postgresql', 'postgres:///m?host=/var/run/postgresql', 'postgres://me@%2Fvar%2Frun/m',
    'postgres://me@db.example/m?host=/var/run', 'postgres://me@db.example/m?host=127.0.0.1', 'postgres://me@db.example/m?hostaddr=127.0.0.1',
    'postgres://me@db.example/m?port=1', 'postgres://me@db.example/m?user=x', 'postgres://me@db.example/m?password=x',
    'postgres://me@db.example/m?dbname=host%3D127.0.0.1', 'postgres://me@db.example/m?service=x', 'postgres://me@db.example/m?passfile=/x',
    'postgres://me@db.example/m?sslmode=disable', 'postgres://me@db.example/m?sslmode=prefer', 'postgres://me@db.example/m?sslmode=allow',
    'postgres://me@db.example/m?sslmode=', 'postgres://me@db.example/m?SSLMODE=disable', 'postgres://me@db.example/m?ssl=false',
    'postgres://me@db.example/m?sslmode=verify-full&sslmode=disable', 'postgres://me@db.example/m?search_path=a&search_path=b', 'postgres://me@db.example/m?%73slmode=disable',
    'postgres://me@db.example,127.0.0.1/m', 'postgres://me@db.example:5432,localhost:5432/m', 'postgres://me@127.0.0.1/m',
    'postgres://me@localhost/m', 'postgres://me@[::1]/m', 'postgres://me@[::ffff:127.0.0.1]/m', 'postgres://me@2130706433/m', 'postgres://me@0x7f.1/m',
    'postgres://me@169.254.169.254/m', 'postgres://me@localhost./m', 'postgres://db.example@localhost/m', 'postgres://me:x@db.example@localhost/m',
    'postgres://me@localhost#@db.example/m', 'postgres://me@localhost/@db.example/m', 'postgres://me@localhost?@db.example/m', 'postgres://me@localhost\\@db.example/m',
    'postgres://me@loc%61lhost/m', 'postgres://me@db.example:0/m', 'postgres://me@db.example:99999999/m', 'postgres://me@db.example',
    'postgres://me@db.example/', 'postgres://db.example/m', 'postgres://me@db.example/m?search_path=a,b', 'postgres://me@db.example/m?options=-c%20x',
    'postgres://me@db.example/a/../m', 'postgres://me@db.example/m?search_path=%00', 'postgres://me@ⓛocalhost/m',
  ]; // biome-ignore format: a list
  for (const metaUrl of bad) refusedFor(metaUrl, () => at({ metaUrl }), 'refused', 'bad-input');
});

test('no store in clear text, on this machine, or by the credentials of the node', () => {
  const bad = [
    'http://objects.example/bucket', 'http://bucket.oss-cn-hangzhou-internal.aliyuncs.com', 'https://127.0.0.1/bucket', 'https://localhost:9000/bucket', 'https://x.localhost/',
    'https://bucket.127.0.0.1/', 'https://[::1]/bucket', 'https://2130706433/bucket', 'https://0x7f.1/b', 'https://169.254.169.254/latest', 'https://localhost./b',
    'https://objects.example@localhost/b', 'https://a:b@objects.example/b', 'https://a:canary/x@objects.example/b', 'a:canary@b', 'https://localhost\\@objects.example/b', 'ftp://objects.example/b', 'file:///etc',
  ]; // biome-ignore format: a list
  for (const bucket of bad)
    for (const storage of ['s3', 'minio']) refusedFor(bucket, () => at({ storage, bucket }), 'refused', 'bad-input');
  refused(() => at({ accessKey: undefined, secretKey: undefined }), 'refused');
  assert.equal(at({ accessKey: undefined, secretKey: undefined }, { ambientCredentials: true }).accessKey, undefined);
  refused(() => at({ secretKey: undefined }), 'bad-input');
  refused(() => at({ secretKey: undefined }, { ambientCredentials: true }), 'bad-input');
});

test('whatever a Secret names is never of this machine or its link, once its name is looked up', () => {
  for (const metaUrl of [
    'postgres://me@db.example/m',
    'postgres://me@db.example/m?search_path=a',
    'postgres://me:&remote_only=@db.example/m',
  ]) {
    const place = at({ metaUrl });
    const location = parseMetaUrl(place.metaUrl);
    assert(location.kind === 'postgres' && location.remoteOnly, metaUrl);
    assert.equal(storeSettingsOf(place).remoteOnly, true);
  }
  for (const value of ['true', 'false', ''])
    refused(() => at({ metaUrl: `postgres://me@db.example/m?remote_only=${value}` }), 'bad-input');
});

test('with a list of endpoints the database and the store must both be on it', () => {
  const listed = { endpoints: parseEndpoints('db.example:5433,objects.example') };
  at({}, listed);
  refused(() => at({ metaUrl: 'postgres://me@db.example/meta' }, listed), 'refused');
  refused(() => at({ metaUrl: 'postgres://db.example@evil.example:5433/meta' }, listed), 'refused');
  refused(() => at({ bucket: 'https://objects.example.evil.example/bucket' }, listed), 'refused');
  refused(() => at({ bucket: 'https://objects.example.evil.example' }, listed), 'refused');
  refused(() => at({ bucket: 'bucket' }, listed), 'refused');
  at({ bucket: 'bucket' }, { endpoints: parseEndpoints('db.example,*.amazonaws.com') });
  refused(
    () =>
      at(
        { bucket: 'https://bucket.s3.amazonaws.com.evil.example' },
        { endpoints: parseEndpoints('db.example,*.amazonaws.com') },
      ),
    'refused',
  );
});

test('on PostgreSQL a file system of one volume has a schema of its own, and nothing else may hold the placeholder', () => {
  const own = { ...remote, name: FS, metaUrl: `postgres://me@db.example/meta?sslmode=require&search_path=${FS}` };
  assert.equal(isPerVolume(own, undefined), true);
  const place = at(own);
  assert.equal(place.ownSchema, fileSystem);
  assert.match(place.metaUrl, new RegExp(`[?&]search_path=${fileSystem}&`));
  for (const metaUrl of [
    `postgres://me@db.example/${FS}`, `postgres://${FS}@db.example/m?search_path=${FS}`, `postgres://me@${FS}.example/m`,
    `postgres://me@db.example/m?table_prefix=${FS}`, `postgres://me@db.example/m?search_path=x${FS}`, `postgres://me@db.example/m?search_path=${FS}x`,
  ]) // biome-ignore format: a list
    refusedFor(metaUrl, () => at({ ...own, metaUrl }), 'bad-input');
});

test('on the disk no link below the embedded directory is followed', async () => {
  const root = mkdtempSync(join(tmpdir(), 'pageseal-embedded-'));
  after(() => rmSync(root, { recursive: true, force: true }));
  const base = join(root, 'base');
  mkdirSync(join(root, 'outside'));
  mkdirSync(base);
  symlinkSync('../outside', join(base, 'link'));
  const isRefused = (error: unknown): boolean => hasCode(error, 'refused');
  await assert.rejects(makeFolders(base, { database: `${base}/link/m.db`, bucket: `${base}/o` }), isRefused);
  await assert.rejects(inspectFiles(base, { database: `${base}/m.db`, bucket: `${base}/link` }), isRefused);
  await assert.rejects(inspectFiles(base, { database: `${base}/link/m.db`, bucket: `${base}/o` }), isRefused);

  await makeFolders(base, { database: `${base}/a/m.db`, bucket: `${base}/a/objects` });
  assert.equal(await inspectFiles(base, { database: `${base}/a/m.db`, bucket: `${base}/a/objects` }), 'missing');
  writeFileSync(join(base, 'a/m.db'), '');
  assert.equal(await inspectFiles(base, { database: `${base}/a/m.db`, bucket: `${base}/a/objects` }), 'present');
  symlinkSync('../../outside', join(base, 'a/n.db'));
  await assert.rejects(inspectFiles(base, { database: `${base}/a/n.db`, bucket: `${base}/a/objects` }), isRefused);
});
