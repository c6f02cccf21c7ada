// The trash between the two clients: what one deleted the other restores, whole, and both find the volume sound.
import assert from 'node:assert/strict';
import { link, mkdir, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { Juicefs } from '../harness/juicefs.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { newPlace } from '../harness/place.ts';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { readTree, treeDifferences } from '../harness/tree.ts';
import { placeViolations } from '../model/invariants.ts';

async function plant(folder: string): Promise<void> {
  for (const path of ['top', 'top/sub', 'top/sub/deep', 'top/empty', 'stays']) await mkdir(join(folder, path));
  for (let i = 0; i < 20; i++) await writeFile(join(folder, 'top/sub', `file ${i}`), `contents ${i}`.repeat(i * 100));
  await writeFile(join(folder, 'top/sub/deep', 'n'.repeat(240)), 'a long name');
  await link(join(folder, 'top/sub/file 3'), join(folder, 'stays/linked'));
  await link(join(folder, 'top/sub/file 4'), join(folder, 'top/linked'));
  await symlink('sub/file 1', join(folder, 'top/to'));
  await truncate(join(folder, 'top/sub/file 5'), 1_000_000);
}

interface Side {
  mount(metaUrl: string, mountPoint: string, flags?: readonly string[]): Promise<void>;
  umount(mountPoint: string): Promise<string>;
  ok(args: readonly string[]): Promise<string>;
}

const ways = ['we delete, the original client restores', 'the original client deletes, we restore'] as const;

for (const way of ways)
  test(way, needs(...interopNeeds), async (t) => {
    const temp = makeTemp(t);
    const place = await newPlace(temp);
    const { metaUrl } = place;
    const [pageseal, juicefs] = [new Pageseal(temp), new Juicefs(temp)];
    await juicefs.formatAt(place, 'trash', ['--block-size', '64K']);
    const [deleter, restorer]: [Side, Side] = way === ways[0] ? [pageseal, juicefs] : [juicefs, pageseal];
    const mnt = temp.folder('mnt');
    await deleter.mount(metaUrl, mnt);
    await plant(mnt);
    const before = await readTree(join(mnt, 'top'));
    await rm(join(mnt, 'top'), { recursive: true });
    await deleter.umount(mnt);

    const hours = (await pageseal.ok(['trash', 'list', metaUrl, '--json'])).trim().split('\n');
    const names = hours.map((line) => (JSON.parse(line) as { hour: string }).hour);
    await restorer.ok(['restore', metaUrl, '--put-back', ...names]);
    await deleter.mount(metaUrl, mnt);
    const after = await readTree(join(mnt, 'top'));
    await deleter.umount(mnt);
    // Directories that got their entries back have a new time.
    const differences = treeDifferences(before, after).filter((line) => !/^\/(sub(\/deep)?)?: mtime/.test(line));
    assert.deepEqual(differences, []);
    assert.deepEqual(await juicefs.fsck(metaUrl), []);
    if (restorer !== pageseal) {
      // It leaves directories without their sums.
      await pageseal.ok(['fsck', metaUrl, '--repair', '--sync-dir-stat']);
    }
    assert.match(await pageseal.ok(['fsck', metaUrl, '--deep']), /nothing is wrong/);
    assert.deepEqual(await juicefs.fsckTree(metaUrl), []);
    assert.deepEqual(await placeViolations(place, { original: true }), []);

    await deleter.mount(metaUrl, mnt);
    await rm(join(mnt, 'top'), { recursive: true });
    await deleter.umount(mnt);
    const refused = await pageseal.run(['trash', 'empty', metaUrl]);
    assert.equal(refused.code, 8);
    await pageseal.ok(['trash', 'empty', metaUrl, '--yes']);
    assert.match(await juicefs.gc(metaUrl), / 0 leaked/);
    assert.deepEqual(await placeViolations(place, { original: true }), []);
  });
