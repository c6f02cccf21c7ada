// A mount of ours and one of the original client on one volume, random orders on either, locks by processes of both, quotas
// set and the trash switched meanwhile: the same view from both at every barrier, and at the end every checker of either
// client is content and both count alike.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TRASH } from '../../src/filesystem/meta/types.ts';
import { Juicefs } from '../harness/juicefs.ts';
import { makeKey } from '../harness/keys.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { newPlace, type Place } from '../harness/place.ts';
import { makeTemp, type Temp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { placeViolations } from '../model/invariants.ts';
import { Judge } from '../model/judge.ts';
import type { Order } from '../model/orders.ts';
import type { PosixModel } from '../model/posix-model.ts';
import { seedOf } from '../model/seed.ts';
import { sizes } from '../sizes.ts';
import { RandomLocks } from './random-locks.ts';
import { sameFigures, sameQuotaChecks } from './same-figures.ts';
import { type MountedByBoth, setQuota, setTrash } from './settings-in-use.ts';

const BETWEEN_BARRIERS = 100;
const BETWEEN_LOCKS = 10;
const LOCKS = 6;
const passphrase = 'for both';
const NO_LIFETIMES = ['--attr-cache', '0', '--entry-cache', '0', '--dir-entry-cache', '0'];
const OURS = 0;
const THEIRS = 1;
const WORK = 'work';
/** Far more than a run makes. */
const INODES = 100_000;
const LOCKED = ['locks/one', 'locks/two', 'locks/three'];

/** What the original client is known to do otherwise, each with its reason; such orders are given to our mount. */
const knownToBeWrong: readonly ((order: Order, model: PosixModel) => boolean)[] = [
  // It adds the length of a symbolic link to its directory's sums when it links one, which its own recount does not.
  (order, model) => order.op === 'link' && model.find(order.p)?.kind === 'symlink',
  // Without a trash it miscounts the sums of the directory when a file goes that it has open (seen without us, too).
  (order, model) => {
    const gone = order.op === 'unlink' ? model.find(order.p) : order.op === 'rename' ? model.find(order.q) : undefined;
    return gone !== undefined && [...model.slots.values()].some(({ node, m }) => node === gone && m === THEIRS);
  },
];
const firstOnly = (order: Order, model: PosixModel): boolean => knownToBeWrong.some((known) => known(order, model));

/** The original client makes sums for a directory that went to the trash when figures of it come late; nobody reads them. */
const dropSumsInTrash = (place: Place): Promise<void> =>
  place.change(
    `DELETE FROM jfs_dir_stats WHERE inode IN (SELECT inode FROM jfs_node WHERE type = 2 AND parent > ${TRASH})`,
  );

async function volumeOfBoth(temp: Temp, trashDays: number): Promise<MountedByBoth> {
  const key = await makeKey(temp, 2048, 'pkcs8', passphrase);
  const place = await newPlace(temp);
  const { metaUrl } = place;
  const tops = [temp.folder('ours'), temp.folder('theirs')] as const;
  const [pageseal, juicefs] = [new Pageseal(temp, passphrase), new Juicefs(temp, passphrase)];
  const format = ['--encrypt-rsa-key', key.file, '--compress', 'zstd', '--block-size', '64K'];
  await pageseal.formatAt(place, 'both', [...format, '--trash-days', `${trashDays}`]);
  // What others set is taken up with a heartbeat.
  const heartbeat = ['--heartbeat', '1s'];
  await pageseal.mount(metaUrl, tops[OURS], [...NO_LIFETIMES, ...heartbeat]);
  await juicefs.mount(metaUrl, tops[THEIRS], ['--hide-internal', ...heartbeat]);
  return { metaUrl, place, tops, clients: [pageseal, juicefs] };
}

/**
 * Nothing of the run happens meanwhile. Alternately by either client; the trash is switched where it was on at first, and
 * is at the end: once it is off, the original client's gc calls leaked what compactions kept while it was on.
 */
async function change(both: MountedByBoth, judge: Judge, round: number, trashDays: number): Promise<void> {
  const client = (round >> 1) % 2;
  if (round % 2 === 0) await setQuota(both, client, client === OURS ? `/${WORK}` : '/', INODES - round);
  else if (trashDays > 0) await setTrash(both, client, client === OURS ? 0 : trashDays, judge);
}

async function allRight(both: MountedByBoth): Promise<void> {
  const { metaUrl, place, tops, clients } = both;
  const [pageseal, juicefs] = clients;
  await juicefs.umount(tops[THEIRS] ?? '');
  await pageseal.umount(tops[OURS] ?? '');
  await dropSumsInTrash(place);
  await sameQuotaChecks(both);
  assert.deepEqual(await juicefs.fsck(metaUrl), []);
  assert.deepEqual(await juicefs.fsckTree(metaUrl), []);
  assert.match(await pageseal.ok(['fsck', metaUrl, '--deep']), /nothing is wrong/);
  assert.match(await juicefs.gc(metaUrl), / 0 leaked/);
  assert.deepEqual(await placeViolations(place, { original: true, quotas: true }), []);
}

for (const trashDays of [0, 1])
  test(`random orders on both, trash of ${trashDays} days at first`, needs(...interopNeeds), async (t) => {
    const temp = makeTemp(t);
    const both = await volumeOfBoth(temp, trashDays);
    const { metaUrl, tops, clients } = both;
    const options = {
      lazyDirectories: true,
      lateTimes: [THEIRS],
      countTrash: [THEIRS],
      firstOnly,
      below: WORK,
      // What it has read ahead of a file it shows until it closes that, whoever has changed it (seen without us, too).
      readingOn: [THEIRS],
    };
    const judge = await Judge.begin(temp, { seed: seedOf(t), tops, ...options });
    judge.model.trashIsOn = trashDays > 0;
    for (const p of [WORK, 'locks']) await judge.step({ op: 'mkdir', m: OURS, p, mode: 0o755 });
    for (const p of LOCKED) await judge.step({ op: 'create', m: THEIRS, p, mode: 0o644, exclusive: true });
    const locks = await RandomLocks.begin(temp, judge.random, { tops, files: LOCKED, keeping: [THEIRS] });
    for (let done = 0, round = 0; done < sizes.modelSteps / 4; done += BETWEEN_BARRIERS, round++) {
      for (let step = 0; step < BETWEEN_BARRIERS; step += BETWEEN_LOCKS) {
        await judge.steps(BETWEEN_LOCKS);
        await locks.steps(LOCKS);
      }
      await judge.barrier();
      await clients[round % 2]?.ok(['gc', metaUrl, '--compact']);
      await change(both, judge, round, trashDays);
      await judge.barrier();
    }
    if (trashDays > 0 && !judge.model.trashIsOn) await setTrash(both, THEIRS, trashDays, judge);
    assert.ok(locks.refused > 0 && locks.granted > 0);
    await locks.end();
    await judge.end();
    await allRight(both);
    await sameFigures(
      both,
      [...judge.model.walk()].filter(([, { kind }]) => kind === 'directory').map(([path]) => path),
    );
  });
