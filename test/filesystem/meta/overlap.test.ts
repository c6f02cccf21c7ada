// The painter's rule over slices, against a plain model.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { paint, segmentAt } from '../../../src/filesystem/meta/overlap.ts';

const SIZE = 64;
const layers = fc.array(
  fc
    .record({ pos: fc.nat(SIZE - 1), len: fc.integer({ min: 1, max: SIZE }) })
    .map(({ pos, len }) => ({ pos, len: Math.min(len, SIZE - pos) })),
  { maxLength: 20 },
);

test('paint shows what a painter of bytes shows, without gaps or overlaps', () => {
  fc.assert(
    fc.property(layers, fc.nat(SIZE), fc.nat(SIZE), (drawn, a, b) => {
      const canvas: ([number, number] | undefined)[] = new Array(SIZE).fill(undefined);
      drawn.forEach((layer, i) => {
        for (let k = 0; k < layer.len; k++) canvas[layer.pos + k] = [i, k];
      });
      const [from, to] = [Math.min(a, b), Math.max(a, b)];
      let at = from;
      for (const segment of paint(drawn, from, to)) {
        assert.equal(segment.pos, at);
        assert.ok(segment.len > 0);
        for (let k = 0; k < segment.len; k++) {
          const wanted = canvas[at + k];
          const found = segment.layer && [drawn.indexOf(segment.layer), segment.skip + k];
          assert.deepEqual(found, wanted);
        }
        at += segment.len;
      }
      assert.equal(at, to);
    }),
  );
});

test('segmentAt finds the segment that holds a byte', () => {
  const segments = paint([{ pos: 10, len: 5 }], 0, 20);
  assert.deepEqual(
    [0, 9, 10, 14, 15, 19].map((pos) => segmentAt(segments, pos)),
    [0, 0, 1, 1, 2, 2],
  );
});
