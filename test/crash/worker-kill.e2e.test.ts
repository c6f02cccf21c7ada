// The worker is killed again and again while an application copies: the mount goes on, and nothing that was promised is
// lost or said twice.
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { sizes } from '../sizes.ts';
import { Client, keeperPid, pause, type Report, verify, workerPid } from './client.ts';
import { CrashVolume } from './volume.ts';

/** Calls that a mount must answer between two kills, so that each kill meets work. */
const CALLS_BETWEEN = 40;
/** From in the middle of the takeover to well after it. */
const LONGEST_WAIT_MS = 400;

/** Kills at random moments, now and then before the successor serves. */
async function killWorkers(client: Client, mountPoint: string, t: TestContext): Promise<void> {
  const keeper = keeperPid(mountPoint);
  for (let kill = 0; kill < sizes.kills; kill++) {
    await client.progress(CALLS_BETWEEN);
    for (let again = 0; again < (kill % 5 === 4 ? 2 : 1); again++) {
      await pause(Math.random() * LONGEST_WAIT_MS);
      const worker = workerPid(keeper);
      if (worker !== undefined) process.kill(worker, 'SIGKILL');
    }
  }
  await client.progress(CALLS_BETWEEN);
  t.diagnostic(`${sizes.kills} kills`);
}

async function storm(t: TestContext, mode: 'copy' | 'names', shared: boolean): Promise<Report> {
  const temp = makeTemp(t);
  const volume = await CrashVolume.make(temp, shared);
  await volume.mount();
  const client = new Client(temp, mode, volume.mountPoint);
  await killWorkers(client, volume.mountPoint, t);
  const report = await client.end();
  t.diagnostic(`${report.steps} steps, ${report.files} files, EIO told ${report.told} times`);
  assert.deepEqual(report.bad, []);
  assert.deepEqual((await verify(temp, volume.mountPoint)).bad, []);
  await volume.pageseal.umount(volume.mountPoint);
  await volume.check();
  await volume.mount();
  assert.deepEqual(await verify(temp, volume.mountPoint), { bad: [], files: report.files, lost: 0 });
  await volume.pageseal.umount(volume.mountPoint);
  return report;
}

describe('kill -9 of the worker', needs(...interopNeeds), () => {
  test('copying goes on, closed files are whole, lost data is told', async (t) => {
    await storm(t, 'copy', true);
  });

  test('the same on a self-managed volume', async (t) => {
    await storm(t, 'copy', false);
  });

  test('requests that cannot be repeated are answered once', async (t) => {
    const { told } = await storm(t, 'names', true);
    assert.equal(told, 0);
  });
});
