// The bounded map.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Lru } from '../../src/base/lru.ts';

test('its weight is that of what it holds, and never above the limit', () => {
  const step = fc.tuple(fc.nat(20), fc.integer({ min: 1, max: 40 }), fc.constantFrom('set', 'get', 'delete'));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const evicted: number[] = [];
      const lru = new Lru<number, number>(
        100,
        (value) => value,
        (key) => evicted.push(key),
      );
      for (const [key, weight, what] of steps) {
        if (what === 'set') {
          lru.set(key, weight);
          assert.equal(lru.get(key), weight, 'the newest stays');
        } else if (what === 'get') lru.get(key);
        else lru.delete(key);
        assert.equal(
          lru.weight,
          [...lru.values()].reduce((sum, each) => sum + each, 0),
        );
        assert.ok(lru.weight <= 100);
      }
      if (steps.every(([, , what]) => what !== 'set')) assert.deepEqual(evicted, []);
    }),
  );
});

test('a use makes young again', () => {
  const lru = new Lru<string, number>(2);
  lru.set('a', 1);
  lru.set('b', 2);
  lru.get('a');
  lru.set('c', 3);
  assert.deepEqual([lru.get('a'), lru.get('b'), lru.get('c')], [1, undefined, 3]);
});
