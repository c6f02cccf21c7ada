// Keys that wait are merged, never two at once of one key, failures come back later, and stopping waits for what runs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fail } from '../../src/base/errors.ts';
import { setLogLevel } from '../../src/base/log.ts';
import { WorkQueue } from '../../src/kube/work-queue.ts';
import { until } from '../harness/program.ts';

const turns = (count: number): Promise<void> =>
  count === 0 ? Promise.resolve() : new Promise((next) => setImmediate(() => next(turns(count - 1))));

test('a key that is added many times while it is worked on is worked on once more', async () => {
  const gates: (() => void)[] = [];
  const seen: string[] = [];
  let atOnce = 0;
  const queue = new WorkQueue({
    name: 'test',
    parallel: 4,
    work: async (key) => {
      seen.push(key);
      assert.equal(++atOnce, 1);
      await new Promise<void>((open) => gates.push(open));
      atOnce--;
      return undefined;
    },
  });
  for (let i = 0; i < 10; i++) queue.add('a');
  await turns(3);
  for (let i = 0; i < 10; i++) queue.add('a');
  assert.equal(queue.depth, 1);
  gates.shift()?.();
  await until('the second turn', () => gates.length === 1);
  gates.shift()?.();
  await turns(3);
  assert.deepEqual(seen, ['a', 'a']);
  await queue.stop();
});

test('different keys run at once, up to the limit', async () => {
  let most = 0;
  let now = 0;
  let done = 0;
  const queue = new WorkQueue({
    name: 'test',
    parallel: 3,
    work: async () => {
      most = Math.max(most, ++now);
      await turns(5);
      now--;
      done++;
      return undefined;
    },
  });
  for (const key of 'abcdefgh') queue.add(key);
  await until('all keys', () => done === 8);
  assert.equal(most, 3);
  await queue.stop();
});

test('what fails comes back, later each time, and begins anew after a success', async () => {
  setLogLevel('error');
  const times: number[] = [];
  const queue = new WorkQueue({
    name: 'test',
    parallel: 1,
    backOff: { baseMs: 20, capMs: 2000 },
    work: () => {
      times.push(performance.now());
      return times.length < 5 ? Promise.reject(fail('busy', 'not yet')) : Promise.resolve(undefined);
    },
  });
  queue.add('a');
  await until('the fifth attempt', () => times.length === 5);
  const pauses = times.slice(1).map((time, index) => time - (times[index] ?? 0));
  // Anywhere between half and all of 20, 40, 80, 160 ms: the last is longer than the first can be.
  assert.ok((pauses[3] ?? 0) > 20, `${pauses}`);
  await queue.stop();
  setLogLevel('info');
});

test('the earlier of two wishes to come back wins; stopping tells what runs and waits for it', async () => {
  let told = false;
  const runs: string[] = [];
  const queue = new WorkQueue({
    name: 'test',
    parallel: 1,
    work: async (key, signal) => {
      runs.push(key);
      if (key === 'long') {
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        told = true;
      }
      return undefined;
    },
  });
  queue.addAfter('a', 3_600_000);
  queue.addAfter('a', 1);
  queue.addAfter('a', 3_600_000);
  await until('the key', () => runs.includes('a'));
  queue.add('long');
  await turns(3);
  await queue.stop();
  assert.ok(told);
  queue.add('b');
  await turns(3);
  assert.deepEqual(runs, ['a', 'long']);
});
