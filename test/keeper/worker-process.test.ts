// Workers of a keeper, played by scripts.
import assert from 'node:assert/strict';
import { closeSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { WorkerProcess } from '../../src/keeper/worker-process.ts';
import { native } from '../../src/native/native.ts';

const script = `
  const { writeSync } = require('node:fs');
  const { Socket } = require('node:net');
  const keeper = new Socket({ fd: 3, readable: true, writable: true });
  const say = (message) => keeper.write(JSON.stringify(message) + '\\n');
  keeper.on('data', () => {
    writeSync(4, '('); // the descriptors share one offset
    setTimeout(() => {
      writeSync(4, ')');
      if (process.argv[1] === 'die') process.exit(1);
      say({ kind: 'proven' });
    }, 30);
  });
  say({ kind: 'unlocking' });`;

test('one key is derived at a time, whatever becomes of those who do it', async () => {
  const memory = native.memfdCreate('order', 1);
  const start = (how: string): WorkerProcess =>
    new WorkerProcess({ file: process.execPath, args: ['-e', script, how] }, memory, undefined, undefined);
  const workers = ['live', 'die', 'live'].map(start);
  const outcomes = await Promise.allSettled(workers.map((worker) => worker.expect('proven', 30_000)));
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  for (const worker of workers) worker.kill();
  await Promise.all(workers.map((worker) => worker.exited));
  assert.equal(readFileSync(`/proc/self/fd/${memory}`, 'utf8'), '()()()');
  closeSync(memory);
});
