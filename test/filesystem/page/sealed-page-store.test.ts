// The page store: what goes in comes out, everything else is refused, counted and named; each bound holds.
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import { fail } from '../../../src/base/errors.ts';
import { counter } from '../../../src/base/metrics.ts';
import { VolumeKey } from '../../../src/filesystem/keys/volume-key.ts';
import { Ledger } from '../../../src/filesystem/page/ledger.ts';
import type { PageStore } from '../../../src/filesystem/page/page-store.ts';
import { openPageStore, type PageStoreOptions } from '../../../src/filesystem/page/sealed-page-store.ts';
import { MemStore } from '../../../src/filesystem/store/mem-store.ts';
import { RetryingStore, storeRetry } from '../../../src/filesystem/store/retrying-store.ts';
import { collectingLog } from './collecting-log.ts';

const UUID = '6f0c1a52-3c1e-4b7d-9b0a-2f6f6f1f9d11';
const key = new VolumeKey(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey);
const keys = Ledger.create(UUID);

/** Counts calls, can hold gets back, can fail puts. */
class WatchedStore extends MemStore {
  gets = 0;
  puts: Buffer[] = [];
  failPuts = 0;
  /** So many answers are cut off. */
  spoilt = 0;
  hold: Promise<void> = Promise.resolve();
  most = 0;
  #running = 0;

