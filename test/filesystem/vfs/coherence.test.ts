// What other clients do meanwhile, and what the kernel may keep.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../../src/base/errors.ts';
import type { Ino } from '../../../src/base/words.ts';
import { VolumeVfs } from '../../../src/filesystem/vfs/volume-vfs.ts';
import { caller, MemoryMeta, MemoryPages, silent } from './doubles.ts';

const PAGE = 4096;
const O_RDONLY = 0;
const O_RDWR = 2;

/** Two clients of one volume. */
function setUp() {
  const meta = new MemoryMeta();
  const pages = new MemoryPages(PAGE);
  const client = () => new VolumeVfs({ meta, pages, root: 1n, log: silent });
  return { meta, pages, ours: client(), theirs: client() };
}

async function put(vfs: VolumeVfs, ino: Ino, data: Buffer, offset = 0): Promise<void> {
  const { handle } = await vfs.open(caller, ino, O_RDWR);
  await vfs.write(caller, ino, handle, BigInt(offset), data);
  await vfs.flush(caller, ino, handle);
  await vfs.release(caller, ino, handle);
}

async function create(vfs: VolumeVfs, name: string, data: Buffer): Promise<Ino> {
  const [{ attr }, { handle }] = await vfs.create(caller, 1n, Buffer.from(name), 0o644, O_RDWR);
  await vfs.release(caller, attr.ino, handle);
  await put(vfs, attr.ino, data);
  return attr.ino;
}

const read = async (vfs: VolumeVfs, ino: Ino, handle: bigint, offset = 0, size = 1 << 20) =>
  Buffer.concat(await vfs.read(caller, ino, handle, BigInt(offset), size));

test('what another client closed is seen at open, also by a client that keeps the file open', async () => {
  const { ours, theirs } = setUp();
  const ino = await create(ours, 'a', Buffer.from('one'));
  const kept = await ours.open(caller, ino, O_RDONLY);
  assert.equal((await read(ours, ino, kept.handle)).toString(), 'one');
  await put(theirs, ino, Buffer.from('three'));
  const fresh = await ours.open(caller, ino, O_RDONLY);
  assert.equal(fresh.keepCache, false);
  assert.equal((await read(ours, ino, fresh.handle)).toString(), 'three');
  assert.equal((await read(ours, ino, kept.handle)).toString(), 'three');
});

test("another client's write just before an own one is seen at the next open", async () => {
  const { ours, theirs } = setUp();
  const ino = await create(ours, 'a', Buffer.from('......'));
  const kept = await ours.open(caller, ino, O_RDWR);
  await read(ours, ino, kept.handle);
  await put(theirs, ino, Buffer.from('T'));
  await ours.write(caller, ino, kept.handle, 5n, Buffer.from('O'));
  await ours.flush(caller, ino, kept.handle);
  const fresh = await ours.open(caller, ino, O_RDONLY);
  assert.equal(fresh.keepCache, false);
  assert.equal((await read(ours, ino, fresh.handle)).toString(), 'T....O');
});

test('the kernel keeps its pages over a close when nobody changed the file, and only then', async () => {
  const { ours, theirs } = setUp();
  const ino = await create(ours, 'a', Buffer.from('one'));
  const open = async () => {
    const { handle, keepCache } = await ours.open(caller, ino, O_RDONLY);
    await ours.release(caller, ino, handle);
    return keepCache;
  };
  assert.deepEqual([await open(), await open()], [false, true]);
  await put(theirs, ino, Buffer.from('two'));
  assert.deepEqual([await open(), await open()], [false, true]);
  await ours.setattr(caller, ino, { mode: 0o600 }, undefined);
  assert.deepEqual([await open(), await open()], [false, true]);
});

test('a chunk that another client compacted is read again', async () => {
  const { meta, pages, ours } = setUp();
  const ino = await create(ours, 'a', Buffer.from('old'));
  await put(ours, ino, Buffer.from('new'));
  const { handle } = await ours.open(caller, ino, O_RDONLY);
  await read(ours, ino, handle);
  const chunk = meta.node(ino).chunks.get(0);
  assert.ok(chunk);
  const entry = await pages.write({ sliceId: 99n, indx: 0, length: 3 }, Buffer.from('new'));
  chunk.slices.splice(0, chunk.slices.length, { pos: 0, id: 99n, size: 3, off: 0, len: 3 });
  chunk.ledger.push(entry);
  for (const key of pages.objects.keys()) if (!key.startsWith('99_')) pages.objects.delete(key);
  assert.equal((await read(ours, ino, handle)).toString(), 'new');
  pages.objects.clear();
  await assert.rejects(read(ours, ino, handle), (e) => hasCode(e, 'object-missing'));
});

test('a chunk that others compact again and again is read when they pause', async () => {
  const { meta, pages, ours } = setUp();
  const ino = await create(ours, 'a', Buffer.from('old'));
  const { handle } = await ours.open(caller, ino, O_RDONLY);
  await read(ours, ino, handle);
  const chunk = meta.node(ino).chunks.get(0);
  assert.ok(chunk);
  // Each time that the chunk has been looked at, its pages go and the next ones come.
  let left = 4;
  const compact = async (): Promise<void> => {
    if (left-- <= 0) return;
    const place = { sliceId: BigInt(99 - left), indx: 0, length: 3 };
    pages.objects.clear();
    chunk.slices.splice(0, 1, { pos: 0, id: place.sliceId, size: 3, off: 0, len: 3 });
    chunk.ledger.push(await pages.write(place, Buffer.from('new')));
  };
  meta.afterReadChunk = compact;
  await compact();
  assert.equal((await read(ours, ino, handle)).toString(), 'new');
  assert.equal(left, -1);
});

test('times set before a close are not overwritten by the commit', async () => {
  const { ours } = setUp();
  const [{ attr }, { handle }] = await ours.create(caller, 1n, Buffer.from('a'), 0o644, O_RDWR);
  await ours.write(caller, attr.ino, handle, 0n, Buffer.from('x'));
  await ours.setattr(caller, attr.ino, { mtime: 1234n }, handle);
  await ours.flush(caller, attr.ino, handle);
  assert.equal((await ours.getattr(caller, attr.ino, undefined)).attr.mtime, 1234n);
});

test('a sequential reader has the next pages fetched, a random one has not', async () => {
  const { pages, ours } = setUp();
  const ino = await create(ours, 'a', Buffer.alloc(64 * PAGE, 7));
  const sequential = await ours.open(caller, ino, O_RDONLY);
  for (let i = 0; i < 4; i++) await read(ours, ino, sequential.handle, i * PAGE, PAGE);
  assert.ok(new Set(pages.reads).size > 4);
  const random = await ours.open(caller, ino, O_RDONLY);
  pages.reads.length = 0;
  for (const page of [50, 3, 33, 20]) await read(ours, ino, random.handle, page * PAGE, PAGE);
  assert.equal(pages.reads.length, 4);
});
