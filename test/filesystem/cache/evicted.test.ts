// Memory of evicted pages goes when, and only when, no read that may show them is under way.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MiB } from '../../../src/base/units.ts';
import { EvictedPages } from '../../../src/filesystem/cache/evicted.ts';

const page = (): Buffer => Buffer.alloc(MiB, 1);

test('a page goes at once when nobody reads', () => {
  const evicted = new EvictedPages();
  const gone = page();
  evicted.add(gone);
  assert.equal(gone.length, 0);
});

test('a page waits for the reads begun before it left, and for no later one', () => {
  const evicted = new EvictedPages();
  const first = evicted.hold();
  const second = evicted.hold();
  const held = page();
  evicted.add(held);
  const later = evicted.hold();
  first();
  assert.equal(held.length, MiB);
  second();
  assert.equal(held.length, 0);
  later();
});

test('told twice is told once', () => {
  const evicted = new EvictedPages();
  const other = evicted.hold();
  const done = evicted.hold();
  done();
  done();
  const held = page();
  evicted.add(held);
  assert.equal(held.length, MiB);
  other();
  assert.equal(held.length, 0);
});

test('a reader who never tells keeps what it has; the rest is bounded', () => {
  const evicted = new EvictedPages();
  evicted.hold();
  const pages = Array.from({ length: 40 }, page);
  for (const each of pages) evicted.add(each);
  assert.ok(pages.every((each) => each.length === MiB));
});
