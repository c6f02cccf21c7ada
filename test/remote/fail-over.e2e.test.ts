// A database that changes over while two machines work on a volume: the primary's machine drops off the network, without
// a word to anybody, and its replica is promoted; later that one is killed, and the first, a replica by then, takes over
// again. The mounts know both servers by their URL and are never made again.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Client, pause, verify } from '../crash/client.ts';
import { type Namespace, Network } from '../harness/namespace.ts';
import { PostgresServer } from '../harness/postgres.ts';
import { S3Server } from '../harness/s3.ts';
import { makeTemp, type Temp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { NAME, RemoteVolume } from './volume.ts';

const wanted = needs(...interopNeeds, 'postgres', 'versitygw', 'network namespaces');
/** Calls that each machine's program must have answered before and after a change. */
const CALLS_BETWEEN = 60;
/** Until somebody sees that the primary is gone: long enough for programs to run into it. */
const NOTICED_MS = 2000;

interface Parts {
  readonly volume: RemoteVolume;
  readonly first: PostgresServer;
  readonly second: PostgresServer;
  readonly firstMachine: Namespace;
}

async function prepare(temp: Temp): Promise<Parts> {
  const network = await Network.make(temp, 4);
  const [firstMachine, secondMachine, ...machines] = network.clients;
  assert.ok(firstMachine !== undefined && secondMachine !== undefined);
  const first = await PostgresServer.start(temp, { inside: firstMachine });
  const s3 = await S3Server.start(temp, { inside: network.servers, authority: first.authority });
  await first.createDatabase(NAME);
  const second = await first.replica({ inside: secondMachine });
  await first.waitForReplica();
  const hosts = [first, second].map(({ address, port }) => `${address}:${port}`).join();
  const metaUrl = first.url(NAME, { target_session_attrs: 'read-write' }, hosts);
  const volume = new RemoteVolume(temp, { network, postgres: first, s3, metaUrl }, machines);
  await volume.format(['--block-size', '256K', '--trash-days', '0']);
  return { volume, first, second, firstMachine };
}

/** The first's machine is gone for everybody before the second is promoted: no two servers take writes. */
async function changeOver({ volume, first, second, firstMachine }: Parts): Promise<void> {
  await volume.network.unplug(firstMachine);
  await pause(NOTICED_MS);
  await first.kill();
  await second.promote();
}

/** The machine is back; its server has to learn what happened since. */
async function changeBack({ volume, first, second, firstMachine }: Parts): Promise<void> {
  await volume.network.plug(firstMachine);
  await first.follow(second);
  await second.waitForReplica();
  await pause(NOTICED_MS);
  await second.kill();
  await first.promote();
}

test(
  'two mounts go on over two changes of the database, nothing told, nothing lost',
  wanted,
  async (t: TestContext) => {
    // Each program keeps what it believes in a folder of its own.
    const beliefs = [makeTemp(t), makeTemp(t)] as const;
    const parts = await prepare(makeTemp(t));
    const { volume } = parts;
    await volume.mountAll();
    const tops = volume.mounts.map(({ top }, number) => join(top, `${number}`));
    const workers = (['copy', 'names'] as const).map((mode, number) => {
      const [belief, top] = [beliefs[number], tops[number]];
      assert.ok(belief !== undefined && top !== undefined);
      mkdirSync(top);
      return { belief, top, client: new Client(belief, mode, top) };
    });
    const progress = () => Promise.all(workers.map(({ client }) => client.progress(CALLS_BETWEEN)));
    await progress();
    for (const change of [changeOver, changeBack]) {
      await change(parts);
      await progress();
    }
    const reports = await Promise.all(workers.map(({ client }) => client.end()));
    const [steps, files, told] = (['steps', 'files', 'told'] as const).map((what) =>
      reports.reduce((sum, report) => sum + report[what], 0),
    );
    t.diagnostic(`2 changes of the database, ${steps} operations on ${files} files, told of a failure ${told} times`);
    assert.deepEqual(
      reports.flatMap(({ bad }) => bad),
      [],
      `found by the programs; the mounts said:\n${volume.complaints}`,
    );
    assert.equal(told, 0, volume.complaints);
    const lookAgain = async (): Promise<void> => {
      for (const { belief, top } of workers) assert.deepEqual((await verify(belief, top)).bad, []);
    };
    await lookAgain();
    await volume.umountAll();
    await volume.check();
    await volume.mountAll();
    await lookAgain();
    await volume.umountAll();
  },
);
