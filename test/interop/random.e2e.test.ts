// A mount of ours and one of the original client on one volume, random orders on either: the same view from both at every
// barrier, and at the end every checker of either client is content and both count alike.
import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { TRASH } from '../../src/filesystem/meta/types.ts';
import { Juicefs } from '../harness/juicefs.ts';
import { makeKey } from '../harness/keys.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { makeTemp, type Temp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { violations } from '../model/invariants.ts';
import { Judge } from '../model/judge.ts';
import type { Order } from '../model/orders.ts';
import type { PosixModel } from '../model/posix-model.ts';
import { seedOf } from '../model/seed.ts';
import { sizes } from '../sizes.ts';

const BETWEEN_BARRIERS = 100;
const passphrase = 'for both';
const NO_LIFETIMES = ['--attr-cache', '0', '--entry-cache', '0', '--dir-entry-cache', '0'];
const OURS = 0;
const THEIRS = 1;

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
function dropSumsInTrash(file: string): void {
  const database = new DatabaseSync(file);
  database.exec(
    `DELETE FROM jfs_dir_stats WHERE inode IN (SELECT inode FROM jfs_node WHERE type = 2 AND parent > ${TRASH})`,
  );
  database.close();
}

async function volumeOfBoth(temp: Temp, trashDays: number) {
  const key = await makeKey(temp, 2048, 'pkcs8', passphrase);
  const metaUrl = `sqlite3://${temp.at('meta.db')}`;
  const tops = [temp.folder('ours'), temp.folder('theirs')] as const;
  const pageseal = new Pageseal(temp, passphrase);
  const juicefs = new Juicefs(temp, passphrase);
  const format = ['--encrypt-rsa-key', key.file, '--compress', 'zstd', '--block-size', '64K'];
  await pageseal.format(metaUrl, 'both', `${temp.at('objects')}/`, [...format, '--trash-days', `${trashDays}`]);
  await pageseal.mount(metaUrl, tops[OURS], NO_LIFETIMES);
  await juicefs.mount(metaUrl, tops[THEIRS], ['--hide-internal']);
  return { metaUrl, tops, pageseal, juicefs };
}

for (const trashDays of [0, 1])
  test(`random orders on both, trash of ${trashDays} days`, needs(...interopNeeds), async (t) => {
    const temp = makeTemp(t);
    const { metaUrl, tops, pageseal, juicefs } = await volumeOfBoth(temp, trashDays);
    const judge = await Judge.begin(temp, {
      seed: seedOf(t),
      tops,
      lazyDirectories: true,
      lateTimes: [THEIRS],
      countTrash: trashDays > 0 ? [THEIRS] : [],
      firstOnly,
    });
    const between = [() => juicefs.ok(['gc', metaUrl, '--compact']), () => pageseal.ok(['gc', metaUrl, '--compact'])];
    for (let done = 0, i = 0; done < sizes.modelSteps / 4; done += BETWEEN_BARRIERS, i++) {
      await judge.steps(BETWEEN_BARRIERS);
      await judge.barrier();
      await between[i % between.length]?.();
      await judge.barrier();
    }
    await judge.end();
    await juicefs.umount(tops[THEIRS]);
    await pageseal.umount(tops[OURS]);
    dropSumsInTrash(temp.at('meta.db'));
    assert.deepEqual(await juicefs.fsck(metaUrl), []);
    assert.deepEqual(await juicefs.fsckTree(metaUrl), []);
    assert.match(await pageseal.ok(['fsck', metaUrl, '--deep']), /nothing is wrong/);
    assert.match(await juicefs.gc(metaUrl), / 0 leaked/);
    assert.deepEqual(violations(temp.at('meta.db'), { original: true }), []);
  });
