// Groups, set-id bits, sticky folders, special files, times and access control lists: the same steps by several users on
// the local disk and on mounts, with the same outcome.
import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Juicefs } from '../harness/juicefs.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { newPlace } from '../harness/place.ts';
import { runOk } from '../harness/program.ts';
import { makeTemp, type Temp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { readTree, treeDifferences } from '../harness/tree.ts';

const wanted = needs(...interopNeeds);
const modes = ['groups', 'setgid', 'killed', 'sticky', 'specials', 'times', 'flags'];
const lists = ['lists', 'defaults'];

type Outcomes = Readonly<Record<string, unknown>>;

async function outcomes(directory: string, parts: readonly string[]): Promise<Outcomes> {
  chmodSync(directory, 0o755);
  return JSON.parse(await runOk('python3', [join(import.meta.dirname, 'rules.py'), directory, ...parts])) as Outcomes;
}

/** Steps are made by other users, who have to get there. */
function passable(t: Parameters<typeof makeTemp>[0]): Temp {
  const temp = makeTemp(t);
  chmodSync(temp.path, 0o755);
  return temp;
}

test(
  'users, groups, set-id bits, sticky folders, special files, times and flags are as on the local disk',
  wanted,
  async (t) => {
    const temp = passable(t);
    const right = await outcomes(temp.folder('disk'), modes);
    t.diagnostic(`${Object.keys(right).length} steps`);
    const place = await newPlace(temp);
    const { metaUrl } = place;
    const pageseal = new Pageseal(temp);
    await pageseal.formatAt(place, 'plain');
    await pageseal.mount(metaUrl, temp.folder('ours'), ['-o', 'suid,dev']);
    assert.deepEqual(await outcomes(temp.at('ours'), modes), right);
  },
);

test('access control lists are kept, inherited and decide as on the local disk', wanted, async (t) => {
  const temp = passable(t);
  const right = await outcomes(temp.folder('disk'), [...modes, ...lists]);
  t.diagnostic(`${Object.keys(right).length} steps`);
  const place = await newPlace(temp);
  const { metaUrl } = place;
  const [ours, theirs] = [temp.folder('ours'), temp.folder('theirs')];
  const [pageseal, juicefs] = [new Pageseal(temp), new Juicefs(temp)];
  await pageseal.formatAt(place, 'lists', ['--enable-acl']);
  await pageseal.mount(metaUrl, ours, ['-o', 'suid,dev']);
  await runOk('mkdir', [join(ours, 'made'), join(ours, 'theirs')]);
  assert.deepEqual(await outcomes(join(ours, 'made'), [...modes, ...lists]), right);

  await juicefs.mount(metaUrl, theirs);
  const original = await outcomes(join(theirs, 'theirs'), lists);
  const differing = Object.keys(original).filter((step) => !isSame(original[step], right[step]));
  t.diagnostic(`steps that the original client gets wrong: ${differing.join(', ')}`);
  // What each of them made, both show alike: modes, owners, and the lists in the kernel's form.
  assert.deepEqual(treeDifferences(await readTree(theirs), await readTree(ours)), []);
  await juicefs.umount(theirs);
  await pageseal.umount(ours);
  assert.deepEqual(await juicefs.fsckTree(metaUrl), []);
  assert.match(await pageseal.ok(['fsck', metaUrl]), /nothing is wrong/);
});

const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

test('the original client obeys our lists, and we obey its', wanted, async (t) => {
  const temp = passable(t);
  const place = await newPlace(temp);
  const { metaUrl } = place;
  const [ours, theirs] = [temp.folder('ours'), temp.folder('theirs')];
  const [pageseal, juicefs] = [new Pageseal(temp), new Juicefs(temp)];
  await juicefs.formatAt(place, 'lists', ['--enable-acl']);
  await pageseal.mount(metaUrl, ours);
  await juicefs.mount(metaUrl, theirs);
  for (const [from, to] of [
    [ours, theirs],
    [theirs, ours],
  ] as const) {
    const name = from === ours ? 'ours' : 'theirs';
    const steps = JSON.parse(
      await runOk('python3', [join(import.meta.dirname, 'obeyed.py'), from, to, name]),
    ) as Outcomes;
    assert.deepEqual(steps, {
      'named user reads': 'text',
      'another user': 'EACCES',
      'named user makes a file in the folder': '0o640',
      'mask closed by chmod': 'EACCES',
      'list taken away': 'EACCES',
    });
  }
});
