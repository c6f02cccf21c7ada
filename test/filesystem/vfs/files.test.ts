// Reading and writing through the vfs, with stand-ins for what is below.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../../src/base/errors.ts';
import { VolumeVfs } from '../../../src/filesystem/vfs/volume-vfs.ts';
import { caller, MemoryMeta, MemoryPages, silent } from './doubles.ts';

const PAGE = 4096;
const O_RDWR = 2;
const O_APPEND = 0o2000;

function setUp(pageSize = PAGE) {
  const meta = new MemoryMeta();
  const pages = new MemoryPages(pageSize);
  const vfs = new VolumeVfs({ meta, pages, root: 1n, log: silent });
  const create = async (name: string, flags = O_RDWR) => {
    const [{ attr }, { handle }] = await vfs.create(caller, 1n, Buffer.from(name), 0o644, flags);
    return { ino: attr.ino, handle };
  };
  const read = async (ino: bigint, handle: bigint, offset = 0, size = 1 << 20) =>
    Buffer.concat(await vfs.read(caller, ino, handle, BigInt(offset), size));
  return { meta, pages, vfs, create, read };
}

const bytes = (length: number, seed = 1) => Buffer.from(Array.from({ length }, (_, i) => (i * 31 + seed * 7) & 255));

test('a file is there after close, and open again', async () => {
  const { vfs, create, read } = setUp();
  const { ino, handle } = await create('a');
  const data = bytes(3 * PAGE + 17);
  assert.equal(await vfs.write(caller, ino, handle, 0n, data), data.length);
  assert.deepEqual(await read(ino, handle), data, 'dirty');
  await vfs.flush(caller, ino, handle);
  assert.deepEqual(await read(ino, handle), data, 'committed');
  await vfs.release(caller, ino, handle);
  const again = await vfs.open(caller, ino, 0);
  assert.deepEqual(await read(ino, again.handle), data, 'opened anew');
  assert.equal((await vfs.getattr(caller, ino, undefined)).attr.length, BigInt(data.length));
});

test('the buffer of a write is free as soon as the call returns', async () => {
  const { vfs, create, read } = setUp();
  const { ino, handle } = await create('a');
  const data = bytes(100);
  const wanted = Buffer.from(data);
  const answer = vfs.write(caller, ino, handle, 0n, data);
  data.fill(0);
  await answer;
  assert.deepEqual(await read(ino, handle), wanted);
});

test('sequential writes become one slice of a chunk, its full pages going up meanwhile', async () => {
  const { vfs, meta, pages, create } = setUp();
  const { ino, handle } = await create('a');
  for (let i = 0; i < 10; i++) await vfs.write(caller, ino, handle, BigInt(i * 1000), bytes(1000, i));
  await new Promise(setImmediate);
  assert.equal(pages.objects.size, 2, 'full pages are in the store before any flush');
  assert.equal(meta.committed.length, 0);
  await vfs.flush(caller, ino, handle);
  assert.deepEqual(
    meta.committed.map(({ slice }) => [slice.pos, slice.size, slice.off, slice.len]),
    [[0, 10_000, 0, 10_000]],
  );
});

test('a slice never crosses a chunk', async () => {
  const { vfs, meta, create, read } = setUp(1 << 20);
  const { ino, handle } = await create('a');
  const chunk = 1 << 26;
  const data = bytes(5000);
  await vfs.write(caller, ino, handle, BigInt(chunk - 2000), data);
  await vfs.flush(caller, ino, handle);
  assert.deepEqual(
    meta.committed.map(({ indx, slice }) => [indx, slice.pos, slice.len]),
    [
      [0, chunk - 2000, 2000],
      [1, 0, 3000],
    ],
  );
  assert.deepEqual(await read(ino, handle, chunk - 2000), data);
  assert.equal(await vfs.lseek(caller, ino, handle, 0n, 3), BigInt(chunk - 2000));
  assert.equal(await vfs.lseek(caller, ino, handle, BigInt(chunk), 4), BigInt(chunk + 3000));
});

test('commits of one inode keep the order of its writes though later pages are up first', async () => {
  const { vfs, meta, pages, create } = setUp();
  const { ino, handle } = await create('a');
  let letGo = () => {};
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  let first = true;
  pages.beforeWrite = () => {
    const wait = first;
    first = false;
    return wait ? held : undefined;
  };
  await vfs.write(caller, ino, handle, 0n, bytes(PAGE, 1));
  await vfs.write(caller, ino, handle, 0n, bytes(PAGE, 2));
  const flushed = vfs.flush(caller, ino, handle);
  await new Promise(setImmediate);
  assert.equal(meta.committed.length, 0);
  letGo();
  await flushed;
  assert.deepEqual(
    meta.committed.map(({ slice }) => slice.id),
    [1n, 2n],
  );
});

test('what cannot be stored is told once to every handle that was open, and the old data stays', async () => {
  const { vfs, pages, create, read } = setUp();
  const { ino, handle } = await create('a');
  await vfs.write(caller, ino, handle, 0n, bytes(5000));
  await vfs.flush(caller, ino, handle);
  const other = await vfs.open(caller, ino, O_RDWR);
  const { fail } = await import('../../../src/base/errors.ts');
  pages.beforeWrite = () => {
    throw fail('store-full', 'no space');
  };
  await vfs.write(caller, ino, handle, 0n, bytes(5000, 9));
  await assert.rejects(vfs.fsync(caller, ino, handle), (e) => hasCode(e, 'store-full'));
  await vfs.fsync(caller, ino, handle);
  const late = await vfs.open(caller, ino, O_RDWR);
  await vfs.fsync(caller, ino, late.handle);
  await assert.rejects(vfs.flush(caller, ino, other.handle), (e) => hasCode(e, 'store-full'));
  assert.deepEqual(await read(ino, handle), bytes(5000));
  pages.beforeWrite = () => undefined;
  await vfs.write(caller, ino, handle, 0n, bytes(5000, 3));
  await vfs.flush(caller, ino, handle);
  assert.deepEqual(await read(ino, handle), bytes(5000, 3));
});

test('a handle opened to append puts bytes at the end, and those that have a place into it', async () => {
  const { vfs, create, read } = setUp();
  const { ino, handle } = await create('a', O_RDWR | O_APPEND);
  await vfs.write(caller, ino, handle, 0n, Buffer.from('12345'));
  await vfs.write(caller, ino, handle, 3n, Buffer.from('67'));
  await vfs.write(caller, ino, handle, 1n, Buffer.from('xy'), true);
  assert.equal((await read(ino, handle)).toString(), '1xy4567');
});

test('the time of the last write stays when slices begun later are committed after it', async () => {
  const { vfs, create } = setUp();
  const { ino, handle } = await create('a');
  for (const offset of [0, 100 * PAGE, 10]) {
    await vfs.write(caller, ino, handle, BigInt(offset), bytes(20));
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  const dirty = (await vfs.getattr(caller, ino, undefined)).attr.mtime;
  await vfs.flush(caller, ino, handle);
  assert.equal((await vfs.getattr(caller, ino, undefined)).attr.mtime, dirty);
});
