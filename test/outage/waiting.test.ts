// What a mount does while its store or its database is away: who waits, for how long, and what is left of it afterwards.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ErrorCode, fail, hasCode } from '../../src/base/errors.ts';
import { usualWaits } from '../../src/base/outage.ts';
import { makeTemp } from '../harness/temp.ts';
import { caller, content, create, type Fault, FaultyVolume, type Mounted, PAGE } from './parts.ts';

const temp = makeTemp();
const is = (code: ErrorCode) => (thrown: unknown) => hasCode(thrown, code);
const away = { store: 'store-unavailable', metadata: 'metadata-unavailable' } as const;
type What = keyof typeof away;

const faultOf = (mounted: Mounted, what: What): Fault => (what === 'store' ? mounted.storeFault : mounted.metaFault);

/** From now on, and for so long by the mount's clock. */
function takeAway(mounted: Mounted, what: What, forMs = Number.POSITIVE_INFINITY): void {
  const until = mounted.clock.now() + forMs;
  faultOf(mounted, what).before = () => {
    if (mounted.clock.now() < until) throw fail(away[what], `${what}: as told`);
  };
}

function bringBack(mounted: Mounted): void {
  mounted.storeFault.before = () => undefined;
  mounted.metaFault.before = () => undefined;
}

for (const what of ['store', 'metadata'] as const)
  test(`${what} away for a minute: nobody is told, nothing is lost`, async () => {
    const volume = await FaultyVolume.make(temp);
    const mounted = await volume.mount();
    const { vfs } = mounted;
    const [a, b] = [await create(mounted, 'a'), await create(mounted, 'b')];
    const data = Buffer.alloc(5 * PAGE + 7, 1);
    takeAway(mounted, what, 60_000);
    const began = mounted.clock.now();
    for (const { ino, handle } of [a, b]) await vfs.write(caller, ino, handle, 0n, data);
    await Promise.all([vfs.flush(caller, a.ino, a.handle), vfs.fsync(caller, b.ino, b.handle)]);
    assert.ok(mounted.clock.now() - began >= 60_000, 'it was waited for');
    assert.deepEqual(await content(mounted, a), data);
    assert.deepEqual(await content(mounted, b), data);
    assert.deepEqual(
      mounted.lines.map(({ message }) => message),
      [`${what} is away: what needs it waits`, `${what} is back`],
    );
    for (const contents of mounted.store.contents.values()) assert.equal(contents.size, 1, 'one key, one content');
    assert.equal(vfs.away, false);
    await mounted.close();
  });

for (const what of ['store', 'metadata'] as const)
  test(`${what} away for good: fsync and close wait within the bound, then EIO; afterwards all goes on`, async () => {
    const volume = await FaultyVolume.make(temp);
    const mounted = await volume.mount();
    const { vfs, clock } = mounted;
    const files = [await create(mounted, 'a'), await create(mounted, 'b'), await create(mounted, 'c')];
    takeAway(mounted, what);
    const began = clock.now();
    // Many slices: those that wait for each other do not add up.
    for (const { ino, handle } of files)
      for (let i = 0; i < 20; i++) await vfs.write(caller, ino, handle, BigInt(2 * i), Buffer.from([i]));
    const ends = await Promise.allSettled(files.map(({ ino, handle }) => vfs.fsync(caller, ino, handle)));
    for (const end of ends) assert.ok(end.status === 'rejected' && is(away[what])(end.reason));
    const took = clock.now() - began;
    assert.ok(took >= usualWaits.writeMs && took < 1.1 * usualWaits.writeMs, `${took} ms`);
    assert.ok(mounted.lines.some(({ message }) => message.startsWith('data lost')));
    // The bound is over: no further wait, until it is back.
    const [{ ino, handle } = assert.fail()] = files;
    await vfs.write(caller, ino, handle, 0n, Buffer.from('x'));
    await assert.rejects(vfs.fsync(caller, ino, handle), is(away[what]));
    assert.ok(clock.now() - began < 1.1 * usualWaits.writeMs);
    bringBack(mounted);
    await vfs.write(caller, ino, handle, 0n, Buffer.from('xyz'));
    await vfs.fsync(caller, ino, handle);
    assert.equal((await content(mounted, { ino, handle })).toString(), 'xyz');
    await mounted.close();
  });

