// Who waits for a lock, who gets it, what a close gives back, what a lost session means.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ErrorCode, hasCode } from '../../../src/base/errors.ts';
import type { Caller, Ino } from '../../../src/base/words.ts';
import { LOCK_END } from '../../../src/filesystem/meta/lock-ranges.ts';
import { type FileLock, type HandleId, LockType } from '../../../src/filesystem/vfs/vfs.ts';
import { VolumeVfs } from '../../../src/filesystem/vfs/volume-vfs.ts';
import { caller, MemoryMeta, MemoryPages, silent } from './doubles.ts';

const is = (code: ErrorCode) => (thrown: unknown) => hasCode(thrown, code);
const { read, write, none } = LockType;
const O_RDWR = 2;

async function setUp() {
  const meta = new MemoryMeta();
  const pages = new MemoryPages(4096);
  const open = (epoch: number) => new VolumeVfs({ meta, pages, root: 1n, log: silent, epoch });
  const vfs = open(0);
  const [{ attr }, { handle }] = await vfs.create(caller, 1n, Buffer.from('a'), 0o644, O_RDWR);
  return { meta, pages, open, vfs, ino: attr.ino, handle };
}

const flock = (owner: bigint, type: LockType): FileLock => ({
  flock: true,
  owner,
  type,
  start: 0n,
  end: LOCK_END,
  pid: 1,
});
const plock = (owner: bigint, type: LockType, start = 0n, end = LOCK_END): FileLock => ({
  flock: false, owner, type, start, end, pid: 1,
}); // biome-ignore format: one lock per line

/** Whether a promise is still open after everything that could settle it in memory had its turn. */
async function waits(promise: Promise<unknown>): Promise<boolean> {
  let open = true;
  void promise.then(
    () => (open = false),
    () => (open = false),
  );
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
  return open;
}

test('a lock in the way is EAGAIN, or is waited for and handed over at once', async () => {
  const { vfs, meta, ino, handle } = await setUp();
  await vfs.setLock(caller, ino, handle, plock(1n, write), false);
  await assert.rejects(vfs.setLock(caller, ino, handle, plock(2n, read), false), is('EAGAIN'));
  const second = vfs.setLock(caller, ino, handle, plock(2n, write), true);
  assert.ok(await waits(second));
  // No more looks than this hand-over needs: the clock has no part in it.
  const calls = meta.lockCalls;
  await vfs.setLock(caller, ino, handle, plock(1n, none), false);
  await second;
  assert.equal(meta.lockCalls, calls + 2);
  assert.deepEqual((await vfs.getLock(caller, ino, handle, plock(1n, read)))?.type, write);
});

test('who came first gets it first, and shared ones together', async () => {
  const { vfs, ino, handle } = await setUp();
  await vfs.setLock(caller, ino, handle, plock(1n, write), false);
  const order: bigint[] = [];
  const lock = (owner: bigint, type: LockType) =>
    vfs.setLock(caller, ino, handle, plock(owner, type), true).then(() => order.push(owner));
  const all = [lock(2n, read), lock(3n, read), lock(4n, write)];
  await waits(all[2] as Promise<unknown>);
  await vfs.setLock(caller, ino, handle, plock(1n, none), false);
  await Promise.all(all.slice(0, 2));
  assert.ok(await waits(all[2] as Promise<unknown>));
  for (const owner of [2n, 3n]) await vfs.setLock(caller, ino, handle, plock(owner, none), false);
  await all[2];
  assert.deepEqual(order, [2n, 3n, 4n]);
});

test('a lock of another client is waited for by looking', async () => {
  const { vfs, meta, ino, handle } = await setUp();
  const held = { sid: 2n, owner: 9n, ranges: [{ type: write, start: 0n, end: LOCK_END, pid: 1 }] };
  meta.locks.set(`flock ${ino}`, [held]);
  const waiting = vfs.setLock(caller, ino, handle, flock(1n, read), true);
  assert.ok(await waits(waiting));
  meta.locks.set(`flock ${ino}`, []);
  await waiting;
});

test('interrupted, a waiter gets EINTR and holds nothing; its place in the line is free', async () => {
  const { vfs, meta, ino, handle } = await setUp();
  await vfs.setLock(caller, ino, handle, plock(1n, write), false);
  const abort = new AbortController();
  const waiting = vfs.setLock({ ...caller, signal: abort.signal }, ino, handle, plock(2n, write), true);
  const behind = vfs.setLock(caller, ino, handle, plock(3n, write), true);
  assert.ok(await waits(waiting));
  abort.abort();
  await assert.rejects(waiting, is('EINTR'));
  await vfs.setLock(caller, ino, handle, plock(1n, none), false);
  await behind;
  assert.deepEqual(
    (await meta.locksOn('plock', ino)).map(({ owner }) => owner),
    [3n],
  );
});

