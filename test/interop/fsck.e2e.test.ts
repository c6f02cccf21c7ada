// Volumes that were damaged and repaired, as the original client sees them: its own checks of objects and tree have nothing
// to complain of, and it mounts and reads what is left.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { repair } from '../../src/filesystem/fsck/repair.ts';
import { damage, damages } from '../filesystem/fsck/damage.ts';
import { Juicefs } from '../harness/juicefs.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { copyVolume } from '../harness/volumes.ts';
import { violations } from '../model/invariants.ts';

test('after each repair both checks agree', needs('juicefs'), async (t) => {
  for (const { what, sql } of damages)
    await t.test(what, async (one) => {
      const temp = makeTemp(one);
      const volume = copyVolume(temp, 'trash0');
      const juicefs = new Juicefs(temp, volume.passphrase);
      damage(volume.place, sql);
      assert.deepEqual((await repair({ metaUrl: volume.metaUrl })).findings, []);
      assert.deepEqual(await juicefs.fsck(volume.metaUrl), []);
      assert.deepEqual(await juicefs.fsckTree(volume.metaUrl), []);
    });
});

test(
  'data that lost its name is found again, by the original client too',
  needs('root', 'fuse', 'juicefs'),
  async (t) => {
    const temp = makeTemp(t);
    const volume = copyVolume(temp, 'trash0');
    const [juicefs, pageseal] = [new Juicefs(temp, volume.passphrase), new Pageseal(temp)];
    await juicefs.mount(volume.metaUrl, temp.at('before'));
    const text = readFileSync(temp.at('before/d/text'));
    await juicefs.umount(temp.at('before'));
    damage(volume.place, 'DELETE FROM jfs_node WHERE inode IN (2, 4); DELETE FROM jfs_edge WHERE inode IN (2, 4)');
    const check = await pageseal.run(['fsck', volume.metaUrl]);
    assert.equal(check.code, 1);
    assert.match(check.stdout, /inode 4 has data, and is no file\n/);
    assert.match(
      await pageseal.ok(['fsck', volume.metaUrl, '--repair']),
      /\nrepaired: data of inode 4, which was no file, put into \/lost\+found\/#4\n.*nothing is wrong\n/s,
    );
    await juicefs.mount(volume.metaUrl, temp.at('after'));
    assert.deepEqual(readdirSync(temp.at('after/lost+found')).sort(), ['#2', '#4']);
    assert.deepEqual(readFileSync(temp.at('after/lost+found/#4')), text);
    assert.ok(existsSync(temp.at('after/lost+found/#2/random')));
    await juicefs.umount(temp.at('after'));
  },
);

test('a part of a volume, as the original client checks it', needs('juicefs'), async (t) => {
  const temp = makeTemp(t);
  const volume = copyVolume(temp, 'trash0');
  const [juicefs, pageseal] = [new Juicefs(temp, volume.passphrase), new Pageseal(temp)];
  damage(volume.place, 'UPDATE jfs_node SET nlink = 9 WHERE inode = 2');
  const check = async (...flags: string[]): Promise<number[]> =>
    Promise.all([juicefs, pageseal].map(async (each) => (await each.run(['fsck', volume.metaUrl, ...flags])).code));
  assert.deepEqual(await check('--path', '/'), [0, 0]);
  assert.deepEqual((await check('--path', '/', '--recursive')).map(Boolean), [true, true]);
  assert.deepEqual((await check('--path', '/d')).map(Boolean), [true, true]);
  assert.match(await pageseal.ok(['fsck', volume.metaUrl, '--path', '/d', '--repair']), /link count set from 9 to 2/);
  assert.deepEqual(await check('--path', '/', '-r', '--sync-dir-stat'), [0, 0]);
});

test('counts that the original client’s load got wrong are set right', needs('juicefs'), async (t) => {
  const temp = makeTemp(t);
  const volume = copyVolume(temp, 'plain');
  const [juicefs, pageseal] = [new Juicefs(temp), new Pageseal(temp)];
  const loaded = `sqlite3://${temp.at('loaded.db')}`;
  await juicefs.ok(['dump', volume.metaUrl, temp.at('dump.json')]);
  await juicefs.ok(['load', loaded, temp.at('dump.json')]);
  const { code, stdout } = await pageseal.run(['fsck', loaded]);
  assert.equal(code, 1);
  assert.match(stdout, /slice 0 is counted.*slice \d+ is used 1 times and counted \d+ times/s);
  await pageseal.ok(['fsck', loaded, '--repair']);
  assert.deepEqual(violations(temp.at('loaded.db'), { original: true }), []);
  assert.deepEqual(await juicefs.fsckTree(loaded), []);
  assert.match(await juicefs.gc(loaded), / 0 leaked/);
});

test('pages of the original client are adopted, and it goes on with the volume', needs('juicefs'), async (t) => {
  const temp = makeTemp(t);
  const volume = copyVolume(temp, 'aes-lz4');
  const [juicefs, pageseal] = [new Juicefs(temp, volume.passphrase), new Pageseal(temp, volume.passphrase)];
  const said = await pageseal.ok(['fsck', volume.metaUrl, '--adopt', '--ledger', 'strict', '--deep']);
  assert.match(
    said,
    /^adopted: 43 pages, .*trust on first use.*\nevery page has its ledger row; the ledger is strict\n/,
  );
  assert.match(said, /nothing is wrong\n$/);
  assert.deepEqual(await juicefs.fsck(volume.metaUrl), []);
  assert.match(await juicefs.gc(volume.metaUrl), / 0 leaked/);
});
