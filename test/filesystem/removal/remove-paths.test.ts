// Removing trees through the metadata: whole, by its rules, as somebody in particular, and never for ever.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Caller } from '../../../src/base/words.ts';
import { removePaths } from '../../../src/filesystem/removal/remove-paths.ts';
import { makeTemp, type Temp } from '../../harness/temp.ts';
import { root, TestVolume } from '../meta/volume.ts';

const user: Caller = { ...root, uid: 1000, gid: 1000 };
const name = (text: string): Buffer => Buffer.from(text);

/** /top/{0..n}/{files, deeper/...} and /kept. */
async function grown(temp: Temp, trashDays: number): Promise<TestVolume> {
  const volume = await TestVolume.make(temp, { trashDays });
  const meta = await volume.open();
  const top = await meta.mkdir(root, 1n, name('top'), 0o777);
  await meta.create(root, 1n, name('kept'), 0o600, true);
  for (let at = 0; at < 3; at++) {
    let place = await meta.mkdir(root, top.ino, name(`folder ${at}`), 0o777);
    for (let file = 0; file < 700; file++) await meta.create(root, place.ino, name(`file ${file}`), 0o600, true);
    for (let depth = 0; depth < 20; depth++) place = await meta.mkdir(root, place.ino, name('deeper'), 0o777);
    await meta.symlink(root, place.ino, name('link'), name('/kept'));
  }
  await meta.close();
  return volume;
}

const names = (volume: TestVolume): string[] =>
  volume
    .rows('SELECT name FROM jfs_edge WHERE parent = 1 ORDER BY name')
    .map(([each]) => String(Buffer.from(each as Buffer)));

test('a tree goes with everything in it, past the trash', async (t) => {
  const volume = await grown(makeTemp(t), 1);
  let seen = 0;
  const onProgress = (count: number): void => {
    seen = count;
  };
  const options = { metaUrl: volume.url, caller: root, skipTrash: true, threads: 50, onProgress };
  assert.deepEqual(await removePaths({ ...options, paths: ['/top'] }), [2167]);
  assert.equal(seen, 2167);
  assert.deepEqual(names(volume), ['kept']);
  assert.equal(volume.counters()['totalInodes'], 1n);
  assert.deepEqual(await volume.violations(), []);
});

test('with the trash on everything is in it', async (t) => {
  const volume = await grown(makeTemp(t), 1);
  assert.deepEqual(
    await removePaths({ metaUrl: volume.url, caller: root, paths: ['top/folder 1/', '/kept'] }),
    [722, 1],
  );
  const [[inTrash] = []] = volume.rows('SELECT COUNT(*) FROM jfs_edge WHERE parent > 9223372032828243968');
  assert.equal(inTrash, 723n);
  assert.deepEqual(await volume.violations(), []);
});

test('what the caller may not do stops it', async (t) => {
  const volume = await grown(makeTemp(t), 0);
  const remove = (path: string, more = {}): Promise<number[]> =>
    removePaths({ metaUrl: volume.url, caller: user, paths: [path], ...more });
  await assert.rejects(remove('/top'), { code: 'EACCES', message: /directory 2$/ });
  await assert.rejects(remove('/kept', { skipTrash: true }), { code: 'EPERM' });
  await assert.rejects(remove('/'), { code: 'bad-input' });
  await assert.rejects(remove('/none/such'), { code: 'not-found' });
  volume.change('UPDATE jfs_node SET gid = 7, mode = 504 WHERE type = 2 AND inode > 1 AND inode < 1000000');
  await assert.rejects(remove('/top/folder 1'), { code: 'EACCES' });
  assert.deepEqual(await remove('/top/folder 1', { groups: [7] }), [722]);
});

test('a directory that contains itself ends in an error', async (t) => {
  const volume = await grown(makeTemp(t), 0);
  const top = "(SELECT inode FROM jfs_edge WHERE parent = 1 AND name = x'746f70')";
  volume.change(`INSERT INTO jfs_edge (parent, name, inode, type)
    SELECT inode, x'6c6f6f70', ${top}, 2 FROM jfs_edge WHERE parent = ${top} LIMIT 1`);
  const work = removePaths({ metaUrl: volume.url, caller: root, paths: ['/top'] });
  await assert.rejects(work, { code: 'metadata-damaged', message: /contains itself/ });
});
