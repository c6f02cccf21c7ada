// Locks as rows: ranges against a model that knows every byte, two sessions against a model of all holders, the format's
// encodings, and who frees what.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ErrorCode, hasCode } from '../../../src/base/errors.ts';
import {
  decodeRanges,
  encodeRanges,
  LOCK_END,
  type LockRange,
  LockType,
  placeRange,
} from '../../../src/filesystem/meta/lock-ranges.ts';
import type { LockFamily, LockRequest } from '../../../src/filesystem/meta/locks.ts';
import type { OpenedMeta } from '../../../src/filesystem/meta/open-meta.ts';
import { ROOT } from '../../../src/filesystem/meta/types.ts';
import { makeTemp } from '../../harness/temp.ts';
import { sizes } from '../../sizes.ts';
import { root, TestVolume } from './volume.ts';

const temp = makeTemp();
const is = (code: ErrorCode) => (thrown: unknown) => hasCode(thrown, code);
const { read, write, none } = LockType;

async function fileOf(meta: OpenedMeta, name = 'a'): Promise<bigint> {
  return (await meta.create(root, ROOT, Buffer.from(name), 0o644, true)).attr.ino;
}

const flock = (ino: bigint, owner: bigint, type: LockType): LockRequest => ({
  family: 'flock', ino, owner, type, start: 0n, end: LOCK_END, pid: 0,
}); // biome-ignore format: one request per line
const plock = (ino: bigint, owner: bigint, type: LockType, start = 0n, end = LOCK_END, pid = 1): LockRequest => ({
  family: 'plock', ino, owner, type, start, end, pid,
}); // biome-ignore format: one request per line

const BYTES = 24;
const change = fc
  .record({
    type: fc.constantFrom(read, write, none),
    a: fc.integer({ min: 0, max: BYTES - 1 }),
    b: fc.integer({ min: 0, max: BYTES - 1 }),
    pid: fc.integer({ min: 1, max: 2 }),
  })
  .map(({ type, a, b, pid }) => ({ type, pid, start: BigInt(Math.min(a, b)), end: BigInt(Math.max(a, b)) }));

test('ranges say of every byte what the last change said, sorted, apart, and as few as can be', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 12 }), (changes) => {
      const bytes: (string | undefined)[] = new Array(BYTES).fill(undefined);
      let ranges: LockRange[] = [];
      for (const one of changes) {
        ranges = placeRange(ranges, one);
        for (let i = Number(one.start); i <= Number(one.end); i++)
          bytes[i] = one.type === none ? undefined : `${one.type} ${one.pid}`;
      }
      const shown: (string | undefined)[] = new Array(BYTES).fill(undefined);
      for (const { start, end, type, pid } of ranges)
        for (let i = Number(start); i <= Number(end); i++) shown[i] = `${type} ${pid}`;
      assert.deepEqual(shown, bytes);
      const runs = bytes.filter((byte, i) => byte !== undefined && byte !== bytes[i - 1]).length;
      assert.equal(ranges.length, runs);
      for (const [i, range] of ranges.entries()) assert.ok(i === 0 || (ranges[i - 1]?.end ?? 0n) < range.start);
      assert.deepEqual(decodeRanges(encodeRanges(ranges), 'ranges'), ranges);
    }),
    { numRuns: 10 * sizes.propertyRuns },
  );
});

test('a record is what the format says; one that cannot be is damage', () => {
  const whole = { type: write, pid: 1234, start: 0n, end: LOCK_END };
  assert.equal(encodeRanges([whole]).toString('hex'), '00000001000004d200000000000000007fffffffffffffff');
  assert.throws(() => decodeRanges(Buffer.alloc(25), 'x'), is('metadata-damaged'));
  // A number of another system's client counts as exclusive.
  assert.equal(decodeRanges(Buffer.from(`00000003${'0'.repeat(40)}`, 'hex'), 'x')[0]?.type, write);
});

