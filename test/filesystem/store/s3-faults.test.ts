// What the S3 store makes of servers and networks under stress: a real server behind a proxy that spoils some requests.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { open as openFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, beforeEach, describe, mock, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { MiB } from '../../../src/base/units.ts';
import { openStore } from '../../../src/filesystem/store/open-store.ts';
import type { ObjectStore, StoreSettings } from '../../../src/filesystem/store/store.ts';
import { S3Server } from '../../harness/s3.ts';
import {
  expiredToken,
  noSpace,
  redirect,
  type S3Fault,
  S3Proxy,
  type SeenRequest,
  skewed,
  slowDown,
} from '../../harness/s3-proxy.ts';
import { makeTemp } from '../../harness/temp.ts';
import { needs } from '../../harness/tools.ts';

const temp = makeTemp();
const unknown: S3Fault = { kind: 'answer', status: 501, code: 'NotImplemented' };
const denied: S3Fault = { kind: 'answer', status: 403, code: 'AccessDenied' };
const isMethod =
  (method: string) =>
  (seen: SeenRequest): boolean =>
    seen.method === method;
const [isGet, isPut] = [isMethod('GET'), isMethod('PUT')];

describe('S3 under stress', needs('versitygw', 'openssl'), () => {
  let server: S3Server;
  let proxy: S3Proxy;
  let store: ObjectStore;
  let folder: string;
  const settings = (): StoreSettings => ({
    storage: 's3',
    bucket: proxy.url('stressed'),
    accessKey: server.accessKey,
    secretKey: server.secretKey,
    caBundle: server.authority.pem,
  });

  before(async () => {
    server = await S3Server.start(temp);
    server.createBucket('stressed');
    folder = join(server.folder, 'stressed');
    proxy = await S3Proxy.start(temp, server);
  });
  beforeEach(async () => {
    proxy.heal();
    store = await openStore(settings());
    proxy.seen.length = 0;
  });
  const bytes = Buffer.alloc(MiB, 'bytes of a page ');
  const wrote = (key: string): Buffer => readFileSync(join(folder, key));

  test('too many requests, resets and lost answers are tried again', async () => {
    const asked = { ...slowDown, headers: { 'retry-after': '1' } };
    proxy.inject(asked, isPut, 1);
    proxy.inject({ kind: 'lose' }, isPut, 1);
    const began = performance.now();
    await store.put('v/stress/a', [bytes.subarray(0, 100), bytes.subarray(100)]);
    assert.ok(performance.now() - began > 990, 'the pause that the server asked for');
    assert.ok(wrote('v/stress/a').equals(bytes));
    proxy.inject({ kind: 'cut', bytes: 300_000 }, isGet, 2);
    assert.ok((await store.get('v/stress/a')).equals(bytes));
    assert.deepEqual(proxy.counts(), { PUT: 3, GET: 3 });
  });

  test('a body that is too short is noticed by its checksum', async () => {
    await store.put('v/stress/short', [bytes]);
    proxy.inject({ kind: 'short', bytes: 1000 }, isGet, 1);
    assert.ok((await store.get('v/stress/short')).equals(bytes));
    assert.equal(proxy.counts()['GET'], 2);
  });

  test('a new key whose answer was lost is not a conflict, another object under it is, and stays', async () => {
    proxy.inject({ kind: 'lose' }, isPut, 1);
    proxy.inject({ kind: 'short', bytes: 1000 }, isGet, 1);
    await store.put('v/stress/new', [bytes], undefined, { onlyNew: true });
    const other = Buffer.alloc(MiB, 'other bytes ');
    await assert.rejects(store.put('v/stress/new', [other], undefined, { onlyNew: true }), { code: 'conflict' });
    assert.ok(wrote('v/stress/new').equals(bytes));
    await store.put('v/stress/new', [other]);
    assert.ok(wrote('v/stress/new').equals(other), 'without the condition it is replaced');
  });

  test('what no attempt mends is told at once, in words that say what to do', async () => {
    for (const [fault, code] of [
      [denied, 'permission-denied'],
      [expiredToken, 'unauthenticated'],
      [noSpace, 'store-full'],
      [{ kind: 'answer', status: 400, code: 'InvalidDigest' }, 'EIO'],
    ] as const) {
      proxy.heal();
      proxy.seen.length = 0;
      proxy.inject(fault);
      await assert.rejects(store.put('v/stress/never', [bytes]), (error: Error & { code: string; hint?: string }) => {
        assert.equal(error.code, code);
        assert.ok(!`${error.message}${error.hint}${error.cause}`.includes(server.accessKey), 'no key in it');
        return true;
      });
      assert.equal(proxy.seen.length, 1, code);
    }
  });

  test('a clock that is off is corrected by the server’s', async () => {
    proxy.inject(skewed(3 * 3_600_000), isPut, 1);
    await store.put('v/stress/clock', [bytes]);
    assert.ok(wrote('v/stress/clock').equals(bytes));
    proxy.inject(skewed(-3 * 3_600_000));
    await assert.rejects(store.head('v/stress/clock'), { code: 'store-unavailable', message: /clock is 180 minutes/ });
  });

  test('a redirect to http is refused by the transport rule, once', async () => {
    proxy.inject(redirect('http://127.0.0.1:1/stressed/v/stress/r'));
    const refused = { code: 'refused', message: /redirect .* transport rule/, hint: /--allow-insecure-loopback/ };
    await assert.rejects(store.get('v/stress/r'), refused);
    await assert.rejects(store.put('v/stress/r', [bytes]), refused);
    assert.equal(proxy.seen.length, 2);
  });

  test('a request that hangs is given up after a while, and tried again', async () => {
    await store.put('v/stress/late', [bytes]);
    proxy.inject({ kind: 'hang' }, isGet, 1);
    mock.timers.enable({ apis: ['setTimeout'] });
    try {
      const read = store.get('v/stress/late', undefined, MiB);
      // Half a minute, and a mebibyte at the slowest rate; then the pause before the next attempt.
      while (proxy.counts()['GET'] === undefined) await setImmediate();
      mock.timers.tick(37_000);
      assert.equal(proxy.counts()['GET'], 1);
      for (mock.timers.tick(1001); proxy.counts()['GET'] !== 2; mock.timers.tick(100)) await setImmediate();
      assert.ok((await read).equals(bytes));
    } finally {
      mock.timers.reset();
    }
  });

  test('a signal ends a request that hangs', async () => {
    proxy.inject({ kind: 'hang' });
    const abort = new AbortController();
    const hanging = store.get('v/stress/hangs', abort.signal);
    setTimeout(() => abort.abort(), 50);
    await assert.rejects(hanging, { code: 'cancelled' });
  });

  test('stores that know neither checksums nor conditions are spoken to without', async () => {
    proxy.inject(unknown, isPut, 2);
    await store.put('v/stress/old', [bytes], undefined, { onlyNew: true });
    assert.ok(wrote('v/stress/old').equals(bytes));
    await store.put('v/stress/old', [Buffer.from('replaced')], undefined, { onlyNew: true });
    assert.equal(proxy.counts()['PUT'], 4);
    assert.equal(wrote('v/stress/old').toString(), 'replaced');
  });

  describe('many objects', () => {
    const keys = Array.from({ length: 2100 }, (_, i) => `v/many/${String(i).padStart(4, '0')}${i % 3 ? '' : '-x'}`);
    const make = (): void => {
      mkdirSync(join(folder, 'v/many'), { recursive: true });
      for (const key of keys) writeFileSync(join(folder, key), key);
    };
    const listed = async (): Promise<string[]> => {
      const found: string[] = [];
      for await (const { key, size } of store.list('v/many/')) {
        assert.equal(size, key.length);
        found.push(key);
      }
      return found;
    };

    test('a listing goes on where it was interrupted, each key once', async () => {
      make();
      let pages = 0;
      proxy.inject(slowDown, (seen) => seen.query.has('list-type') && [1, 3].includes(pages++), 2);
      assert.deepEqual(await listed(), keys.toSorted());
      assert.equal(proxy.counts()['LIST'], 5);
    });

    test('an older server lists them, too', async () => {
      make();
      proxy.inject(unknown, (seen) => seen.query.has('list-type'));
      assert.deepEqual(await listed(), keys.toSorted());
    });

    test('they are deleted by the thousand, one by one where the server has no batches', async () => {
      make();
      await store.deleteMany(keys);
      assert.deepEqual(proxy.counts(), { POST: 3 });
      assert.deepEqual(await listed(), []);
      make();
      proxy.inject(unknown, isMethod('POST'));
      await store.deleteMany(keys.slice(0, 20));
      assert.deepEqual(proxy.counts(), { POST: 4, LIST: 1, DELETE: 20 });
    });
  });

  test('a long file goes in parts, of which none stays when one fails', async () => {
    const path = temp.at('long');
    const long = Buffer.alloc(20 * MiB + 7, 'a long file, its parts differ ');
    writeFileSync(path, long);
    const file = await openFile(path);
    try {
      proxy.inject(slowDown, (seen) => seen.query.get('partNumber') === '2', 1);
      await store.putFile('v/stress/long', file, long.length);
      assert.ok(wrote('v/stress/long').equals(long));
      assert.equal(proxy.counts()['PUT'], 4);
      await store.put('v/stress/together', [long, long.subarray(0, 13 * MiB)]);
      assert.equal(wrote('v/stress/together').length, 33 * MiB + 7);
      proxy.inject(denied, (seen) => seen.query.get('partNumber') === '3');
      await assert.rejects(store.putFile('v/stress/lost', file, long.length), { code: 'permission-denied' });
      assert.equal(proxy.counts()['DELETE'], 1);
      assert.equal(await store.head('v/stress/lost'), undefined);
      const left = readdirSync(folder, { recursive: true }).filter((name) => /sgwtmp.*multipart.*\//.test(`${name}`));
      assert.deepEqual(left, []);
    } finally {
      await file.close();
    }
  });
});
