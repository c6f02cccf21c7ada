// bench and warmup on a mount: figures for each step, nothing left; every file of a tree read, what cannot be read named.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Pageseal } from '../harness/pageseal.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';

test('bench and warmup', needs('root', 'fuse', 'the addon'), async (t) => {
  const temp = makeTemp(t);
  const pageseal = new Pageseal(temp);
  const metaUrl = `sqlite3://${temp.at('meta.db')}`;
  const [mounted, objects] = [temp.folder('mnt'), temp.at('objects')];
  await pageseal.format(metaUrl, 'benched', objects, ['--trash-days', '0']);
  await pageseal.mount(metaUrl, mounted);

  await t.test('bench measures each step and leaves nothing', async () => {
    const sizes = ['--big-file-size', '3', '--small-file-size', '8', '--small-file-count', '5', '-p', '2'];
    const args = ['bench', mounted, ...sizes, '--keep-caches'];
    const { figures, behind } = JSON.parse(await pageseal.ok([...args, '--json'])) as {
      figures: { what: string; perSecond: number; milliseconds: number; bytesPerSecond?: number }[];
      behind: { what: string; count: number }[];
    };
    const steps = ['Write big file', 'Read big file', 'Write small file', 'Read small file', 'Stat file'];
    assert.deepEqual(
      figures.map(({ what }) => what),
      steps,
    );
    for (const { perSecond, milliseconds } of figures) assert.ok(perSecond > 0 && milliseconds > 0);
    assert.ok((figures[0]?.bytesPerSecond ?? 0) > 0 && figures[4]?.bytesPerSecond === undefined);
    const count = (what: string): number => behind.find((one) => one.what === what)?.count ?? 0;
    // Two files of 3 MiB and ten of 8 KiB, a page each at least.
    assert.ok(count('object put') >= 12 && count('metadata transactions') > 12, JSON.stringify(behind));
    assert.deepEqual(readdirSync(mounted), []);
    const text = await pageseal.ok([...args, '--big-file-size', '0']);
    assert.match(text, /\| Write small file +\| +[\d.]+ files\/s \| +[\d.]+ ms\/file \|/);
    assert.doesNotMatch(text, /big file/);
    assert.match((await pageseal.run(['bench', join(mounted, 'none')])).stderr, /no such file/);
  });

  await t.test('warmup reads every file of a tree, and says which it cannot', async () => {
    mkdirSync(join(mounted, 'tree/deep/deeper'), { recursive: true });
    for (let i = 0; i < 20; i++) writeFileSync(join(mounted, 'tree/deep', `f${i}`), Buffer.alloc(10_000, i));
    writeFileSync(join(mounted, 'tree/deep/deeper/last'), Buffer.alloc(2_000_000));
    symlinkSync('deep', join(mounted, 'tree/link'));
    const list = temp.at('list');
    writeFileSync(list, `${join(mounted, 'tree/deep/f1')}\n\n`);
    const shown = await pageseal.ok(['warmup', join(mounted, 'tree'), '-f', list, '--threads', '7', '--json']);
    assert.deepEqual(JSON.parse(shown), { files: 22, bytes: 2_210_000, failed: 0, failures: [] });
    assert.match((await pageseal.run(['warmup', objects])).stderr, /not on a mount of Pageseal/);
    assert.match((await pageseal.run(['warmup'])).stderr, /no path was given/);
    assert.match((await pageseal.run(['warmup', mounted, '--evict'])).stderr, /no disk cache/);
  });
  await pageseal.umount(mounted);
});
