// What happens to dirty data when the store or the database fails, and to memory when writers are faster than the store.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ErrorCode, fail, hasCode } from '../../../src/base/errors.ts';
import type { Ino } from '../../../src/base/words.ts';
import { VolumeVfs } from '../../../src/filesystem/vfs/volume-vfs.ts';
import { caller, MemoryMeta, MemoryPages, silent } from './doubles.ts';

const PAGE = 4096;
const O_RDWR = 2;

function setUp(dirtyBytes?: number) {
  const meta = new MemoryMeta();
  const pages = new MemoryPages(PAGE);
  const marked = new Set<Ino>();
  const marks = {
    mark: (ino: Ino) => void marked.add(ino),
    clear: (ino: Ino) => void marked.delete(ino),
    inherited: () => [],
  };
  const vfs = new VolumeVfs({ meta, pages, root: 1n, log: silent, marks, ...(dirtyBytes && { dirtyBytes }) });
  const create = async (name: string) => {
    const [{ attr }, { handle }] = await vfs.create(caller, 1n, Buffer.from(name), 0o644, O_RDWR);
    return { ino: attr.ino, handle };
  };
  const read = async (ino: Ino, handle: bigint) => Buffer.concat(await vfs.read(caller, ino, handle, 0n, 1 << 20));
  return { meta, pages, marked, vfs, create, read };
}

const is = (code: ErrorCode) => (thrown: unknown) => hasCode(thrown, code);

test('a page that fails takes its slice along: objects and memory go, later writes are not touched', async () => {
  const { vfs, pages, marked, create, read } = setUp();
  const { ino, handle } = await create('a');
  const old = Buffer.alloc(3 * PAGE, 1);
  await vfs.write(caller, ino, handle, 0n, old);
  await vfs.flush(caller, ino, handle);
  pages.beforeWrite = ({ sliceId, indx }) => {
    if (sliceId === 2n && indx === 1) throw fail('store-unavailable', 'gone');
  };
  await vfs.write(caller, ino, handle, 0n, Buffer.alloc(3 * PAGE, 2));
  const later = vfs.write(caller, ino, handle, 0n, Buffer.alloc(100, 3));
  await later;
  await assert.rejects(vfs.flush(caller, ino, handle), is('store-unavailable'));
  const wanted = Buffer.from(old).fill(3, 0, 100);
  assert.deepEqual(await read(ino, handle), wanted);
  await new Promise(setImmediate);
  assert.deepEqual(
    [...pages.objects.keys()].filter((key) => key.startsWith('2_')),
    [],
    'pages of the failed slice are removed',
  );
  assert.deepEqual([...marked], [ino], 'a successor has to know as long as a handle is open');
  await vfs.release(caller, ino, handle);
  assert.equal(marked.size, 0);
});

for (const [code, removed] of [
  ['EDQUOT', true],
  ['metadata-unavailable', false],
] as const)
  test(`a commit that fails with ${code} is reported; its pages ${removed ? 'go' : 'stay: it may have arrived'}`, async () => {
    const { vfs, meta, pages, create, read } = setUp();
    const { ino, handle } = await create('a');
    meta.beforeCommit = () => {
      throw fail(code, 'no');
    };
    await vfs.write(caller, ino, handle, 0n, Buffer.alloc(10, 1));
    await assert.rejects(vfs.fsync(caller, ino, handle), is(code));
    await new Promise(setImmediate);
    assert.equal(pages.objects.size, removed ? 0 : 1);
    assert.equal((await read(ino, handle)).length, 0);
    assert.equal((await vfs.getattr(caller, ino, undefined)).attr.length, 0n);
  });