test('credentials that ran out are waited for, too', async () => {
  const volume = await FaultyVolume.make(temp);
  const mounted = await volume.mount();
  const { ino, handle } = await create(mounted, 'a');
  const until = mounted.clock.now() + 60_000;
  mounted.storeFault.before = () => {
    if (mounted.clock.now() < until) throw fail('unauthenticated', 'expired');
  };
  await mounted.vfs.write(caller, ino, handle, 0n, Buffer.from('abc'));
  await mounted.vfs.fsync(caller, ino, handle);
  assert.equal((await content(mounted, { ino, handle })).toString(), 'abc');
  await mounted.close();
});

test('what no attempt mends is told at once', async () => {
  const volume = await FaultyVolume.make(temp);
  const mounted = await volume.mount();
  const { vfs, clock } = mounted;
  const began = clock.now();
  for (const code of ['store-full', 'permission-denied', 'EDQUOT', 'ENOSPC'] as const) {
    const { ino, handle } = await create(mounted, code);
    const fault = code === 'EDQUOT' || code === 'ENOSPC' ? mounted.metaFault : mounted.storeFault;
    await vfs.write(caller, ino, handle, 0n, Buffer.from('x'));
    fault.before = () => {
      throw fail(code, 'as told');
    };
    await assert.rejects(vfs.fsync(caller, ino, handle), is(code));
    bringBack(mounted);
  }
  assert.equal(clock.now(), began);
  await mounted.close();
});

test('writers without room wait, within the memory, and go on', async () => {
  const volume = await FaultyVolume.make(temp);
  const budget = 8 * PAGE;
  const mounted = await volume.mount({ dirtyBytes: budget });
  const { vfs } = mounted;
  const { ino, handle } = await create(mounted, 'a');
  takeAway(mounted, 'store', 60_000);
  const began = mounted.clock.now();
  let answered = 0;
  const writes = Array.from({ length: 64 }, async (_, i) => {
    await vfs.write(caller, ino, handle, BigInt(i * PAGE), Buffer.alloc(PAGE, i));
    answered++;
    return mounted.clock.now();
  });
  await Promise.resolve();
  assert.ok(answered <= 10, `${answered} were answered at once`);
  const last = Math.max(...(await Promise.all(writes)));
  assert.ok(last - began >= 60_000);
  await vfs.fsync(caller, ino, handle);
  const data = await content(mounted, { ino, handle });
  assert.deepEqual([data.length, data[0], data[data.length - 1]], [1 << 20, 0, 15]);
  await mounted.close();
});

test('reads and names wait within a smaller bound; what is known is read on', async () => {
  const volume = await FaultyVolume.make(temp);
  const mounted = await volume.mount();
  const { vfs, clock } = mounted;
  const file = await create(mounted, 'a');
  await vfs.write(caller, file.ino, file.handle, 0n, Buffer.from('abc'));
  await vfs.fsync(caller, file.ino, file.handle);
  assert.equal((await content(mounted, file)).toString(), 'abc');
  takeAway(mounted, 'metadata');
  const began = clock.now();
  const waiting = Promise.allSettled([
    vfs.lookup(caller, 1n, Buffer.from('a')),
    vfs.mkdir(caller, 1n, Buffer.from('d'), 0o755),
  ]);
  assert.equal((await content(mounted, file)).toString(), 'abc');
  assert.equal(clock.now(), began, 'a read of an open file asks nobody');
  for (const end of await waiting) assert.ok(end.status === 'rejected' && is('metadata-unavailable')(end.reason));
  const took = clock.now() - began;
  assert.ok(took >= usualWaits.otherMs && took < usualWaits.writeMs, `${took} ms`);
  bringBack(mounted);
  await vfs.mkdir(caller, 1n, Buffer.from('d'), 0o755);
  await mounted.close();
});

