// The memory cache: bounded by bytes, and it vouches only for what it was given.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PageCache } from '../../../src/filesystem/cache/page-cache.ts';

const page = (bytes: number, value = 0): Buffer => Buffer.alloc(bytes, value);
const tag = Buffer.alloc(16, 1);

test('forgets what was used longest ago, never holding more than its limit', () => {
  const cache = new PageCache(30_000);
  for (let indx = 0; indx < 3; indx++) cache.set(1n, indx, page(9000, indx), tag);
  assert.ok(cache.get(1n, 0, 9000));
  cache.set(1n, 3, page(9000, 3), tag);
  assert.ok(cache.bytes <= 30_000);
  assert.deepEqual(
    [0, 1, 2, 3].map((indx) => cache.get(1n, indx, 9000)?.[0]),
    [0, undefined, 2, 3],
  );
  cache.set(2n, 0, page(40_000), tag);
  assert.equal(cache.get(2n, 0, 40_000), undefined, 'larger than the cache');
  assert.equal(cache.get(1n, 3, 9000)?.[0], 3, 'and it pushed nothing out');
});

test('answers only for the length and the tag that the page was opened with', () => {
  const cache = new PageCache(1e6);
  cache.set(1n, 0, page(100), tag);
  cache.set(1n, 1, page(100), undefined);
  assert.ok(cache.get(1n, 0, 100, tag));
  assert.equal(cache.get(1n, 0, 99), undefined);
  assert.equal(cache.get(1n, 0, 100, Buffer.alloc(16, 2)), undefined);
  assert.equal(cache.get(1n, 1, 100, tag), undefined, 'nobody vouched for it');
  assert.ok(cache.get(1n, 1, 100));
  assert.equal(cache.get(2n, 0, 100), undefined);
});

test('forgets on request', () => {
  const cache = new PageCache(1e6);
  cache.set(1n, 0, page(100), tag);
  cache.delete(1n, 0);
  assert.equal(cache.get(1n, 0, 100), undefined);
  cache.set(1n, 0, page(100), tag);
  cache.clear();
  assert.equal(cache.bytes, 0);
});
