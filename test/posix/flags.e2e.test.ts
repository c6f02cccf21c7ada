// chattr and lsattr: the flags that both clients keep.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Juicefs } from '../harness/juicefs.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { newPlace } from '../harness/place.ts';
import { run, runOk, until } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';

/** Letters as lsattr shows them. */
async function flagsOf(path: string): Promise<string> {
  const [flags = ''] = (await runOk('lsattr', ['-d', path])).split(' ');
  return flags.replaceAll('-', '');
}

test(
  'immutable, append-only and skip-trash are set and shown by chattr and lsattr in both clients',
  needs(...interopNeeds),
  async (t) => {
    const temp = makeTemp(t);
    const place = await newPlace(temp);
    const { metaUrl } = place;
    const [ours, theirs] = [temp.folder('ours'), temp.folder('theirs')];
    const [pageseal, juicefs] = [new Pageseal(temp), new Juicefs(temp)];
    await pageseal.formatAt(place, 'flags');
    await pageseal.mount(metaUrl, ours);
    await juicefs.mount(metaUrl, theirs, ['--enable-ioctl']);
    for (const [from, to, name] of [
      [ours, theirs, 'by-us'],
      [theirs, ours, 'by-them'],
    ] as const) {
      const kept = { i: join(name, 'i'), a: join(name, 'a'), s: join(name, 's'), folder: join(name, 'folder') };
      await runOk('mkdir', [join(from, name), join(from, kept.folder)]);
      await runOk('touch', [join(from, kept.i), join(from, kept.a), join(from, kept.s)]);
      for (const flag of ['i', 'a', 's'] as const) await runOk('chattr', [`+${flag}`, join(from, kept[flag])]);
      await runOk('chattr', ['+ia', join(from, kept.folder)]);
      for (const side of [from, to]) {
        for (const flag of ['i', 'a', 's'] as const) {
          await until(`${flag} is seen`, async () => (await flagsOf(join(side, kept[flag]))) === flag);
        }
        assert.equal(await flagsOf(join(side, kept.folder)), 'ia');
        assert.match((await run('rm', ['-f', join(side, kept.i)])).stderr, /not permitted/);
      }
      assert.match((await run('chattr', ['+c', join(from, kept.s)])).stderr, /not supported/);
      await runOk('rm', [join(to, kept.s)]);
      for (const path of [kept.i, kept.a, kept.folder]) await runOk('chattr', ['-ia', join(to, path)]);
      await runOk('rm', ['-r', join(to, name)]);
    }
    const hours = readdirSync(join(ours, '.trash'));
    const trashed = hours.flatMap((hour) =>
      readdirSync(join(ours, '.trash', hour)).map((entry) => entry.replace(/^\d+-\d+-/, '')),
    );
    assert.deepEqual(
      trashed.filter((entry) => entry === 's'),
      [],
      'what is to skip the trash is not in it',
    );
    assert.equal(trashed.filter((entry) => entry === 'i').length, 2);
    await juicefs.umount(theirs);
    await pageseal.umount(ours);
  },
);
