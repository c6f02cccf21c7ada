// Real processes appending to one file: on two mounts of ours at once, and beside the original client. And a file that one
// mount unlinks while processes on another have it open.
import assert from 'node:assert/strict';
import { open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';
import { Juicefs } from '../harness/juicefs.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { newPlace, type Place, rows } from '../harness/place.ts';
import { until } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { placeViolations } from '../model/invariants.ts';
import { Locker } from './locker.ts';
import { startRootSums } from './root-sums.ts';

const ROUNDS = 30;
/** Bytes of a record: its letter, so many times. Some lie in one page, some in several. */
const SIZES = [1, 100, 5000, 70_000];

suite('one file on several mounts', needs(...interopNeeds), () => {
  const temp = makeTemp();
  const [ours, others, theirs] = [temp.at('ours'), temp.at('others'), temp.at('theirs')];
  const pageseal = new Pageseal(temp);
  const juicefs = new Juicefs(temp);
  let place: Place;
  let metaUrl: string;

  before(async () => {
    place = await newPlace(temp);
    ({ metaUrl } = place);
    const flags = ['--trash-days', '0', '--block-size', '64K'];
    await juicefs.formatAt(place, 'appends', flags);
    for (const at of [ours, others]) await pageseal.mount(metaUrl, at, ['--heartbeat', '1s']);
    await startRootSums(place, ours);
    await juicefs.mount(metaUrl, theirs, ['--heartbeat', '1s']);
  });

  async function lockers(t: { after(hook: () => Promise<void>): void }, count: number): Promise<Locker[]> {
    const all = await Promise.all(Array.from({ length: count }, () => Locker.start(temp)));
    t.after(async () => void (await Promise.all(all.map((one) => one.end()))));
    return all;
  }

  test('records of three processes on two of our mounts are all there, whole', async (t) => {
    const all = await lockers(t, 3);
    const paths = [ours, others, others].map((mount) => join(mount, 'log'));
    for (const [i, one] of all.entries()) assert.equal(await one.tell(`open f ${paths[i]} a+`), 'ok');
    const wrote = await Promise.all(
      all.map(async (one, i) => {
        let sum = 0;
        for (let round = 0; round < ROUNDS; round++) {
          const size = SIZES[round % SIZES.length] ?? 1;
          const letter = String.fromCharCode(97 + i);
          sum += Number(await one.tell(`append f <${letter}${letter}> ${size}`));
          if (round % 7 === i) assert.equal(await one.tell('fsync f'), 'ok');
        }
        assert.equal(await one.tell('close f'), 'ok');
        return sum;
      }),
    );
    await until(
      'all of it is seen',
      async () => (await stat(join(theirs, 'log'))).size === wrote.reduce((a, b) => a + b),
    );
    const text = (await readFile(join(theirs, 'log'))).toString();
    // Nothing is torn: what is between two records is nothing.
    assert.equal(text.replaceAll(/(?:<aa>)+|(?:<bb>)+|(?:<cc>)+/g, ''), '');
    for (const [i, sum] of wrote.entries()) {
      const letter = String.fromCharCode(97 + i);
      assert.equal(text.split(`<${letter}${letter}>`).length - 1, sum / 4);
    }
  });

  test('what the original client appended meanwhile stays', async (t) => {
    const [a] = await lockers(t, 1);
    assert.ok(a);
    await writeFile(join(theirs, 'both'), '');
    assert.equal(await a.tell(`open f ${join(ours, 'both')} a+`), 'ok');
    let wanted = '';
    for (let round = 0; round < 5; round++) {
      assert.equal(await a.tell(`append f ours-${round} 1`), '6');
      const file = await open(join(theirs, 'both'), 'a');
      await file.write(`theirs-${round}`);
      await file.close();
      assert.equal(await a.tell('fsync f'), 'ok');
      const [ourPart, theirPart] = [`ours-${round}`, `theirs-${round}`];
      const size = wanted.length + ourPart.length + theirPart.length;
      await until('it is seen', async () => (await stat(join(theirs, 'both'))).size === size);
      const found = (await readFile(join(theirs, 'both'))).toString();
      // Ours were first where the other client took so long that they were written out by themselves.
      assert.ok([theirPart + ourPart, ourPart + theirPart].map((parts) => wanted + parts).includes(found), found);
      wanted = found;
    }
    // Beside its own bytes at the old end, this mount shows the others' after the move.
    assert.equal(await a.tell('read f 0 1000'), wanted);
  });

  test('a file that another mount unlinks or renames over stays until its last close', async (t) => {
    const [a] = await lockers(t, 1);
    assert.ok(a);
    for (const name of ['unlinked', 'replaced']) {
      await writeFile(join(others, name), 'contents');
      assert.equal(await a.tell(`open f ${join(ours, name)} r+`), 'ok');
      const { ino } = await stat(join(others, name));
      if (name === 'unlinked') await rm(join(others, name));
      else {
        await writeFile(join(others, 'new'), 'new');
        await rename(join(others, 'new'), join(others, name));
      }
      assert.equal(await a.tell('write f 8 -more'), 'ok');
      assert.equal(await a.tell('fsync f'), 'ok');
      await new Promise((resolve) => setTimeout(resolve, 2500)); // heartbeats of both
      assert.equal(await a.tell('read f 0 100'), 'contents-more');
      assert.match(await a.tell('stat f'), /^0 13$/);
      assert.equal(await a.tell('close f'), 'ok');
      const there = `SELECT 1 FROM jfs_node WHERE inode = ${ino}`;
      await until('the node is gone', async () => (await rows(place, there)).length === 0);
    }
  });

  test('afterwards both clients find nothing wrong', async () => {
    await juicefs.umount(theirs);
    for (const at of [ours, others]) await pageseal.umount(at);
    assert.deepEqual(await juicefs.fsck(metaUrl), []);
    assert.deepEqual(await placeViolations(place), []);
    assert.match(await pageseal.ok(['fsck', metaUrl]), /nothing is wrong/);
  });
});
