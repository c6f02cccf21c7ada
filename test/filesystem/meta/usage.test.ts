// Usage figures when a client ends without flushing them.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Temp } from '../../harness/temp.ts';
import { violations } from '../../model/invariants.ts';
import { root, TestVolume } from './volume.ts';

const temp = new Temp();
after(() => temp.remove());

test('what a client that died had changed is counted once by the next', async () => {
  const volume = await TestVolume.make(temp, { trashDays: 0 });
  const first = await volume.open();
  const { attr } = await first.create(root, 1n, Buffer.from('a'), 0o644, true);
  await first.truncate(root, attr.ino, 10_000);
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
  assert.deepEqual(violations(volume.file), []);
});
