// Requests that make two changes, sent again after their server died: each change is made, under the right answer.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fail } from '../../../src/base/errors.ts';
import type { Caller } from '../../../src/base/words.ts';
import type { OpenedMeta } from '../../../src/filesystem/meta/open-meta.ts';
import { VolumeVfs } from '../../../src/filesystem/vfs/volume-vfs.ts';
import { makeTemp } from '../../harness/temp.ts';
import { root, TestVolume } from '../meta/volume.ts';
import { MemoryPages, silent } from './doubles.ts';

const temp = makeTemp();
const O_RDWR = 2;
const O_TRUNC = 0o1000;
const asked = (unique: bigint, resent = false): Caller => ({ ...root, request: { mount: 9n, unique, resent } });
const name = Buffer.from('a');

async function setUp() {
  const volume = await TestVolume.make(temp);
  const pages = new MemoryPages(65_536);
  const serve = (meta: OpenedMeta, epoch: number) => new VolumeVfs({ meta, pages, root: 1n, log: silent, epoch });
  const meta = await volume.open();
  const vfs = serve(meta, 0);
  const [{ attr }, { handle }] = await vfs.create(asked(2n), 1n, name, 0o644, O_RDWR);
  await vfs.write(root, attr.ino, handle, 0n, Buffer.from('some bytes'));
  await vfs.release(root, attr.ino, handle);
  const successor = async () => {
    const sid = meta.sessionId ?? 0n;
    await meta.close({ keepSession: true });
    const next = await volume.open({ mountPoint: '/mnt', sid });
    return { meta: next, vfs: serve(next, 1) };
  };
  return { meta, vfs, ino: attr.ino, successor };
}

test('create of a file that another client had made, with O_TRUNC', async () => {
  const { vfs, ino, successor } = await setUp();
  const [first] = await vfs.create(asked(4n), 1n, name, 0o644, O_RDWR | O_TRUNC);
  assert.deepEqual([first.attr.ino, first.attr.length], [ino, 0n]);
  const next = await successor();
  const [again, { handle }] = await next.vfs.create(asked(4n, true), 1n, name, 0o644, O_RDWR | O_TRUNC);
  assert.deepEqual([again.attr.ino, again.attr.length], [ino, 0n]);
  await next.vfs.release(root, ino, handle);
  await next.meta.close();
});

test('a change of length and mode that died half way', async () => {
  const { meta, vfs, ino, successor } = await setUp();
  Object.assign(meta, { setattr: () => Promise.reject(fail('EIO', 'killed here')) });
  await assert.rejects(vfs.setattr(asked(4n), ino, { size: 4n, mode: 0o600 }, undefined));
  const next = await successor();
  const { attr } = await next.vfs.setattr(asked(4n, true), ino, { size: 4n, mode: 0o600 }, undefined);
  assert.deepEqual([attr.length, attr.mode], [4n, 0o600]);
  assert.deepEqual((await next.meta.getattr(ino)).mode, 0o600);
  await next.meta.close();
});
