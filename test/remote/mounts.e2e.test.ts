// Two and four mounts of one volume, each on a machine of its own as far as the network goes, on one PostgreSQL and one S3
// server over TLS: random orders on any of them against the model, every answer compared, at barriers everything that
// each mount shows; afterwards both clients' checks find nothing.
import { test } from 'node:test';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { Judge } from '../model/judge.ts';
import { seedOf } from '../model/seed.ts';
import { sizes } from '../sizes.ts';
import { RemoteVolume } from './volume.ts';

const BETWEEN_BARRIERS = 200;
/** A kernel that believes nothing, so that each order may see what another machine did just before. */
const NO_LIFETIMES = ['--attr-cache', '0', '--entry-cache', '0', '--dir-entry-cache', '0'];
const wanted = needs(...interopNeeds, 'postgres', 'versitygw', 'network namespaces');

for (const [machines, steps] of [
  [2, sizes.remoteSteps],
  [4, sizes.remoteSteps / 2],
] as const)
  test(`random orders on ${machines} machines`, wanted, async (t) => {
    const temp = makeTemp(t);
    const volume = await RemoteVolume.make(temp, { machines, mountFlags: NO_LIFETIMES });
    await volume.format(['--block-size', '64K', '--trash-days', '1']);
    await volume.mountAll();
    const judge = await Judge.begin(temp, { seed: seedOf(t), tops: volume.mounts.map(({ top }) => top) });
    for (let done = 0; done < steps; done += BETWEEN_BARRIERS) {
      await judge.steps(BETWEEN_BARRIERS);
      await judge.barrier();
    }
    await judge.end();
    await volume.umountAll();
    await volume.check();
    t.diagnostic(`${steps} orders on ${machines} machines, nothing different, nothing wrong`);
  });
