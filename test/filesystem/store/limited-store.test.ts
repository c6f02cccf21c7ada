// Bytes per second, each way, by a clock of the test's own.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '../../../src/base/clock.ts';
import { ByteRate, LimitedStore } from '../../../src/filesystem/store/limited-store.ts';
import { MemStore } from '../../../src/filesystem/store/mem-store.ts';
import { openStore } from '../../../src/filesystem/store/open-store.ts';

const MBIT_8 = 8; // a million bytes per second
const MB = 1_000_000;

/** Who sleeps wakes at once, and has waited so long; the clock itself stands still, so that all ask at one moment. */
function standing(): Clock & { readonly slept: number[]; at: number } {
  const clock = {
    at: 0,
    slept: [] as number[],
    now: () => clock.at,
    sleep: async (ms: number) => void clock.slept.push(ms),
  };
  return clock;
}

test('who comes waits for all before, and a pause earns no more than a second', async () => {
  const clock = standing();
  const rate = new ByteRate(MBIT_8, clock);
  for (const bytes of [500_000, MB, 4 * MB]) await rate.take(bytes);
  assert.deepEqual(clock.slept, [500, 1500, 5500]);
  clock.at = 3_600_000;
  await rate.take(MB);
  assert.equal(clock.slept.length, 3, 'the burst goes at once');
  await rate.take(MB);
  assert.equal(clock.slept[3], 1000);
});

test('each way has its own limit, puts wait before and gets after', async () => {
  const clock = standing();
  const limits = { upload: new ByteRate(MBIT_8, clock), download: new ByteRate(2 * MBIT_8, clock) };
  const store = new LimitedStore(new MemStore(`limited-${Math.random()}`), limits);
  await store.put('v/a', [Buffer.alloc(MB), Buffer.alloc(MB)]);
  assert.deepEqual(clock.slept, [2000]);
  assert.equal((await store.get('v/a')).length, 2 * MB);
  assert.deepEqual(clock.slept, [2000, 1000]);
  await store.delete('v/a');
  await store.head('v/a');
  assert.equal(clock.slept.length, 2);
});

test('a signal ends the wait, and nothing is put', async () => {
  const memory = new MemStore(`limited-${Math.random()}`);
  const store = new LimitedStore(memory, { upload: new ByteRate(1e-6) });
  const abort = new AbortController();
  const waiting = store.put('v/a', [Buffer.alloc(1000)], abort.signal);
  abort.abort();
  await assert.rejects(waiting, { code: 'cancelled' });
  assert.equal(await memory.head('v/a'), undefined);
});

test('the settings of a volume apply to every kind of store', async () => {
  const bucket = `limited-${Math.random()}`;
  assert.ok((await openStore({ storage: 'mem', bucket, uploadLimit: 1 })) instanceof LimitedStore);
  assert.ok(!((await openStore({ storage: 'mem', bucket, uploadLimit: 0 })) instanceof LimitedStore));
});
