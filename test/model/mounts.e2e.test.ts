// Two mounts of one volume against the model: random orders on either, every answer compared, and at barriers the whole
// tree as each mount shows it. Without lifetimes each order may see what the other mount did just before; with the usual
// ones a mount is looked at when what its kernel believed has run out.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { makeKey } from '../harness/keys.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { newPlace } from '../harness/place.ts';
import { makeTemp, type Temp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { sizes } from '../sizes.ts';
import { placeViolations } from './invariants.ts';
import { Judge } from './judge.ts';
import { seedOf } from './seed.ts';

const BETWEEN_BARRIERS = 200;
/** Orders on one mount before it is the other's turn, and what kernels believe by then has run out. */
const TURN = 60;
const RUN_OUT_MS = 1200;
/** A kernel that believes nothing. */
const NO_LIFETIMES = ['--attr-cache', '0', '--entry-cache', '0', '--dir-entry-cache', '0'];
const wanted = needs('root', 'fuse', 'python3', 'openssl', 'the addon');

interface Volume {
  readonly tops: readonly string[];
  check(): Promise<void>;
}

async function twoMounts(temp: Temp, trashDays: number, flags: readonly string[]): Promise<Volume> {
  const key = await makeKey(temp, 2048, 'pkcs8');
  const pageseal = new Pageseal(temp);
  const place = await newPlace(temp);
  const { metaUrl } = place;
  const format = ['--rsa-key', key.file, '--block-size', '64K', '--trash-days', `${trashDays}`];
  await pageseal.formatAt(place, 'model', format);
  const tops = ['a', 'b'].map((name) => temp.folder(name));
  for (const top of tops) await pageseal.mount(metaUrl, top, ['--rsa-key', key.file, ...flags]);
  return {
    tops,
    check: async () => {
      for (const top of tops) await pageseal.umount(top);
      assert.match(await pageseal.ok(['fsck', metaUrl, '--deep', '--rsa-key', key.file]), /nothing is wrong/);
      assert.deepEqual(await placeViolations(place), []);
    },
  };
}

for (const trashDays of [0, 1])
  test(`orders on either mount in turn, trash of ${trashDays} days`, wanted, async (t) => {
    const temp = makeTemp(t);
    const volume = await twoMounts(temp, trashDays, NO_LIFETIMES);
    const judge = await Judge.begin(temp, { seed: seedOf(t), tops: volume.tops });
    for (let done = 0; done < sizes.modelSteps / 2; done += BETWEEN_BARRIERS) {
      await judge.steps(BETWEEN_BARRIERS);
      await judge.barrier();
    }
    await judge.end();
    await volume.check();
  });

test('turns of one mount and the other, with the usual lifetimes', wanted, async (t) => {
  const temp = makeTemp(t);
  const volume = await twoMounts(temp, 1, []);
  const judge = await Judge.begin(temp, { seed: seedOf(t), tops: volume.tops, turns: true });
  for (let done = 0; done < sizes.modelSteps / 4; done += TURN) {
    await judge.steps(TURN, (done / TURN) % 2);
    await judge.client.ask({ op: 'sync' });
    await pause(RUN_OUT_MS);
  }
  await judge.barrier();
  await judge.end();
  await volume.check();
});
