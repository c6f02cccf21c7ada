// Files up to the format's limit of 2^57 - 1 bytes, made by us and read by the original client, and the reverse.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Call, makeCalls } from '../harness/calls.ts';
import { Juicefs } from '../harness/juicefs.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { newPlace } from '../harness/place.ts';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { placeViolations } from '../model/invariants.ts';

const LONGEST = 2n ** 57n - 1n;
const CHUNK = 2n ** 26n;
/** Where numbers of bytes are exact no more. */
const MIDDLE = 2n ** 53n + 1n;

/** What each client makes: data at the front, in the middle, across the last chunk border, and as the last byte. */
const make = (path: string): readonly Call[] => [
  ['write', path, 0, 1, 10],
  ['ftruncate', path, LONGEST],
  ['write', path, MIDDLE, 2, 100],
  ['write', path, LONGEST - CHUNK - 4n, 3, 10],
  ['write', path, LONGEST - 1n, 4, 1],
  ['close', path],
];

/** What everybody must then see. */
const look = (path: string): readonly (readonly [Call, string])[] => [
  [['size', path], `${LONGEST}`],
  [['read', path, 0, 20], '1*10 0*10'],
  [['read', path, MIDDLE - 3n, 110], '0*3 2*100 0*7'],
  [['read', path, LONGEST - CHUNK - 5n, 12], '0*1 3*10 0*1'],
];

/** The original client answers EFBIG to reads of the last page: the kernel asks for all of it, to 2^57. */
const lookAtEnd = (path: string): readonly (readonly [Call, string])[] => [
  [['read', path, LONGEST - 2n, 10], '0*1 4*1'],
  [['read', path, LONGEST, 1], ''],
];

async function expect(calls: readonly (readonly [Call, string])[]): Promise<void> {
  const answers = await makeCalls(calls.map(([call]) => call));
  for (const [i, [call, wanted]] of calls.entries()) assert.equal(answers[i], wanted, call.join(' '));
}

test('files of 2^57 - 1 bytes, by both clients', needs(...interopNeeds), async (t) => {
  const temp = makeTemp(t);
  const place = await newPlace(temp);
  const { metaUrl } = place;
  const [ours, theirs] = [temp.folder('ours'), temp.folder('theirs')];
  const [pageseal, juicefs] = [new Pageseal(temp), new Juicefs(temp)];
  await pageseal.formatAt(place, 'big', ['--trash-days', '0']);
  await pageseal.mount(metaUrl, ours);

  const our = join(ours, 'our');
  assert.deepEqual(await makeCalls(make(our)), ['10', 'ok', '100', '10', '1', 'ok']);
  await expect([...look(our), ...lookAtEnd(our)]);
  await t.test('holes and data are found, and the end is where it must be', () => seekAndPunch(our));
  await t.test('nothing grows beyond', () =>
    expect([
      [['write', our, LONGEST, 1, 1], 'EFBIG'],
      [['truncate', our, LONGEST + 1n], 'EFBIG'],
      [['fallocate', our, 0, LONGEST, 1], 'EFBIG'],
      [['fallocate', our, 0, 2n ** 62n, 2n ** 62n], 'EFBIG'],
      [['size', our], `${LONGEST}`],
      [['names', ours], 'our'],
    ]),
  );

  await juicefs.mount(metaUrl, theirs);
  await expect(look(join(theirs, 'our')));
  assert.deepEqual(await makeCalls(make(join(theirs, 'their'))), ['10', 'ok', '100', '10', '1', 'ok']);
  await expect([...look(join(ours, 'their')), ...lookAtEnd(join(ours, 'their'))]);
  await expect([
    [['truncate', join(ours, 'their'), MIDDLE + 50n], 'ok'],
    [['unlink', join(ours, 'our')], 'ok'],
    [['read', join(ours, 'their'), MIDDLE, 200], '2*50'],
  ]);
  await juicefs.umount(theirs);
  await pageseal.umount(ours);
  assert.deepEqual(await placeViolations(place), []);
  assert.deepEqual(await juicefs.fsck(metaUrl), []);
  assert.deepEqual(await juicefs.fsckTree(metaUrl), []);
  assert.match(await juicefs.gc(metaUrl), / 0 leaked/);
});

const seekAndPunch = (path: string): Promise<void> =>
  expect([
    [['seek', path, 'hole', 0], '10'],
    [['seek', path, 'data', 10], `${MIDDLE}`],
    [['seek', path, 'hole', MIDDLE], `${MIDDLE + 100n}`],
    [['seek', path, 'data', MIDDLE + 100n], `${LONGEST - CHUNK - 4n}`],
    [['seek', path, 'data', LONGEST - 1n], `${LONGEST - 1n}`],
    [['seek', path, 'hole', LONGEST - 1n], `${LONGEST}`],
    [['seek', path, 'data', LONGEST], 'ENXIO'],
    [['end', path], `${LONGEST}`],
    [['write', path, 2n ** 55n, 5, 10], '10'],
    [['seek', path, 'data', MIDDLE + 100n], `${2n ** 55n}`],
    [['fallocate', path, 3, 2n ** 54n, 2n ** 56n], 'ok'],
    [['seek', path, 'data', MIDDLE + 100n], `${LONGEST - CHUNK - 4n}`],
    [['read', path, 2n ** 55n, 10], '0*10'],
    [['fallocate', path, 1, 0, LONGEST], 'ok'],
    [['close', path], 'ok'],
  ]);
