// statfs, as df shows it: the same numbers from both clients, for volumes and directories with and without limits.
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { Juicefs } from '../harness/juicefs.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { newPlace } from '../harness/place.ts';
import { run, runOk, until } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';

/** Block sizes, blocks, free and available ones, files, free ones, longest name. */
const statfs = async (path: string): Promise<string> =>
  (await runOk('stat', ['-f', '-c', '%S %s %b %f %a %c %d %l', path])).trim();

for (const [kind, limits, top, below] of [
  ['no limits', [], /^4096 4096 274877906944 274877906174 274877906174 10485763 10485760 255$/, undefined],
  [
    'limits of the volume and of a directory',
    ['--capacity', '1', '--inodes', '1000'],
    /^4096 4096 262144 261374 261374 1000 997 255$/,
    // What is left of the volume is less than what is left of the quota.
    /^4096 4096 262142 261374 261374 50 49 255$/,
  ],
] as const)
  test(`statfs answers the same from both clients: ${kind}`, needs(...interopNeeds), async (t) => {
    const temp = makeTemp(t);
    const place = await newPlace(temp);
    const { metaUrl } = place;
    const [ours, theirs] = [temp.folder('ours'), temp.folder('theirs')];
    const [pageseal, juicefs] = [new Pageseal(temp), new Juicefs(temp)];
    const agree = async (wanted: RegExp, flags: readonly string[]): Promise<void> => {
      await pageseal.mount(metaUrl, ours, flags);
      await juicefs.mount(metaUrl, theirs, flags);
      // Figures of others are read again every few seconds.
      await until('both agree', async () => (await statfs(ours)) === (await statfs(theirs)));
      assert.match(await statfs(ours), wanted);
      for (const inside of ['inner', 'inner/file']) {
        if (flags.length > 0) break;
        const [own, other] = [join(ours, inside), join(theirs, inside)];
        await until(`both agree on ${inside}`, async () => (await statfs(own)) === (await statfs(other)));
      }
      await juicefs.umount(theirs);
      await pageseal.umount(ours);
    };
    await pageseal.formatAt(place, 'statfs', limits);
    await pageseal.mount(metaUrl, ours);
    await mkdir(join(ours, 'inner'));
    await writeFile(join(ours, 'file'), 'a');
    await writeFile(join(ours, 'inner/file'), Buffer.alloc(3 * 1024 * 1024));
    await pageseal.umount(ours);
    await agree(top, []);
    if (below === undefined) return;
    await juicefs.ok(['quota', 'set', metaUrl, '--path', '/inner', '--capacity', '1', '--inodes', '50']);
    await agree(top, []);
    await agree(below, ['--subdir', 'inner']);
  });

test(
  'an unnamed file is refused as where there are none, and programs go on without',
  needs(...interopNeeds),
  async (t) => {
    const temp = makeTemp(t);
    const place = await newPlace(temp);
    const { metaUrl } = place;
    const ours = temp.folder('ours');
    const pageseal = new Pageseal(temp);
    await pageseal.formatAt(place, 'unnamed');
    await pageseal.mount(metaUrl, ours);
    const open = await run('python3', ['-c', 'import os, sys; os.open(sys.argv[1], os.O_TMPFILE | os.O_RDWR)', ours]);
    assert.match(open.stderr, /Operation not supported/);
    const use =
      'import sys, tempfile\nwith tempfile.TemporaryFile(dir=sys.argv[1]) as f: f.write(b"a"); f.seek(0); print(f.read())';
    assert.equal((await runOk('python3', ['-c', use, ours])).trim(), "b'a'");
    await pageseal.umount(ours);
  },
);