test('interrupted while the database answers, a waiter has the lock or EINTR, never both', async () => {
  for (const granted of [true, false]) {
    const { vfs, meta, ino, handle } = await setUp();
    await vfs.setLock(caller, ino, handle, plock(1n, write), false);
    const abort = new AbortController();
    const waiting = vfs.setLock({ ...caller, signal: abort.signal }, ino, handle, plock(2n, write), true);
    await waits(waiting);
    meta.beforeLock = async ({ owner, type }) => {
      if (owner !== 2n) return;
      abort.abort();
      // Another client was quicker.
      const held = { sid: 2n, owner: 9n, ranges: [{ type: write, start: 0n, end: LOCK_END, pid: 1 }] };
      if (!granted && type === write) meta.locks.set(`plock ${ino}`, [held]);
    };
    await vfs.setLock(caller, ino, handle, plock(1n, none), false);
    const outcome = await waiting.then(
      () => 'granted',
      (thrown: unknown) => (hasCode(thrown, 'EINTR') ? 'EINTR' : thrown),
    );
    assert.equal(outcome, granted ? 'granted' : 'EINTR');
    assert.equal(
      (await meta.locksOn('plock', ino)).some(({ owner }) => owner === 2n),
      granted,
    );
  }
});

test('a thousand waiters for one lock all get it', async () => {
  const { vfs, meta, ino, handle } = await setUp();
  await vfs.setLock(caller, ino, handle, plock(0n, write), false);
  let holding = 0;
  const all = Array.from({ length: 1000 }, async (_, i) => {
    const owner = BigInt(i + 1);
    await vfs.setLock(caller, ino, handle, plock(owner, write), true);
    assert.equal(holding++, 0);
    await new Promise((resolve) => setImmediate(resolve));
    holding--;
    await vfs.setLock(caller, ino, handle, plock(owner, none), false);
  });
  await vfs.setLock(caller, ino, handle, plock(0n, none), false);
  await Promise.all(all);
  assert.deepEqual(await meta.locksOn('plock', ino), []);
  // One request each to begin with, one when its turn came, one to give it back, and few in vain.
  assert.ok(meta.lockCalls < 3500, String(meta.lockCalls));
});

test('closing gives back what was locked, and asks nothing of files never locked', async () => {
  const { vfs, meta, ino, handle } = await setUp();
  await vfs.flush(caller, ino, handle, 5n);
  assert.equal(meta.lockCalls, 0);
  await vfs.setLock(caller, ino, handle, plock(5n, write, 0n, 9n), false);
  await vfs.setLock(caller, ino, handle, plock(6n, read, 20n, 29n), false);
  await vfs.flush(caller, ino, handle, 5n);
  assert.deepEqual(
    (await meta.locksOn('plock', ino)).map(({ owner }) => owner),
    [6n],
  );
  const calls = meta.lockCalls;
  await vfs.flush(caller, ino, handle, 5n);
  assert.equal(meta.lockCalls, calls);
  const other = await vfs.open(caller, ino, O_RDWR);
  await vfs.setLock(caller, ino, handle, flock(77n, read), false);
  await vfs.setLock(caller, ino, other.handle, flock(77n, read), false);
  // One open file's flock is not another's, whatever number the kernel gives it.
  assert.equal((await meta.locksOn('flock', ino)).length, 2);
  await vfs.release(caller, ino, other.handle, 77n);
  assert.deepEqual(
    (await meta.locksOn('flock', ino)).map(({ owner }) => owner),
    [77n ^ handle],
  );
});

test('a lock that cannot be given back at a close is an error there, and given back later', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const { vfs, meta, ino, handle } = await setUp();
  await vfs.setLock(caller, ino, handle, plock(5n, write), false);
  meta.beforeLock = () => {
    throw new Error('database is away');
  };
  await assert.rejects(vfs.flush(caller, ino, handle, 5n));
  meta.beforeLock = () => undefined;
  context.mock.timers.tick(1000);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(await meta.locksOn('plock', ino), []);
});

