// Keeper and worker die together in the middle of a copy, as at a node's crash: the next mount takes the dead one away, and
// nothing that was closed or fsynced is lost.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { until } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { isRunning } from '../keeper/node.ts';
import { sizes } from '../sizes.ts';
import { Client, keeperPid, pause, verify, workerPid } from './client.ts';
import { CrashVolume } from './volume.ts';

const CALLS_BETWEEN = 200;
const LONGEST_WAIT_MS = 300;

describe('kill -9 of keeper and worker', needs(...interopNeeds), () => {
  test('nothing that was closed is lost', async (t) => {
    const temp = makeTemp(t);
    const volume = await CrashVolume.make(temp, true);
    let files = 0;
    for (let kill = 0; kill < sizes.kills; kill++) {
      await volume.mount();
      const found = await verify(temp, volume.mountPoint);
      assert.deepEqual(found.bad, [], `after kill ${kill}`);
      const client = new Client(temp, 'copy', volume.mountPoint, 'gone');
      await client.progress(CALLS_BETWEEN);
      await pause(Math.random() * LONGEST_WAIT_MS);
      const keeper = keeperPid(volume.mountPoint);
      const worker = workerPid(keeper);
      // Now and then the keeper alone: its worker must not go on writing.
      if (worker !== undefined && kill % 3 !== 0) process.kill(worker, 'SIGKILL');
      process.kill(keeper, 'SIGKILL');
      const report = await client.end();
      assert.deepEqual(report.bad, [], `at kill ${kill}`);
      await until('both are gone', () => !isRunning(keeper) && (worker === undefined || !isRunning(worker)));
      files = report.files;
    }
    t.diagnostic(`${sizes.kills} kills, ${files} files`);
    await volume.mount();
    assert.deepEqual((await verify(temp, volume.mountPoint)).bad, []);
    await volume.pageseal.umount(volume.mountPoint);
    await volume.check();
  });
});
