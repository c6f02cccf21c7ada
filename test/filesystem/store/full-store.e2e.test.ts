// A store without space: a small tmpfs. Each put fails as store-full and leaves nothing half-done.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openStore } from '../../../src/filesystem/store/open-store.ts';

let bucket: string;
before(async () => {
  bucket = await mkdtemp(join(tmpdir(), 'pageseal-full-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m,nr_inodes=64', 'pageseal-test', bucket]);
});
after(async () => {
  execFileSync('umount', ['-l', bucket]);
  await rm(bucket, { recursive: true });
});

test('no space left, in bytes or in inodes, is store-full and leaves no file behind', async () => {
  const store = await openStore({ storage: 'file', bucket: `${bucket}/` });
  await store.put('v/kept', [Buffer.alloc(500_000, 1)]);
  await assert.rejects(store.put('v/big', [Buffer.alloc(2), Buffer.alloc(900_000)]), { code: 'store-full' });
  await assert.rejects(store.put('v/kept', [Buffer.alloc(900_000)]), { code: 'store-full' });
  assert.deepEqual(await readdir(join(bucket, 'v')), ['kept']);
  assert.equal((await store.get('v/kept'))[0], 1);
  await store.put('v/small', [Buffer.alloc(1000)]);

  const many = Array.from({ length: 80 }, (_, i) => store.put(`v/n/${i}`, [Buffer.from('x')]));
  const failed = (await Promise.allSettled(many)).filter((each) => each.status === 'rejected');
  assert.ok(failed.length > 0);
  for (const each of failed) assert.equal(each.reason.code, 'store-full');
  const names = await readdir(join(bucket, 'v/n'));
  assert.equal(names.length, 80 - failed.length);
  assert.ok(names.every((name) => !name.startsWith('.jfs')));
});
