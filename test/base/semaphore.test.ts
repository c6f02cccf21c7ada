// So many at once and no more, in order of arrival.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Semaphore } from '../../src/base/semaphore.ts';

test('lets so many run, the others in turn, failures included', async () => {
  const semaphore = new Semaphore(3);
  const order: number[] = [];
  let running = 0;
  let most = 0;
  const work = (n: number) =>
    semaphore.run(async () => {
      order.push(n);
      most = Math.max(most, ++running);
      await setImmediate();
      running--;
      if (n % 4 === 0) throw new Error('as told');
      return n;
    });
  const results = await Promise.allSettled(Array.from({ length: 20 }, (_, n) => work(n)));
  assert.equal(most, 3);
  assert.deepEqual(
    order,
    Array.from({ length: 20 }, (_, n) => n),
  );
  assert.equal(results.filter(({ status }) => status === 'rejected').length, 5);
  assert.equal(await semaphore.run(async () => 'free again'), 'free again');
});

test('a newcomer does not overtake who waits, and is not let in beside them', async () => {
  const semaphore = new Semaphore(1);
  let running = 0;
  const order: string[] = [];
  const work = (name: string) =>
    semaphore.run(async () => {
      order.push(name);
      assert.equal(++running, 1);
      await setImmediate();
      running--;
    });
  // The newcomer arrives when the first has just ended and the second has not yet gone on.
  const newcomer = work('first').then(() => work('newcomer'));
  await Promise.all([work('second'), work('third'), newcomer]);
  assert.deepEqual(order, ['first', 'second', 'third', 'newcomer']);
});
