// What looking at files, directories and links does to atime, in each mode of both clients.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { Juicefs } from '../harness/juicefs.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { newPlace } from '../harness/place.ts';
import { runOk } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';

/** Whether atime, mtime and ctime moved. */
type Moved = readonly [boolean, boolean, boolean];

const look = async (directory: string): Promise<Record<string, Moved>> =>
  JSON.parse(await runOk('python3', [join(import.meta.dirname, 'atime.py'), directory])) as Record<string, Moved>;

/** The original client moves it for these too: it marks at every open. */
const marksTooMuch = ['read without atime, due', 'write, due'];

test('atime moves as with the original client, in each mode', needs(...interopNeeds), async (t) => {
  const temp = makeTemp(t);
  const place = await newPlace(temp);
  const { metaUrl } = place;
  const [pageseal, juicefs] = [new Pageseal(temp), new Juicefs(temp)];
  await pageseal.formatAt(place, 'atime');
  for (const mode of ['noatime', 'relatime', 'strictatime']) {
    const [ours, theirs] = [temp.folder(`ours-${mode}`), temp.folder(`theirs-${mode}`)];
    await pageseal.mount(metaUrl, ours, ['--atime-mode', mode]);
    await juicefs.mount(metaUrl, theirs, ['--atime-mode', mode]);
    await runOk('mkdir', [join(ours, `o-${mode}`), join(theirs, `t-${mode}`)]);
    const found = await look(join(ours, `o-${mode}`));
    const expected = await look(join(theirs, `t-${mode}`));
    for (const name of marksTooMuch) expected[name] = [false, false, false];
    assert.deepEqual(found, expected, mode);
    assert.equal(found['read, due']?.[0], mode !== 'noatime', mode);
    await juicefs.umount(theirs);
    await pageseal.umount(ours);
  }
});
