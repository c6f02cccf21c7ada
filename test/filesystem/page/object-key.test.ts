// Object keys in both layouts: the format's examples, and back.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { pageObjectKey, parsePageObjectKey, sliceObjectKeys } from '../../../src/filesystem/page/object-key.ts';

const plain = { volumeName: 'demo', hashPrefix: false };
const hashed = { volumeName: 'demo', hashPrefix: true };
const page = (id: number) => ({ sliceId: BigInt(id), indx: 0, length: 4_194_304 });

test('the examples of the format', () => {
  assert.equal(pageObjectKey(plain, page(1)), 'demo/chunks/0/0/1_0_4194304');
  assert.equal(pageObjectKey(plain, page(4096)), 'demo/chunks/0/4/4096_0_4194304');
  assert.equal(pageObjectKey(plain, page(1_234_567)), 'demo/chunks/1/1234/1234567_0_4194304');
  assert.equal(pageObjectKey(hashed, page(1)), 'demo/chunks/01/0/1_0_4194304');
  assert.equal(pageObjectKey(hashed, page(4096)), 'demo/chunks/00/0/4096_0_4194304');
  assert.equal(pageObjectKey(hashed, page(1_234_567)), 'demo/chunks/87/1/1234567_0_4194304');
  assert.equal(pageObjectKey(hashed, page(300)), 'demo/chunks/2C/0/300_0_4194304');
  assert.deepEqual(sliceObjectKeys(plain, 1n, 10 << 20, 4 << 20), [
    'demo/chunks/0/0/1_0_4194304',
    'demo/chunks/0/0/1_1_4194304',
    'demo/chunks/0/0/1_2_2097152',
  ]);
});

test('a key names its page, and other keys none', () => {
  const place = fc.record({
    sliceId: fc.bigInt({ min: 1n, max: 2n ** 63n - 1n }),
    indx: fc.nat(1023),
    length: fc.integer({ min: 1, max: 16 << 20 }),
  });
  fc.assert(
    fc.property(place, fc.boolean(), (where, hashPrefix) => {
      const layout = { volumeName: 'demo', hashPrefix };
      const key = pageObjectKey(layout, where);
      assert.deepEqual(parsePageObjectKey(layout, key), { ...where });
      assert.equal(parsePageObjectKey({ ...layout, hashPrefix: !hashPrefix }, key), undefined);
      assert.equal(parsePageObjectKey({ ...layout, volumeName: 'other' }, key), undefined);
    }),
  );
  for (const key of [
    'demo/juicefs_uuid',
    'demo/chunks/0/0/01_0_1',
    'demo/chunks/0/1/1_0_1',
    'demo/chunks/0/0/1_0_0',
    '',
  ])
    assert.equal(parsePageObjectKey(plain, key), undefined, key);
});