test('rows are those of the original client', async () => {
  const volume = await TestVolume.make(temp);
  const meta = await volume.open();
  const ino = await fileOf(meta);
  const sid = meta.sessionId ?? 0n;
  await meta.setLock(flock(ino, -5n, read));
  await meta.setLock(flock(ino, 6n, read));
  assert.deepEqual(volume.rows('SELECT inode, sid, owner, ltype FROM jfs_flock ORDER BY owner'), [
    [ino, sid, -5n, 82n],
    [ino, sid, 6n, 82n],
  ]);
  await meta.setLock(flock(ino, 6n, none));
  await meta.setLock(flock(ino, -5n, write));
  assert.deepEqual(volume.rows('SELECT owner, ltype FROM jfs_flock'), [[-5n, 87n]]);
  await meta.setLock(plock(ino, -1n, write, 50n, 149n, 1234));
  await meta.setLock(plock(ino, -1n, read, 4000n, 4999n, 1234));
  assert.deepEqual(volume.rows('SELECT owner, hex(records) FROM jfs_plock'), [
    [-1n, '00000001000004D200000000000000320000000000000095' + '00000000000004D20000000000000FA00000000000001387'],
  ]);
  await meta.setLock(plock(ino, -1n, none, 0n, 4499n));
  await meta.setLock(plock(ino, -1n, none, 4500n, LOCK_END));
  assert.deepEqual(volume.rows('jfs_plock'), []);
  await meta.setLock(plock(ino, -1n, write));
  await meta.close();
  assert.deepEqual(volume.rows('jfs_plock'), []);
  assert.deepEqual(volume.rows('jfs_flock'), []);
});

test('a file that is gone cannot be locked, but its lock can be given back', async () => {
  const volume = await TestVolume.make(temp, { trashDays: 0 });
  const meta = await volume.open();
  const ino = await fileOf(meta);
  await meta.setLock(flock(ino, 1n, write));
  await meta.unlink(root, ROOT, Buffer.from('a'));
  await assert.rejects(meta.setLock(flock(ino, 2n, read)), is('ENOENT'));
  await assert.rejects(meta.setLock(plock(ino, 2n, read)), is('ENOENT'));
  assert.equal((await meta.setLock(flock(ino, 1n, none))).granted, true);
  assert.deepEqual(volume.rows('jfs_flock'), []);
  await meta.close();
});

test('an flock that cannot be changed is given up, as on a local disk', async () => {
  const volume = await TestVolume.make(temp);
  const meta = await volume.open();
  const ino = await fileOf(meta);
  for (const owner of [1n, 2n]) await meta.setLock(flock(ino, owner, read));
  assert.deepEqual(await meta.setLock(flock(ino, 1n, write)), { granted: false, elsewhere: false, shared: false });
  assert.deepEqual(volume.rows('SELECT owner FROM jfs_flock'), [[2n]]);
  assert.equal((await meta.setLock(flock(ino, 2n, write))).granted, true);
  await meta.close();
});

test('setting a lock twice is setting it once, also for a successor', async () => {
  const volume = await TestVolume.make(temp);
  const meta = await volume.open();
  const ino = await fileOf(meta);
  const sid = meta.sessionId ?? 0n;
  await meta.setLock(flock(ino, 1n, write));
  await meta.setLock(plock(ino, 7n, write, 0n, 9n));
  await meta.close({ keepSession: true });
  const successor = await volume.open({ mountPoint: '/mnt', sid });
  assert.deepEqual(await successor.inheritedLocks(), [
    { family: 'flock', ino, owner: 1n },
    { family: 'plock', ino, owner: 7n },
  ]);
  assert.equal((await successor.setLock(flock(ino, 1n, write))).granted, true);
  assert.equal((await successor.setLock(plock(ino, 7n, write, 0n, 9n))).granted, true);
  assert.equal(volume.rows('jfs_flock').length + volume.rows('jfs_plock').length, 2);
  await successor.close();
  assert.equal(volume.rows('jfs_flock').length + volume.rows('jfs_plock').length, 0);
});