test('who is interrupted while that hangs goes on, and the data goes on to the store', async () => {
  const volume = await FaultyVolume.make(temp);
  const mounted = await volume.mount();
  const { vfs } = mounted;
  const { ino, handle } = await create(mounted, 'a');
  await vfs.write(caller, ino, handle, 0n, Buffer.from('abc'));
  takeAway(mounted, 'store', 60_000);
  const began = mounted.clock.now();
  const interrupt = new AbortController();
  const syncing = vfs.fsync({ ...caller, signal: interrupt.signal }, ino, handle);
  const truncating = vfs.setattr({ ...caller, signal: interrupt.signal }, ino, { size: 0n }, handle);
  while (!vfs.away) await new Promise(setImmediate);
  interrupt.abort();
  await assert.rejects(syncing, is('EINTR'));
  await assert.rejects(truncating, is('EINTR'));
  assert.ok(mounted.clock.now() - began < 60_000);
  await vfs.fsync(caller, ino, handle);
  assert.equal((await content(mounted, { ino, handle })).toString(), 'abc');
  await mounted.close();
});

test('an operation whose answer was lost is not done twice', async () => {
  const volume = await FaultyVolume.make(temp);
  const mounted = await volume.mount();
  const { vfs, metaFault } = mounted;
  const { ino, handle } = await create(mounted, 'a');
  const losesAnswers = (): void => {
    let lost = false;
    metaFault.after = (call) => {
      if (call !== 'run' || lost) return;
      lost = true;
      throw fail('metadata-unavailable', 'answer lost');
    };
  };
  losesAnswers();
  await vfs.write(caller, ino, handle, 0n, Buffer.from('abc'));
  await vfs.fsync(caller, ino, handle);
  assert.equal((await content(mounted, { ino, handle })).toString(), 'abc');
  for (const [i, change] of [
    () => vfs.mkdir(asked(2n), 1n, Buffer.from('d'), 0o755),
    () => vfs.rename(asked(4n), 1n, Buffer.from('a'), 1n, Buffer.from('b'), 0),
    () => vfs.unlink(asked(6n), 1n, Buffer.from('b')),
  ].entries()) {
    losesAnswers();
    await change();
    assert.equal(mounted.lines.length, 2 * (i + 2), 'the answer was lost each time');
  }
  metaFault.after = () => undefined;
  await mounted.close();
});

const asked = (unique: bigint) => ({ ...caller, request: { mount: 77n, unique, resent: false } });

for (const what of ['store', 'metadata'] as const)
  test(`a mount that ends while the ${what} is away ends soon, with an error`, async () => {
    const volume = await FaultyVolume.make(temp);
    const mounted = await volume.mount();
    const { vfs, clock } = mounted;
    const { ino, handle } = await create(mounted, 'a');
    takeAway(mounted, what);
    await vfs.write(caller, ino, handle, 0n, Buffer.from('abc'));
    const began = clock.now();
    await assert.rejects(mounted.close(), is(away[what]));
    assert.ok(clock.now() - began < 3 * usualWaits.endMs, `${clock.now() - began} ms`);
  });

test('what is lost with the last release at the end is told at the end', async () => {
  const volume = await FaultyVolume.make(temp);
  const mounted = await volume.mount();
  const { vfs } = mounted;
  const { ino, handle } = await create(mounted, 'a');
  takeAway(mounted, 'store');
  await vfs.write(caller, ino, handle, 0n, Buffer.from('abc'));
  vfs.endSoon();
  await vfs.release(caller, ino, handle);
  await assert.rejects(vfs.flushAll(), is('store-unavailable'));
  bringBack(mounted);
  await assert.rejects(mounted.close(), is('store-unavailable'));
});

test('ids are fetched once for all who wait for them', async () => {
  const volume = await FaultyVolume.make(temp);
  const mounted = await volume.mount();
  takeAway(mounted, 'metadata', 30_000);
  const began = mounted.clock.now();
  const ids = await Promise.all(Array.from({ length: 40 }, () => mounted.meta.newSliceId()));
  assert.equal(new Set(ids).size, 40);
  assert.ok(mounted.clock.now() - began < 40_000);
  await mounted.close();
});
