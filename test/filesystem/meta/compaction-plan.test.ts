// Plans of compactions against a model that paints cells: what is shown stays, and the rule of the format decides what
// is kept.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MAX_RECORDS, planCompaction } from '../../../src/filesystem/meta/compaction-plan.ts';
import { CHUNK_SIZE, type Slice } from '../../../src/filesystem/meta/types.ts';
import { sizes } from '../../sizes.ts';

const CELL = 256 * 1024;
const CELLS = CHUNK_SIZE / CELL;
const NEW = 1_000_000n;

/** In cells. An id 0 is a hole. */
const record = fc
  .record({ pos: fc.nat(CELLS - 1), id: fc.nat(6), off: fc.nat(3), len: fc.integer({ min: 1, max: CELLS }) })
  .map(({ pos, id, off, len }) => {
    const cut = Math.min(len, CELLS - pos, CELLS - off);
    return { pos: pos * CELL, id: BigInt(id), size: id === 0 ? 0 : CHUNK_SIZE, off: off * CELL, len: cut * CELL };
  });
/** Short ones at any place, and long ones one after the other, as sequential writers leave them. */
const chunk = fc.tuple(
  fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 6 }).map(inSequence),
  fc.array(record, { maxLength: 12 }),
);
const records = chunk.map(([a, b]) => [...a, ...b]);

function inSequence(lengths: number[]): Slice[] {
  let pos = 0;
  return lengths.flatMap((cells, i) => {
    const len = Math.min(cells, CELLS - pos) * CELL;
    pos += cells;
    return len <= 0 ? [] : [{ pos: (pos - cells) * CELL, id: BigInt(100 + i), size: CHUNK_SIZE, off: 0, len }];
  });
}

/** Per cell what it shows: slice and place in it, or nothing. */
function painted(slices: readonly Slice[], contents: readonly string[] = []): string[] {
  const cells = new Array<string>(CELLS).fill('');
  for (const { pos, id, off, len } of slices)
    for (let i = 0; i < len / CELL; i++) {
      const at = off / CELL + i;
      cells[pos / CELL + i] = id === 0n ? '' : id === NEW ? (contents[at] ?? '') : `${id}/${at}`;
    }
  return cells;
}

/** The rule in the format's words: records to keep, place and length of what is written, all in cells. */
function expected(slices: readonly Slice[]): { kept: number; pos: number; size: number } | undefined {
  let kept = 0;
  for (;;) {
    const rest = slices.slice(kept);
    const shown = painted(rest);
    const from = shown.findIndex((cell) => cell !== '');
    const size = from < 0 ? 0 : shown.findLastIndex((cell) => cell !== '') + 1 - from;
    const [first, ...later] = rest;
    const overlaid = later.some(({ pos, len }) => first && pos < first.pos + first.len && first.pos < pos + len);
    const leads = first !== undefined && first.id !== 0n && first.pos === from * CELL;
    const long = first !== undefined && first.len >= 4 * CELL && first.len * 5 >= size * CELL;
    if (leads && long && !overlaid) kept++;
    else return rest.length < 2 ? undefined : { kept, pos: from, size };
  }
}

test('a plan shows what was there, whatever was appended since', () => {
  fc.assert(
    fc.property(records, fc.array(record, { maxLength: 3 }), (before, tail) => {
      const plan = planCompaction(before);
      if (plan === undefined) return;
      const contents = painted(
        plan.segments.map(({ pos, len, layer, skip }) => ({
          pos: pos - plan.pos,
          id: layer?.id ?? 0n,
          size: layer?.size ?? 0,
          off: (layer?.off ?? 0) + skip,
          len: Math.ceil(len / CELL) * CELL,
        })),
      );
      const size = Math.ceil(plan.size / CELL) * CELL;
      const one = { pos: plan.pos, id: NEW, size, off: 0, len: size };
      const after = [...plan.records.slice(0, plan.kept), one, ...before.slice(plan.records.length), ...tail];
      assert.deepEqual(painted(after, contents), painted([...before, ...tail]));
      let at = plan.pos;
      for (const { pos, len } of plan.segments) {
        assert.equal(pos, at);
        at += len;
      }
      assert.equal(at, plan.pos + plan.size);
    }),
    { numRuns: 5 * sizes.propertyRuns },
  );
});

test('a plan keeps and writes what the rule of the format says', () => {
  fc.assert(
    fc.property(records, (slices) => {
      const plan = planCompaction(slices);
      const wanted = expected(slices);
      assert.equal(plan?.kept, wanted?.kept);
      if (plan === undefined || wanted === undefined) return;
      if (wanted.size === 0) assert.equal(plan.size, 1);
      else assert.deepEqual([plan.pos, plan.size], [wanted.pos * CELL, wanted.size * CELL]);
    }),
    { numRuns: 5 * sizes.propertyRuns },
  );
});

const slice = (id: bigint, pos: number, len: number): Slice => ({ pos, id, size: len, off: 0, len });

test('small cases', () => {
  assert.equal(planCompaction([]), undefined);
  assert.equal(planCompaction([slice(1n, 0, 100)]), undefined);
  const two = planCompaction([slice(1n, 0, 100), slice(2n, 200, 50)]);
  assert.deepEqual([two?.kept, two?.pos, two?.size, two?.segments.length], [0, 0, 250, 3]);
  const zeros = planCompaction([slice(1n, 0, 100), { pos: 0, id: 0n, size: 0, off: 0, len: CHUNK_SIZE }]);
  assert.deepEqual([zeros?.pos, zeros?.size], [0, 1]);
  // Written in order by a slow writer: what is long already is not written again.
  const MIB = 1 << 20;
  const log = [slice(1n, 0, 2 * MIB), slice(2n, 2 * MIB, 100), slice(3n, 2 * MIB + 100, 100)];
  const tail = planCompaction(log);
  assert.deepEqual([tail?.kept, tail?.pos, tail?.size], [1, 2 * MIB, 200]);
  const many = planCompaction(Array.from({ length: 2500 }, (_, i) => slice(BigInt(i + 1), i * 10, 10)));
  assert.deepEqual([many?.records.length, many?.size], [MAX_RECORDS, 10 * MAX_RECORDS]);
});