test('a session that another client ended has no locks any more, and says so', async () => {
  const volume = await TestVolume.make(temp);
  const meta = await volume.open();
  const ino = await fileOf(meta);
  await meta.setLock(flock(ino, 1n, write));
  const before = meta.sessionId;
  let lost = 0;
  meta.onSessionLost(() => lost++);
  volume.change('DELETE FROM jfs_flock; DELETE FROM jfs_session2');
  const now = Date.now;
  Date.now = () => now() + 60_000; // what a suspended machine sees first
  try {
    await meta.setLock(flock(ino, 2n, write));
  } finally {
    Date.now = now;
  }
  assert.equal(lost, 1);
  assert.notEqual(meta.sessionId, before);
  assert.deepEqual(volume.rows('SELECT sid, owner FROM jfs_flock'), [[meta.sessionId, 2n]]);
  await meta.close();
});

/** Every holder's bytes; the truth that rows have to agree with. */
class Model {
  readonly holders = new Map<string, number[]>();

  set(holder: string, type: LockType, start: number, end: number): boolean {
    for (const [other, bytes] of this.holders)
      for (let i = start; i <= end && other !== holder && type !== none; i++)
        if (bytes[i] !== none && (bytes[i] === write || type === write)) return false;
    const own = this.holders.get(holder) ?? new Array<number>(BYTES).fill(none);
    own.fill(type, start, end + 1);
    this.holders.set(holder, own);
    return true;
  }
}

test('two sessions with random locks agree with a model that knows every byte', async () => {
  const volume = await TestVolume.make(temp);
  const metas = [await volume.open(), await volume.open()];
  const ino = await fileOf(metas[0] as OpenedMeta);
  const step = fc.record({ who: fc.nat(1), owner: fc.nat(2), flock: fc.boolean(), change });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const models: Record<LockFamily, Model> = { flock: new Model(), plock: new Model() };
      for (const { who, owner, flock: isFlock, change: range } of steps) {
        const meta = metas[who] as OpenedMeta;
        const id = BigInt(owner) - 1n;
        const holder = `${meta.sessionId} ${id}`;
        const request = isFlock ? flock(ino, id, range.type) : plock(ino, id, range.type, range.start, range.end, 1);
        const model = models[request.family];
        const [start, end] = isFlock ? [0, BYTES - 1] : [Number(range.start), Number(range.end)];
        const expected = model.set(holder, range.type, start, end);
        const free = range.type === none || (await meta.conflictingLock(request)) === undefined;
        assert.equal(free, expected);
        assert.equal((await meta.setLock(request)).granted, expected);
        if (!expected && isFlock) model.holders.delete(holder);
      }
      for (const family of ['flock', 'plock'] as const) {
        const shown = new Map<string, number[]>();
        for (const { sid, owner, ranges } of (await metas[0]?.locksOn(family, ino)) ?? []) {
          const bytes = new Array<number>(BYTES).fill(none);
          for (const { type, start, end } of ranges) bytes.fill(type, Number(start), Number(end) + 1);
          shown.set(`${sid} ${owner}`, bytes);
        }
        const wanted = [...models[family].holders].filter(([, bytes]) => bytes.some((byte) => byte !== none));
        assert.deepEqual([...shown].sort(), wanted.sort());
      }
      volume.change('DELETE FROM jfs_flock; DELETE FROM jfs_plock');
    }),
    { numRuns: sizes.propertyRuns / 5 },
  );
  for (const meta of metas) await meta.close();
});

test('getlk names the process of its own session only', async () => {
  const volume = await TestVolume.make(temp);
  const [ours, theirs] = [await volume.open(), await volume.open()];
  const ino = await fileOf(ours);
  await ours.setLock(plock(ino, 1n, write, 100n, 199n, 4711));
  const wanted = plock(ino, 2n, read, 0n, LOCK_END);
  assert.deepEqual(await ours.conflictingLock(wanted), { type: write, start: 100n, end: 199n, pid: 4711 });
  assert.deepEqual(await theirs.conflictingLock(wanted), { type: write, start: 100n, end: 199n, pid: 0 });
  assert.equal((await theirs.setLock(wanted)).elsewhere, true);
  assert.equal(await theirs.conflictingLock(plock(ino, 2n, read, 200n, LOCK_END)), undefined);
  await ours.close();
  assert.equal(await theirs.conflictingLock(wanted), undefined);
  await theirs.close();
});
