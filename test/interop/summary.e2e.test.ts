// What trees hold, by both clients: the tables of summary are the same text, the figures of info the same numbers, fast and
// strict, on a tree of random shape with hard links, holes and odd files.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { Juicefs } from '../harness/juicefs.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { newPlace, rows } from '../harness/place.ts';
import { runOk, until } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { placeViolations } from '../model/invariants.ts';

/** In a program of its own: the mount's users are never the test itself. */
const PLANT = `
import os, random, sys
random.seed(int(sys.argv[2])); os.chdir(sys.argv[1])
dirs = ['.']; files = []
for i in range(60):
    d = random.choice(dirs); name = f'{d}/{random.choice("abcxyz")}{i}'
    kind = random.random()
    if kind < 0.3: os.mkdir(name); dirs.append(name)
    elif kind < 0.4: os.symlink('x' * random.randint(1, 4000), name)
    elif kind < 0.45: os.mkfifo(name)
    elif kind < 0.6 and files: os.link(random.choice(files), name)
    else:
        with open(name, 'wb') as f: f.write(b'q' * random.choice([0, 1, 4096, 4097, random.randint(0, 100000)]))
        files.append(name)
for name in random.sample(files, len(files) // 3): os.truncate(name, random.randint(0, 50000))
`;

const sizesOf = (text: string): string =>
  /length:.*\((\d+) Bytes\)\s+size:.*\((\d+) Bytes\)/.exec(text)?.slice(1).join(' ') ?? text;
const csvLines = (text: string): string[] => text.split('\n').filter((line) => /^[^ ]+,[^,]+,[^,]+,[^,]+$/.test(line));
const withoutName = (line: string): string => line.replace(/[^/,]+(?=\/?,)/, '');
const countsOf = (text: string): string => /files: (\d+)\s+dirs: (\d+)/.exec(text)?.slice(1).join(' ') ?? text;

for (const maker of ['pageseal', 'juicefs'] as const)
  test(`of a tree that ${maker} made`, needs(...interopNeeds), async (t) => {
    const temp = makeTemp(t);
    const place = await newPlace(temp);
    const { metaUrl } = place;
    const clients = { pageseal: new Pageseal(temp), juicefs: new Juicefs(temp) };
    const { pageseal, juicefs } = clients;
    await juicefs.formatAt(place, 'summed');
    const mnt = temp.folder('mnt');
    await clients[maker].mount(metaUrl, mnt);
    // The sums of a directory begin with its first change. The original client counts those, and then adds what it still
    // holds back: twice, where there was more by then.
    await writeFile(`${mnt}/first`, '');
    const begun = 'SELECT 1 FROM jfs_dir_stats WHERE inode = 1';
    await until('the root has its sums', async () => (await rows(place, begun)).length > 0);
    await runOk('python3', ['-c', PLANT, mnt, maker === 'pageseal' ? '1' : '2']);
    await clients[maker].umount(mnt);
    assert.deepEqual(await placeViolations(place, { original: true }), []);
    await juicefs.mount(metaUrl, mnt);

    const all = ['--entries', '100'];
    const variants = [
      all,
      ['--depth', '0'],
      ['--depth', '1', '--entries', '3'],
      [...all, '--depth', '5', '--strict'],
      [],
    ];
    for (const flags of variants) {
      // Which of equally big entries are among the shown ones is left open: there, only their directories are compared.
      const shown = flags.includes('100') ? (line: string): string => line : withoutName;
      const said = await pageseal.ok(['summary', '--csv', ...flags, metaUrl, '/']);
      const theirs = await juicefs.ok(['summary', '--csv', ...flags, mnt]);
      assert.deepEqual(csvLines(said).map(shown).sort(), csvLines(theirs).map(shown).sort(), flags.join(' '));
    }
    for (const flags of [[], ['-r'], ['-r', '--strict']]) {
      const theirs = await juicefs.ok(['info', ...flags, mnt]);
      const { sums } = JSON.parse(await pageseal.ok(['info', '--json', ...flags, metaUrl, '/'])) as Info;
      assert.deepEqual(
        [`${sums.length} ${sums.size}`, `${sums.files} ${sums.dirs}`],
        [sizesOf(theirs), countsOf(theirs)],
      );
    }
    await juicefs.umount(mnt);
  });

interface Info {
  readonly sums: { readonly length: number; readonly size: number; readonly files: number; readonly dirs: number };
}
