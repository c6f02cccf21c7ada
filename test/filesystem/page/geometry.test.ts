// Chunk, slice and page arithmetic: the pieces cover what was asked for, once, in order.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  CHUNK_SIZE,
  isPageSize,
  isSliceSize,
  MAX_PAGE_SIZE,
  MIN_PAGE_SIZE,
  nearestPageSize,
  pageCount,
  pageLength,
  pagesUnder,
} from '../../../src/filesystem/page/geometry.ts';

const pageSize = fc.integer({ min: 16, max: 24 }).map((bits) => 2 ** bits);
const sliceSize = fc.integer({ min: 1, max: CHUNK_SIZE });

test('pages of a slice add up to it', () => {
  fc.assert(
    fc.property(sliceSize, pageSize, (size, page) => {
      let sum = 0;
      for (let indx = 0; indx < pageCount(size, page); indx++) {
        const length = pageLength(size, indx, page);
        assert.ok(length >= 1 && length <= page);
        sum += length;
      }
      assert.equal(sum, size);
    }),
  );
});

test('the runs under a range cover it, in order, inside their pages', () => {
  fc.assert(
    fc.property(sliceSize, pageSize, fc.nat(CHUNK_SIZE), fc.nat(CHUNK_SIZE), (size, page, off, len) => {
      let at = off;
      for (const run of pagesUnder(size, off, len, page)) {
        assert.equal(run.indx * page + run.from, at);
        assert.equal(run.length, pageLength(size, run.indx, page));
        assert.ok(run.bytes > 0 && run.from + run.bytes <= run.length);
        at += run.bytes;
      }
      assert.equal(at, Math.max(off, Math.min(off + len, size)));
    }),
  );
});

test('page sizes are powers of two within the limits, and wishes are rounded down to one', () => {
  assert.deepEqual([1, 65535, 65536, 65537, 100_000, 4 << 20, (4 << 20) + 1, 16 << 20, 64 << 20].map(nearestPageSize), [
    65536,
    65536,
    65536,
    65536,
    65536,
    4 << 20,
    4 << 20,
    16 << 20,
    16 << 20,
  ]);
  fc.assert(fc.property(fc.integer({ min: 1 }), (wish) => isPageSize(nearestPageSize(wish))));
  for (const bad of [0, 1, 32768, 65537, 3 << 20, 32 << 20, Number.NaN, 65536.5, -65536])
    assert.equal(isPageSize(bad), false);
  assert.ok(isPageSize(MIN_PAGE_SIZE) && isPageSize(MAX_PAGE_SIZE));
  assert.deepEqual([0, 1, CHUNK_SIZE, CHUNK_SIZE + 1, 1.5].map(isSliceSize), [false, true, true, false, false]);
});