test('a successor gives back what its predecessor locked', async () => {
  const { open, vfs, meta, ino, handle } = await setUp();
  await vfs.setLock(caller, ino, handle, plock(5n, write), false);
  await vfs.setLock(caller, ino, handle, flock(7n, write), false);
  const successor = open(1);
  await successor.adopt();
  const waiting = successor.setLock(caller, ino, handle, plock(6n, write), true);
  assert.ok(await waits(waiting));
  await successor.flush(caller, ino, handle, 5n);
  await waiting;
  await successor.release(caller, ino, handle, 7n);
  assert.deepEqual(await meta.locksOn('flock', ino), []);
});

test('with the session the locks are lost: their handles are EIO until opened again, others are not', async () => {
  const { vfs, meta, ino, handle } = await setUp();
  const plain = await vfs.open(caller, ino, O_RDWR);
  await vfs.setLock(caller, ino, handle, flock(1n, write), false);
  meta.locks.clear();
  meta.sessionId = 2n;
  meta.sessionLost();
  const data = Buffer.from('x');
  for (const use of [
    () => vfs.read(caller, ino, handle, 0n, 1),
    () => vfs.write(caller, ino, handle, 0n, data),
    () => vfs.fsync(caller, ino, handle),
    () => vfs.setLock(caller, ino, handle, flock(1n, write), false),
  ])
    await assert.rejects(use(), is('EIO'));
  assert.equal(await vfs.write(caller, ino, plain.handle, 0n, data), 1);
  await assert.rejects(vfs.flush(caller, ino, handle, 5n), is('EIO'));
  await vfs.release(caller, ino, handle, 1n);
  const again = await vfs.open(caller, ino, O_RDWR);
  await vfs.setLock(caller, ino, again.handle, flock(1n, write), false);
});

test('what was written under a lock that is lost is not committed, and told; what is written anew is', async () => {
  const { vfs, meta, ino, handle } = await setUp();
  await vfs.setLock(caller, ino, handle, flock(1n, write), false);
  await vfs.write(caller, ino, handle, 0n, Buffer.from('under it'));
  meta.sessionLost();
  await assert.rejects(vfs.fsync(caller, ino, handle), is('EIO'));
  const again = await vfs.open(caller, ino, O_RDWR);
  assert.equal(meta.committed.length, 0);
  await vfs.write(caller, ino, again.handle, 0n, Buffer.from('anew'));
  await vfs.fsync(caller, ino, again.handle);
  assert.equal(meta.committed.length, 1);
});

test("a predecessor's lock that is lost takes all its handles of the file along", async () => {
  const { open, vfs, meta, ino, handle } = await setUp();
  await vfs.setLock(caller, ino, handle, flock(1n, write), false);
  const successor = open(1);
  await successor.adopt();
  meta.sessionLost();
  const writes = (id: HandleId): Promise<number> => successor.write(caller, ino, id, 0n, Buffer.from('x'));
  await assert.rejects(writes(handle), is('EIO'));
  assert.equal(await writes((await successor.open(caller, ino, O_RDWR)).handle), 1);
});

test('on a shared volume what was written under a lock is committed before it goes', async () => {
  const { vfs, meta, ino, handle } = await setUp();
  const write8 = async (who: Caller, at: Ino): Promise<number> =>
    vfs.write(who, at, handle, 0n, Buffer.from('8 bytes!'));
  await vfs.setLock(caller, ino, handle, plock(1n, write), false);
  await write8(caller, ino);
  await vfs.setLock(caller, ino, handle, plock(1n, none), false);
  assert.equal(meta.committed.length, 0);
  meta.shared = true;
  await vfs.setLock(caller, ino, handle, plock(1n, write), false);
  await write8(caller, ino);
  await vfs.setLock(caller, ino, handle, plock(1n, none), false);
  assert.equal(meta.committed.length, 1);
});

test('on a shared volume a lock shows what others wrote, and says when cached pages are old', async () => {
  const { vfs, meta, ino, handle } = await setUp();
  const lock = (): Promise<boolean> => vfs.setLock(caller, ino, handle, plock(1n, read), false);
  assert.equal(await lock(), false);
  meta.shared = true;
  assert.equal(await lock(), false);
  const { attr } = meta.node(ino);
  meta.node(ino).attr = { ...attr, length: 10n, mtime: attr.mtime + 1n };
  assert.equal(await lock(), true);
  assert.equal(Buffer.concat(await vfs.read(caller, ino, handle, 0n, 100)).length, 10);
  assert.equal(await lock(), true); // mixed until it is opened anew
});
