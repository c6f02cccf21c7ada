// Random calls on the regions of two files: writes, holes, truncations, copied ranges, seeks for data; on our mount and on
// the disk below the tests as control. Answers and bytes are the same, and no data is ever reported as a hole.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Call, makeCalls } from '../harness/calls.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { newPlace } from '../harness/place.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { placeViolations } from '../model/invariants.ts';
import { sizes } from '../sizes.ts';

const CHUNK = 2 ** 26;
/** Bytes around each place that calls go to. */
const WINDOW = 600_000;
/** Where windows begin: the front, across a chunk border, and far out. */
const WINDOWS = [0, CHUNK - WINDOW / 2, 3 * CHUNK - WINDOW / 2, 2 ** 40 - WINDOW / 2];
const FILES = ['one', 'two'];
const PUNCH = 3;
const ZERO = 0x10;
const ZERO_KEEP = 0x11;
/** Calls in one run of the program. */
const GROUP = 500;

const place = fc
  .tuple(fc.constantFrom(...WINDOWS), fc.nat(WINDOW))
  .map(([window, at]) => window + (at % 3 === 0 ? at - (at % 4096) : at));
const length = fc.oneof(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: WINDOW / 2 }));
const file = fc.constantFrom(...FILES);

const calls = (modes: readonly number[]): fc.Arbitrary<Call> =>
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.tuple(fc.constant('write' as const), file, place, fc.integer({ min: 1, max: 255 }), length),
    },
    { weight: 5, arbitrary: fc.tuple(fc.constant('copy' as const), file, place, file, place, length) },
    {
      weight: 3,
      arbitrary: fc.tuple(fc.constant('fallocate' as const), file, fc.constantFrom(...modes), place, length),
    },
    { weight: 2, arbitrary: fc.tuple(fc.constant('ftruncate' as const), file, place) },
    { weight: 3, arbitrary: fc.tuple(fc.constant('read' as const), file, place, length) },
    {
      weight: 2,
      arbitrary: fc.tuple(fc.constant('covered' as const), file, fc.constantFrom(...WINDOWS), fc.constant(WINDOW)),
    },
    { weight: 1, arbitrary: fc.tuple(fc.constantFrom('fsync' as const, 'close' as const, 'end' as const), file) },
  );

/** The same call on the files of a folder. */
function inFolder(folder: string, call: Call): Call {
  return call.map((part) => (FILES.includes(String(part)) ? join(folder, String(part)) : part)) as unknown as Call;
}

test('regions of files are what the disk makes of them', needs('root', 'fuse', 'python3', 'the addon'), async (t) => {
  const temp = makeTemp(t);
  const [place, mounted, control] = [await newPlace(temp), temp.folder('mnt'), temp.folder('control')];
  const { metaUrl } = place;
  const pageseal = new Pageseal(temp);
  await pageseal.formatAt(place, 'regions', ['--block-size', '64K', '--trash-days', '0']);
  await pageseal.mount(metaUrl, mounted);
  // tmpfs has no zero range: its mount of ours then does without, too.
  const [zeroes] = await makeCalls([['fallocate', join(control, 'one'), ZERO, 0, 1]]);
  const modes = [0, 1, PUNCH, PUNCH, ...(zeroes === 'ok' ? [ZERO, ZERO_KEEP] : [])];
  await makeCalls([['truncate', join(control, 'one'), 0]]);

  const seed = Date.now() & 0x7fffffff;
  t.diagnostic(`seed ${seed}`);
  const all = fc.sample(calls(modes), { numRuns: sizes.regionCalls, seed });
  for (let at = 0; at < all.length; at += GROUP) {
    const group: Call[] = all.slice(at, at + GROUP);
    for (const name of FILES) for (const window of WINDOWS) group.push(['read', name, window, WINDOW]);
    const [ours, theirs] = await Promise.all([
      makeCalls(group.map((call) => inFolder(mounted, call))),
      makeCalls(group.map((call) => inFolder(control, call))),
    ]);
    for (const [i, call] of group.entries())
      assert.equal(ours[i], theirs[i], `seed ${seed}, call ${at + i}: ${call.join(' ')}`);
    for (const [i, call] of group.entries()) if (call[0] === 'covered') assert.equal(ours[i], 'ok', call.join(' '));
  }
  await pageseal.umount(mounted);
  assert.deepEqual(await placeViolations(place), []);
  assert.match(await pageseal.ok(['fsck', metaUrl, '--deep']), /nothing is wrong/);
});
