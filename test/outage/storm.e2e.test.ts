// An application works on a mount whose store, database and network fail in every way that they know, one after the
// other: nobody is told of what is waited for, what was answered for is there, and the mount is never made again.
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { Client, pause, verify } from '../crash/client.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { sizes } from '../sizes.ts';
import { type Fault, failOver, faults, fullStore } from './faults.ts';
import { ScaledVolume } from './scaled-volume.ts';

const outageNeeds = needs('root', 'fuse', 'openssl', 'python3', 'postgres', 'versitygw', 'the addon');
/** Calls that a mount must answer before and after each fault. */
const CALLS_BETWEEN = 60;
const MOMENT_MS = 300;

interface Figures {
  faults: number;
}

async function suffer(volume: ScaledVolume, client: Client, fault: Fault, figures: Figures): Promise<void> {
  await client.progress(CALLS_BETWEEN);
  await fault.begin(volume);
  await pause(fault.momentary === true ? MOMENT_MS : sizes.outageMs);
  await fault.end(volume);
  await client.progress(CALLS_BETWEEN).catch((thrown: unknown) => {
    throw new Error(`${fault.name}: the mount does not go on`, { cause: thrown });
  });
  figures.faults++;
}

/** What the client believes is there, for this mount, for the checker, and for the next mount. */
async function settle(t: TestContext, volume: ScaledVolume, client: Client, figures: Figures) {
  const report = await client.end();
  const found = await verify(volume.temp, volume.mountPoint);
  t.diagnostic(
    `${report.steps} operations of ${report.calls} calls, ${figures.faults} faults survived, ${report.safe} bytes acknowledged, ${found.lost} of them lost, ${report.told} calls told of a failure`,
  );
  assert.deepEqual(report.bad, [], volume.complaints.join('\n'));
  assert.deepEqual({ ...found, files: 0 }, { bad: [], files: 0, lost: 0 });
  await volume.umount();
  await volume.check();
  await volume.mount();
  assert.deepEqual(await verify(volume.temp, volume.mountPoint), { ...found, bad: [], lost: 0 });
  await volume.umount();
  return report;
}

describe('outages of store, database and network', outageNeeds, () => {
  for (const [mode, seen] of [
    ['copy', 'data'],
    ['names', 'names'],
  ] as const)
    test(`${seen}: nothing is told, nothing is lost, and the mount goes on`, async (t) => {
      const volume = await ScaledVolume.make(makeTemp(t));
      await volume.mount();
      const client = new Client(volume.temp, mode, volume.mountPoint);
      const figures = { faults: 0 };
      for (let round = 0; round < sizes.outageRounds; round++)
        for (const fault of faults) await suffer(volume, client, fault, figures);
      await suffer(volume, client, failOver, figures);
      const { told } = await settle(t, volume, client, figures);
      assert.equal(told, 0, volume.complaints.join('\n'));
    });

  test('longer than the bound, or full: it is told, nothing that was answered for is lost, and the mount goes on', async (t) => {
    const volume = await ScaledVolume.make(makeTemp(t));
    await volume.mount('--io-retries', '2');
    const client = new Client(volume.temp, 'copy', volume.mountPoint, 'away');
    const figures = { faults: 0 };
    for (let round = 0; round < sizes.outageRounds; round++)
      for (const fault of [fullStore, ...faults]) await suffer(volume, client, fault, figures);
    const { told } = await settle(t, volume, client, figures);
    assert.ok(told > 0, 'the bound is over in some of them');
    assert.match(volume.log, /data lost: a slice could not be written/);
  });
});
