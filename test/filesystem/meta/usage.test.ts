// Usage figures when a client ends without flushing them.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { hasCode } from '../../../src/base/errors.ts';
import { readSetting } from '../../../src/filesystem/meta/read-setting.ts';
import { MAX_LENGTH } from '../../../src/filesystem/meta/types.ts';
import { counted, Usage } from '../../../src/filesystem/meta/usage.ts';
import { change, type Op, write } from '../../../src/filesystem/sql/op.ts';
import { openEngine } from '../../../src/filesystem/sql/open-engine.ts';
import { Temp } from '../../harness/temp.ts';
import { quiet, root, TestVolume } from './volume.ts';

const temp = new Temp();
after(() => temp.remove());

test('what a client that died had changed is counted once by the next', async () => {
  const volume = await TestVolume.make(temp, { trashDays: 0 });
  const first = await volume.open();
  const { attr } = await first.create(root, 1n, Buffer.from('a'), 0o644, true);
  await first.truncate(root, attr.ino, 10_000n);
  await first.mkdir(root, 1n, Buffer.from('d'), 0o755);
  assert.equal(volume.counters()['totalInodes'], 0n, 'nothing is flushed yet');
  assert.equal(volume.rows('pageseal_usage').length, 1);
  // `first` is never closed: as if its process had been killed. A second client alive at the same time is no harm.
  const second = await volume.open();
  assert.deepEqual(volume.rows('pageseal_usage'), []);
  assert.equal(volume.counters()['totalInodes'], 2n);
  assert.equal(volume.counters()['usedSpace'], 16_384n);
  await second.unlink(root, 1n, Buffer.from('a'));
  await second.close();
  await first.close();
  assert.deepEqual(await volume.violations(), []);
});

test('what another client added to the figures is no longer pending here', async () => {
  const volume = await TestVolume.make(temp);
  volume.change(
    'INSERT INTO jfs_dir_quota VALUES (1, 10000, 0, 0, 0); INSERT INTO jfs_session2 VALUES (7, 1 << 40, NULL)',
  );
  const engine = await openEngine(volume.url);
  const { setting } = await readSetting(engine);
  const client = (sid: bigint): Usage =>
    new Usage(
      engine,
      quiet,
      () => setting,
      () => sid,
    );
  const [ours, theirs] = [client(7n), client(8n)];
  await ours.refresh();
  const file = { length: 1n, space: 4096n, inodes: 1n, directory: 1n, quotas: 1n, volume: true };
  const nothing = function* (): Op<void> {
    yield* write(change("DELETE FROM jfs_counter WHERE name = 'none'"));
  };
  await engine.run(() => counted(ours, nothing, () => [file]));
  ours.applied([file]);
  await theirs.flush(true);
  await ours.refresh();
  const grow = (space: number): Promise<void> =>
    engine.view(() => ours.checkAnew(1n, { space: BigInt(space), inodes: 0n }));
  await grow(5904);
  await assert.rejects(grow(5905));
  assert.equal((await ours.statfs(2n)).usedBytes, 4096n);
  await ours.close();
  await theirs.close();
  await engine.close();
});

test('sums stay exact beyond 2^53, and end before they overflow', async () => {
  const volume = await TestVolume.make(temp, { trashDays: 0 });
  volume.change('INSERT INTO jfs_dir_quota VALUES (1, 0, 0, 0, 0)');
  const meta = await volume.open();
  const { attr: small } = await meta.create(root, 1n, Buffer.from('small'), 0o644, true);
  await meta.truncate(root, small.ino, 1n);
  for (let i = 0; i < 31; i++) {
    const { attr } = await meta.create(root, 1n, Buffer.from(`f${i}`), 0o644, true);
    assert.equal((await meta.truncate(root, attr.ino, MAX_LENGTH)).length, MAX_LENGTH);
  }
  const { attr: last } = await meta.create(root, 1n, Buffer.from('last'), 0o644, true);
  await assert.rejects(meta.truncate(root, last.ino, MAX_LENGTH), (e) => hasCode(e, 'ENOSPC'));
  const space = 31n * (MAX_LENGTH + 1n) + 2n * 4096n;
  assert.equal((await meta.statfs(1n)).usedBytes, space);
  await meta.close();
  assert.equal(volume.counters()['usedSpace'], space);
  const stats = 'SELECT data_length, used_space FROM jfs_dir_stats WHERE inode = 1';
  assert.deepEqual(volume.rows(stats), [[31n * MAX_LENGTH + 1n, space]]);
  assert.deepEqual(volume.rows('SELECT used_space FROM jfs_dir_quota'), [[space]]);
  const again = await volume.open();
  for (let i = 0; i < 31; i++) await again.unlink(root, 1n, Buffer.from(`f${i}`));
  await again.close();
  assert.equal(volume.counters()['usedSpace'], 8192n);
  assert.deepEqual(volume.rows(stats), [[1n, 8192n]]);
  assert.deepEqual(await volume.violations(), []);
});

test('figures that come late make no sums for a directory in the trash', async () => {
  const volume = await TestVolume.make(temp, { trashDays: 1 });
  const [ours, theirs] = [await volume.open(), await volume.open()];
  const directory = await ours.mkdir(root, 1n, Buffer.from('d'), 0o755);
  await ours.close();
  await theirs.create(root, directory.ino, Buffer.from('a'), 0o644, true);
  await theirs.unlink(root, directory.ino, Buffer.from('a'));
  await theirs.create(root, directory.ino, Buffer.from('b'), 0o644, true);
  const third = await volume.open();
  await third.unlink(root, directory.ino, Buffer.from('b'));
  await third.rmdir(root, 1n, Buffer.from('d'));
  await third.close();
  await theirs.close();
  assert.deepEqual(volume.rows(`SELECT * FROM jfs_dir_stats WHERE inode = ${directory.ino}`), []);
  assert.deepEqual(await volume.violations(), []);
});
