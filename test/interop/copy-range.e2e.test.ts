// Ranges and files copied without their data, on a volume of both clients: each reads what the other copied, references are
// right, and nothing is left when the files are gone.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Call, makeCalls } from '../harness/calls.ts';
import { Juicefs } from '../harness/juicefs.ts';
import { makeKey } from '../harness/keys.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { newPlace, type Place, rows } from '../harness/place.ts';
import { runOk } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { placeViolations } from '../model/invariants.ts';

const CHUNK = 2 ** 26;
const FAR = 2n ** 56n;
const passphrase = 'to be shared';

/** Three chunks with data at their borders and a hole of a whole chunk; some of it overwritten. */
const source = (path: string): Call[] => [
  ['write', path, CHUNK - 100_000, 1, 200_000],
  ['write', path, CHUNK - 10, 2, 20],
  ['write', path, 3 * CHUNK + 5, 3, 100_000],
  ['close', path],
];

/** Copies across chunk borders, into a file with data, far out; the answers, and what must then be seen. */
const copies = (from: string, to: string): readonly (readonly [Call, string])[] => [
  [['write', to, 0, 9, 300_000], '300000'],
  [['copy', from, CHUNK - 50, to, 100, 100], '100'],
  [['read', to, 90, 120], '9*10 1*40 2*20 1*40 9*10'],
  [['copy', from, CHUNK - 50, to, 2 * CHUNK - 30, 100], '100'],
  [['read', to, 2 * CHUNK - 40, 120], '0*10 1*40 2*20 1*40'],
  [['copy', from, CHUNK + 200_000, to, 200_000, 50_000], '50000'],
  [['read', to, 199_999, 50_002], '9*1 0*50000 9*1'],
  [['copy', from, 3 * CHUNK, to, FAR - 7n, 1_000_000], '100005'],
  [['read', to, FAR - 8n, 8], '0*6 3*2'],
  [['read', to, FAR + 99_000n, 5000], '3*998'],
  [['copy', from, 0, from, 10, 300], 'EINVAL'],
  [['seek', to, 'data', 3 * CHUNK], `${FAR - 2n}`],
  [['close', to], 'ok'],
];

async function expect(calls: readonly (readonly [Call, string])[]): Promise<void> {
  const answers = await makeCalls(calls.map(([call]) => call));
  for (const [i, [call, wanted]] of calls.entries()) assert.equal(answers[i], wanted, call.join(' '));
}

test('copied ranges, by both clients', needs(...interopNeeds), async (t) => {
  const temp = makeTemp(t);
  const key = await makeKey(temp, 2048, 'pkcs8', passphrase);
  const place = await newPlace(temp);
  const { metaUrl, objects } = place;
  const [ours, theirs] = [temp.folder('ours'), temp.folder('theirs')];
  const [pageseal, juicefs] = [new Pageseal(temp, passphrase), new Juicefs(temp, passphrase)];
  const flags = ['--encrypt-rsa-key', key.file, '--block-size', '64K', '--trash-days', '0'];
  await pageseal.formatAt(place, 'copies', flags);
  await pageseal.mount(metaUrl, ours);
  const at = (name: string): string => join(ours, name);

  await makeCalls(source(at('source')));
  const before = await slices(place);
  await expect(copies(at('source'), at('range')));
  assert.equal(await slices(place), before + 1, 'no slices but that of the write');
  await t.test('whole files with cp, which need no data to be read', async () => {
    await runOk('cp', ['--reflink=auto', '--sparse=never', at('source'), at('whole')]);
    assert.equal(await slices(place), before + 1);
    const hashes = await makeCalls([
      ['hash', at('source')],
      ['hash', at('whole')],
    ]);
    assert.equal(hashes[0], hashes[1]);
  });

  await t.test('the original client sees the same and may copy on', async () => {
    await juicefs.mount(metaUrl, theirs);
    await exchange(at, (name) => join(theirs, name));
    await juicefs.umount(theirs);
  });
  await t.test('what is copied stays when its source goes', () => withoutSource(at));
  await pageseal.umount(ours);
  assert.deepEqual(await placeViolations(place), []);
  assert.deepEqual(await juicefs.fsck(metaUrl), []);
  assert.match(await pageseal.ok(['fsck', metaUrl, '--deep']), /nothing is wrong/);
  assert.match(await juicefs.gc(metaUrl), / 0 leaked/);

  await pageseal.mount(metaUrl, ours);
  await makeCalls([
    ['unlink', at('range')],
    ['unlink', at('whole')],
  ]);
  await pageseal.umount(ours);
  assert.equal(await slices(place), 0);
  const volume = readdirSync(join(objects, 'copies'), { recursive: true, encoding: 'utf8' });
  assert.deepEqual(
    volume.filter((name) => /^chunks\/.*_/.test(name)),
    [],
  );
});

type At = (name: string) => string;

async function exchange(at: At, their: At): Promise<void> {
  await expect([
    [['read', their('range'), 90, 120], '9*10 1*40 2*20 1*40 9*10'],
    [['read', their('range'), 2 * CHUNK - 40, 120], '0*10 1*40 2*20 1*40 0*10'],
    [['read', their('range'), FAR - 8n, 8], '0*6 3*2'],
    [['copy', their('range'), FAR - 7n, their('again'), CHUNK - 3, 1000], '1000'],
    [['close', their('again')], 'ok'],
    [['read', at('again'), CHUNK - 4, 1004], '0*6 3*995'],
    [['copy', at('again'), CHUNK, at('range'), 0, 500], '500'],
    [['close', at('range')], 'ok'],
    [['hash', their('whole')], (await makeCalls([['hash', at('source')]]))[0] ?? ''],
  ]);
}

async function withoutSource(at: At): Promise<void> {
  await makeCalls([
    ['unlink', at('source')],
    ['unlink', at('again')],
  ]);
  await expect([
    [['read', at('range'), 0, 600], '0*2 3*498 9*100'],
    [['read', at('whole'), CHUNK - 20, 40], '1*10 2*20 1*10'],
  ]);
}

const slices = async (place: Place): Promise<number> =>
  Number((await rows(place, 'SELECT COUNT(*) AS n FROM jfs_chunk_ref'))[0]?.['n']);
