// A successor behind the same kernel connection: old handles work, and what the predecessor lost is told.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fail, hasCode } from '../../../src/base/errors.ts';
import type { Ino } from '../../../src/base/words.ts';
import { decodeHandle, encodeHandle } from '../../../src/filesystem/vfs/handles.ts';
import type { UncommittedMarks } from '../../../src/filesystem/vfs/marks.ts';
import { VolumeVfs } from '../../../src/filesystem/vfs/volume-vfs.ts';
import { caller, MemoryMeta, MemoryPages, silent } from './doubles.ts';

/** As the state memfd: outlives a vfs. */
class Marks implements UncommittedMarks {
  readonly set = new Set<Ino>();
  mark(ino: Ino): void {
    this.set.add(ino);
  }
  clear(ino: Ino): void {
    this.set.delete(ino);
  }
  inherited(): readonly Ino[] {
    return [...this.set];
  }
}

function setUp() {
  const meta = new MemoryMeta();
  const pages = new MemoryPages(4096);
  const marks = new Marks();
  const worker = (epoch: number) => new VolumeVfs({ meta, pages, root: 1n, log: silent, marks, epoch });
  return { meta, pages, marks, worker };
}

const data = Buffer.from('some bytes');
const isEio = (thrown: unknown): boolean => hasCode(thrown, 'EIO');
const O_RDWR = 2;
const O_APPEND = 0o2000;

test('an id carries epoch, flags and serial', () => {
  const parts = { epoch: 65_535, accessMode: 2, append: true, directory: false, serial: 0xffff_ffff };
  assert.deepEqual(decodeHandle(encodeHandle(parts)), parts);
  assert.ok(encodeHandle(parts) < 1n << 63n);
});

test('an inode is marked while it has uncommitted data, and only then', async () => {
  const { marks, worker } = setUp();
  const vfs = worker(0);
  const [{ attr }, { handle }] = await vfs.create(caller, 1n, Buffer.from('a'), 0o644, O_RDWR);
  assert.deepEqual([...marks.set], []);
  await vfs.write(caller, attr.ino, handle, 0n, data);
  assert.deepEqual([...marks.set], [attr.ino]);
  await vfs.flush(caller, attr.ino, handle);
  assert.deepEqual([...marks.set], []);
});

test('old handles go on working in a successor', async () => {
  const { worker, marks, meta } = setUp();
  const first = worker(0);
  const [{ attr }, { handle }] = await first.create(caller, 1n, Buffer.from('a'), 0o644, O_RDWR | O_APPEND);
  await first.write(caller, attr.ino, handle, 0n, data);
  await first.fsync(caller, attr.ino, handle);
  const second = worker(1);
  assert.equal(second.lostInodes, 0);
  await second.write(caller, attr.ino, handle, 0n, data);
  await second.flush(caller, attr.ino, handle);
  assert.equal((await second.getattr(caller, attr.ino, handle)).attr.length, BigInt(2 * data.length), 'append is kept');
  const pieces = await second.read(caller, attr.ino, handle, 0n, 100);
  assert.deepEqual(Buffer.concat(pieces), Buffer.concat([data, data]));
  await second.release(caller, attr.ino, handle);
  assert.equal(marks.set.size, 0);
  assert.equal(meta.handles.get(attr.ino), 1, "the predecessor's own count is not ours to lower");
});

test('what the predecessor could not write out at its end is told by the successor', async () => {
  const { worker, marks, pages } = setUp();
  const first = worker(0);
  const [{ attr }, { handle }] = await first.create(caller, 1n, Buffer.from('a'), 0o644, O_RDWR);
  pages.beforeWrite = () => {
    throw fail('store-unavailable', 'gone');
  };
  await first.write(caller, attr.ino, handle, 0n, data);
  await assert.rejects(first.flushAll());
  pages.beforeWrite = () => undefined;
  const second = worker(1);
  await assert.rejects(second.fsync(caller, attr.ino, handle), isEio);
  await second.fsync(caller, attr.ino, handle);
  await second.release(caller, attr.ino, handle);
  second.forget(attr.ino, 1n);
  assert.equal(marks.set.size, 0);
});

test('lost data is told to every old handle, and a new one does not hide it', async () => {
  const { worker, marks } = setUp();
  const first = worker(0);
  const [{ attr }, { handle }] = await first.create(caller, 1n, Buffer.from('a'), 0o644, O_RDWR);
  const { ino } = attr;
  const other = await first.open(caller, ino, O_RDWR);
  await first.write(caller, ino, handle, 0n, data);

  const second = worker(1);
  assert.equal(second.lostInodes, 1);
  const fresh = await second.open(caller, ino, O_RDWR);
  await second.write(caller, ino, fresh.handle, 0n, data);
  await second.fsync(caller, ino, fresh.handle);
  assert.deepEqual([...marks.set], [ino], 'a third worker has to know, too');
  await assert.rejects(second.fsync(caller, ino, handle), isEio);
  await second.fsync(caller, ino, handle);
  await assert.rejects(second.write(caller, ino, other.handle, 0n, data), isEio);
  assert.equal(await second.write(caller, ino, other.handle, 0n, data), data.length);
  // The kernel may have made a short count of the write's error, and a flush may be another process's.
  await assert.rejects(second.flush(caller, ino, other.handle), isEio);
  await assert.rejects(second.flush(caller, ino, other.handle), isEio);
  await assert.rejects(second.fsync(caller, ino, other.handle), isEio);
  await second.flush(caller, ino, other.handle);
  for (const each of [fresh.handle, handle, other.handle]) await second.release(caller, ino, each);
  second.forget(ino, 1n);
  assert.deepEqual([...marks.set], []);
});

test('an open beside an old handle makes the kernel drop pages that may hold lost data', async () => {
  const { worker } = setUp();
  const first = worker(0);
  const [{ attr }, { handle }] = await first.create(caller, 1n, Buffer.from('a'), 0o644, O_RDWR);
  await first.write(caller, attr.ino, handle, 0n, data);

  const second = worker(1);
  await assert.rejects(second.flush(caller, attr.ino, handle), isEio);
  assert.equal((await second.open(caller, attr.ino, O_RDWR)).keepCache, false);
  assert.equal((await second.open(caller, attr.ino, O_RDWR)).keepCache, true);
});

test('a handle that nobody ever opened is EBADF', async () => {
  const { worker } = setUp();
  const vfs = worker(3);
  const [{ attr }] = await vfs.create(caller, 1n, Buffer.from('a'), 0o644, O_RDWR);
  const id = encodeHandle({ epoch: 3, accessMode: 2, append: false, directory: false, serial: 99 });
  await assert.rejects(vfs.read(caller, attr.ino, id, 0n, 1), (e) => hasCode(e, 'EBADF'));
  const directory = encodeHandle({ epoch: 2, accessMode: 2, append: false, directory: true, serial: 99 });
  await assert.rejects(vfs.write(caller, attr.ino, directory, 0n, data), (e) => hasCode(e, 'EBADF'));
});