test('what was lost is not shown again: the kernel drops its pages, and what is in the database is looked at', async () => {
  const { vfs, meta, create, read } = setUp();
  const stale: Ino[] = [];
  vfs.onStale((ino) => stale.push(ino));
  const made = await create('a');
  const { ino } = made;
  await vfs.write(caller, ino, made.handle, 0n, Buffer.from('old'));
  await vfs.flush(caller, ino, made.handle);
  await vfs.release(caller, ino, made.handle);
  const open = async () => vfs.open(caller, ino, O_RDWR);
  const before = await open();
  await vfs.release(caller, ino, before.handle);
  const { handle, keepCache } = await open();
  assert.equal(keepCache, true, 'nobody has changed it');
  await read(ino, handle);
  // It is done, and the answer is lost.
  const commit = meta.commitSlices.bind(meta);
  meta.commitSlices = async (...args) => {
    await commit(...args);
    throw fail('metadata-unavailable', 'the connection was lost');
  };
  await vfs.write(caller, ino, handle, 0n, Buffer.from('new'));
  await assert.rejects(vfs.fsync(caller, ino, handle), is('metadata-unavailable'));
  assert.deepEqual(stale, [ino]);
  assert.equal((await read(ino, handle)).toString(), 'new');
  await vfs.release(caller, ino, handle);
  assert.equal((await open()).keepCache, false);
});

test('the write after a failure in the background reports it, too', async () => {
  const { vfs, pages, create } = setUp();
  const { ino, handle } = await create('a');
  pages.beforeWrite = () => {
    throw fail('store-full', 'full');
  };
  await vfs.write(caller, ino, handle, 0n, Buffer.alloc(PAGE, 1));
  for (let i = 0; i < 5; i++) await new Promise(setImmediate);
  const write = (): Promise<number> => vfs.write(caller, ino, handle, 0n, Buffer.alloc(1));
  await assert.rejects(write(), is('store-full'));
  pages.beforeWrite = () => undefined;
  assert.equal(await write(), 1);
  // The kernel may have made a short count of the write's error: fsync has to tell it all the same.
  await assert.rejects(vfs.flush(caller, ino, handle), is('store-full'));
  await assert.rejects(vfs.fsync(caller, ino, handle), is('store-full'));
  await vfs.flush(caller, ino, handle);
});

test('flushAll commits every file and rejects with what was lost', async () => {
  const { vfs, meta, pages, create } = setUp();
  const [a, b] = [await create('a'), await create('b')];
  for (const { ino, handle } of [a, b]) await vfs.write(caller, ino, handle, 0n, Buffer.alloc(10, 1));
  await vfs.flushAll();
  assert.equal(meta.committed.length, 2);
  assert.equal(meta.syncs, 1);
  for (const { ino, handle } of [a, b]) await vfs.write(caller, ino, handle, 0n, Buffer.alloc(10, 2));
  let first = true;
  pages.beforeWrite = () => {
    if (first) {
      first = false;
      throw fail('store-full', 'full');
    }
  };
  await assert.rejects(vfs.flushAll(), is('store-full'));
  assert.equal(meta.committed.length, 3);
});

test('writers wait when the store is slower, and half-filled pages of many files make room', async () => {
  const budget = 16 * PAGE;
  const { vfs, meta, pages, create } = setUp(budget);
  const gates: (() => void)[] = [];
  pages.beforeWrite = () => new Promise((resolve) => gates.push(resolve));
  let answered = 0;
  const writes: Promise<unknown>[] = [];
  for (let i = 0; i < 32; i++) {
    const { ino, handle } = await create(`f${i}`);
    writes.push(vfs.write(caller, ino, handle, 0n, Buffer.alloc(100, i)).then(() => answered++));
  }
  await new Promise(setImmediate);
  assert.ok(answered <= 16, `${answered} writes answered with a budget of 16 buffers`);
  assert.ok(gates.length > 0, 'pages go up though nobody asked for it');
  pages.beforeWrite = () => undefined;
  for (const open of gates) open();
  await Promise.all(writes);
  await vfs.flushAll();
  assert.equal(meta.committed.length, 32);
});

test('a full table of marks refuses the write before it takes data', async () => {
  const meta = new MemoryMeta();
  const full = () => {
    throw fail('EIO', 'table full');
  };
  const marks = { mark: full, clear: () => undefined, inherited: () => [] };
  const vfs = new VolumeVfs({ meta, pages: new MemoryPages(PAGE), root: 1n, log: silent, marks });
  const [{ attr }, { handle }] = await vfs.create(caller, 1n, Buffer.from('a'), 0o644, O_RDWR);
  await assert.rejects(vfs.write(caller, attr.ino, handle, 0n, Buffer.alloc(1)), is('EIO'));
  await vfs.flush(caller, attr.ino, handle);
  assert.equal(meta.committed.length, 0);
});