  override async get(name: string, signal?: AbortSignal, maxBytes?: number): Promise<Buffer> {
    this.gets++;
    this.most = Math.max(this.most, ++this.#running);
    await this.hold;
    this.#running--;
    const object = await super.get(name, signal, maxBytes);
    return this.spoilt-- > 0 ? object.subarray(0, object.length - 1) : object;
  }

  override async put(name: string, parts: readonly Buffer[], signal?: AbortSignal): Promise<void> {
    this.puts.push(Buffer.concat(parts));
    if (this.failPuts-- > 0) throw fail('store-unavailable', 'put: as told');
    return super.put(name, parts, signal);
  }
}

const opened: PageStore[] = [];
after(() => Promise.all(opened.map((each) => each.close())));

function open(options: Partial<PageStoreOptions> = {}): { pages: PageStore; store: WatchedStore; lines: string[] } {
  const store = new WatchedStore(`pages-${Math.random()}`);
  const { log, lines } = collectingLog();
  const pages = openPageStore({
    store,
    volumeName: 'v',
    hashPrefix: false,
    pageSize: 1 << 20,
    compression: 'zstd',
    encryptAlgo: 'aes256gcm-rsa',
    key,
    ledger: { keys, mode: 'strict' },
    cacheBytes: 0,
    log,
    ...options,
  });
  opened.push(pages);
  return { pages, store, lines };
}

const place = (sliceId: number, length: number, indx = 0) => ({ sliceId: BigInt(sliceId), indx, length });

test('what was spoilt on its way is fetched once more, what is damaged is refused', async () => {
  const { pages, store, lines } = open();
  const plain = randomBytes(1000);
  const entry = await pages.write(place(1, 1000), plain);
  store.spoilt = 1;
  assert.deepEqual(await pages.read(place(1, 1000), entry), plain);
  assert.deepEqual([store.gets, lines.length], [2, 0]);
  store.spoilt = 2;
  await assert.rejects(pages.read(place(1, 1000), entry), { code: 'page-damaged' });
  assert.deepEqual([store.gets, lines.length], [4, 1]);
});

describe('round trips', () => {
  const variants = ['none', 'lz4', 'zstd'].flatMap((compression) =>
    ['aes256gcm-rsa', 'chacha20-rsa', undefined].map((encryptAlgo) => ({ compression, encryptAlgo })),
  );
  for (const { compression, encryptAlgo } of variants) {
    test(`${compression}, ${encryptAlgo ?? 'not encrypted'}, inline and on threads`, async () => {
      const encrypted = encryptAlgo !== undefined && { encryptAlgo };
      const { pages } = open({ compression, ...(encrypted || { key: undefined, ledger: undefined }) });
      assert.equal(pages.encrypted, encryptAlgo !== undefined);
      let sliceId = 1;
      const content = fc.oneof(fc.uint8Array({ minLength: 1, maxLength: 500 }), fc.constant(randomBytes(66_000)));
      await fc.assert(
        fc.asyncProperty(content, fc.integer({ min: 1, max: 300 }), async (seed, times) => {
          const plain = Buffer.concat(Array.from({ length: seed.length > 500 ? 2 : times }, () => seed));
          const at = place(sliceId++, plain.length);
          const row = await pages.write(at, plain);
          assert.equal(row !== undefined, pages.encrypted);
          assert.deepEqual(await pages.read(at, row), plain);
        }),
        { numRuns: 25 },
      );
    });
  }

  test('from shared memory, which stays as it is', async () => {
    const { pages } = open();
    const plain = Buffer.from(new SharedArrayBuffer(200_000)).fill('shared ');
    const copy = Buffer.from(plain);
    const row = await pages.write(place(1, plain.length), plain);
    assert.deepEqual(plain, copy);
    assert.deepEqual(await pages.read(place(1, plain.length), row), copy);
  });

  test('many pages at once', async () => {
    const { pages } = open();
    const all = Array.from({ length: 30 }, (_, i) => Buffer.alloc(70_000 + i, `page ${i} `));
    const rows = await Promise.all(all.map((plain, i) => pages.write(place(i + 1, plain.length), plain)));
    const read = await Promise.all(all.map((plain, i) => pages.read(place(i + 1, plain.length), rows[i])));
    assert.deepEqual(read, all);
  });
});

test('no two objects share a key, a nonce or a tag, even of the same bytes', async () => {
  const { pages, store } = open({ compression: 'none' });
  const plain = Buffer.alloc(1000, 7);
  for (let i = 1; i <= 20; i++) await pages.write(place(i, 1000), plain);
  const nonces = new Set(store.puts.map((object) => object.subarray(259, 271).toString('hex')));
  const wrapped = new Set(store.puts.map((object) => object.subarray(3, 259).toString('hex')));
  const tags = new Set(store.puts.map((object) => object.subarray(-16).toString('hex')));
  assert.deepEqual([nonces.size, wrapped.size, tags.size], [20, 20, 20]);
  assert.ok(store.puts.every((object) => object.length === 1000 + 287));
});

test('a retried upload sends the same bytes, and a place is sealed once', async () => {
  const flaky = new WatchedStore('flaky');
  flaky.failPuts = 2;
  const { pages } = open({ store: new RetryingStore(flaky, { ...storeRetry, baseMs: 1, capMs: 1 }) });
  const plain = Buffer.alloc(500, 1);
  const row = await pages.write(place(1, 500), plain);
  assert.equal(flaky.puts.length, 3);
  assert.equal(new Set(flaky.puts.map((object) => object.toString('hex'))).size, 1);
  assert.deepEqual(await pages.read(place(1, 500), row), plain);
  await assert.rejects(pages.write(place(1, 500), plain), { code: 'internal' });
  assert.equal(flaky.puts.length, 3);
});

test('what the store says comes through', async () => {
  const { pages, store } = open();
  store.failPuts = 1;
  await assert.rejects(pages.write(place(1, 10), Buffer.alloc(10)), { code: 'store-unavailable' });
  await assert.rejects(pages.write(place(2, 10), Buffer.alloc(10), AbortSignal.abort()), { code: 'cancelled' });
  await assert.rejects(pages.write(place(3, 10), Buffer.alloc(11)), { code: 'internal' });
});

test('concurrent reads of a page share one fetch; a page in the cache needs none', async () => {
  const { pages, store } = open({ cacheBytes: 1 << 20 });
  const plain = Buffer.alloc(5000, 'abc');
  const row = await pages.write(place(1, 5000), plain);
  const all = await Promise.all(Array.from({ length: 10 }, () => pages.read(place(1, 5000), row)));
  assert.ok(all.every((page) => page.equals(plain)));
  assert.equal(store.gets, 1);
  assert.equal(await pages.read(place(1, 5000), row), all[0]);
  assert.equal(pages.cached(place(1, 5000)), all[0]);
  assert.equal(pages.cached(place(2, 5000)), undefined);
  assert.equal(store.gets, 1);
});

test('a page that was cached without a row is checked when there is one', async () => {
  const { pages, store } = open({ cacheBytes: 1 << 20, ledger: { keys, mode: 'lenient' } });
  const row = await pages.write(place(1, 100), Buffer.alloc(100, 1));
  await pages.read(place(1, 100), undefined);
  await pages.read(place(1, 100), row);
  assert.equal(store.gets, 2);
});

test('a cancelled reader leaves, the others get their page', async () => {
  const { pages, store } = open();
  const row = await pages.write(place(1, 100), Buffer.alloc(100, 1));
  const { promise, resolve } = Promise.withResolvers<void>();
  store.hold = promise;
  const abort = new AbortController();
  const leaving = pages.read(place(1, 100), row, abort.signal);
  const staying = pages.read(place(1, 100), row);
  abort.abort();
  await assert.rejects(leaving, { code: 'cancelled' });
  await assert.rejects(pages.read(place(1, 100), row, abort.signal), { code: 'cancelled' });
  resolve();
  assert.equal((await staying).length, 100);
  assert.equal(store.gets, 1);
});

test('so many downloads at once and no more', async () => {
  const { pages, store } = open({ pageSize: 16 << 20 });
  const rows = await Promise.all(
    Array.from({ length: 9 }, (_, i) => pages.write(place(i + 1, 100), Buffer.alloc(100))),
  );
  await Promise.all(rows.map((row, i) => pages.read(place(i + 1, 100), row)));
  assert.equal(store.most, 4);
});

test('remove takes every page of the slice, and pages that are missing are fine', async () => {
  const { pages, store } = open({ pageSize: 65_536, cacheBytes: 1 << 20 });
  const size = 65_536 * 2 + 10;
  for (let indx = 0; indx < 3; indx++) {
    const length = indx === 2 ? 10 : 65_536;
    await pages.read(place(5, length, indx), await pages.write(place(5, length, indx), Buffer.alloc(length)));
  }
  await pages.write(place(50, 10), Buffer.alloc(10));
  await pages.remove(5n, size);
  await pages.remove(5n, size);
  const left = [];
  for await (const { key: name } of store.list('')) left.push(name);
  assert.deepEqual(left, ['v/chunks/0/0/50_0_10']);
  assert.equal(pages.cached(place(5, 65_536)), undefined);
});

test('a missing object and a swapped one are counted and named, in one line each', async () => {
  const { pages, store, lines } = open();
  const a = await pages.write(place(1, 100), Buffer.alloc(100, 1));
  const b = await pages.write(place(2, 100), Buffer.alloc(100, 2));
  await store.put('v/chunks/0/0/1_0_100', [await store.get('v/chunks/0/0/2_0_100')]);
  const swapped = counter('pageseal_page_failures_total', '', { name: 'reason', value: 'page-mismatch' });
  const before = swapped.value;
  const results = await Promise.allSettled([1, 2, 3].map(() => pages.read(place(1, 100), a)));
  assert.ok(results.every((each) => each.status === 'rejected' && each.reason.code === 'page-mismatch'));
  assert.equal(swapped.value, before + 1);
  assert.equal((await pages.read(place(2, 100), b))[0], 2);
  await pages.remove(2n, 100);
  await assert.rejects(pages.read(place(2, 100), b), { code: 'object-missing', message: /v\/chunks\/0\/0\/2_0_100/ });
  assert.equal(lines.length, 2);
  assert.match(lines[0] ?? '', /1_0_100.*page-mismatch/);
  assert.match(lines[1] ?? '', /2_0_100.*object-missing/);
});

test('lenient: a page without a row opens by its wrapped key, and is counted', async () => {
  const { pages } = open({ ledger: { keys, mode: 'lenient' } });
  await pages.write(place(1, 100), Buffer.alloc(100, 1));
  const count = counter('pageseal_pages_without_ledger_total', '');
  const before = count.value;
  assert.equal((await pages.read(place(1, 100), undefined))[0], 1);
  assert.equal(count.value, before + 1);
});

test('strict: no row, no page, and the store is not even asked', async () => {
  const { pages, store } = open();
  await pages.write(place(1, 100), Buffer.alloc(100, 1));
  await assert.rejects(pages.read(place(1, 100), undefined), { code: 'page-unledgered' });
  assert.equal(store.gets, 0);
});

test('without a ledger an encrypted volume is read, never written', async () => {
  const { pages, store } = open({ ledger: undefined });
  await assert.rejects(pages.write(place(1, 100), Buffer.alloc(100)), { code: 'failed-precondition' });
  assert.equal(store.puts.length, 0);
});

test('an unencrypted volume refuses objects of a wrong length', async () => {
  for (const [compression, object] of [
    ['none', Buffer.alloc(99)],
    ['none', Buffer.alloc(101)],
    ['none', Buffer.alloc(0)],
    ['zstd', Buffer.alloc(50)],
    ['lz4', Buffer.alloc(400)],
  ] as const) {
    const { pages, store } = open({ compression, key: undefined, ledger: undefined });
    await store.put('v/chunks/0/0/1_0_100', [object]);
    await assert.rejects(pages.read(place(1, 100), undefined), { code: 'page-damaged' });
  }
});

test('settings that nobody can mean are refused', () => {
  assert.throws(() => open({ pageSize: 3 << 20 }), { code: 'metadata-damaged' });
  assert.throws(() => open({ compression: 'brotli' }), { code: 'unsupported' });
  assert.throws(() => open({ encryptAlgo: 'sm4gcm' }), { code: 'unsupported' });
});
