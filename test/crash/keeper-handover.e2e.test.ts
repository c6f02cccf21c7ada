// The keeper of a node is killed, told to end and replaced while applications work: calls wait for the next one, and none
// fails. What an application wrote and nobody has committed yet is told by EIO after a kill, as when a worker dies.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { until } from '../harness/program.ts';
import { needs } from '../harness/tools.ts';
import { sizes } from '../sizes.ts';
import { Client, pause, type Report, verify } from './client.ts';
import { type HandoverNode, makeNode } from './handover-node.ts';

const CALLS_BETWEEN = 40;
const LONGEST_WAIT_MS = 300;

/** `disturb` runs `sizes.kills` times while a client works; what the client saw, after everybody agreed on the files. */
async function storm(
  node: HandoverNode,
  mode: 'copy' | 'names',
  disturb: (round: number) => Promise<void>,
): Promise<Report> {
  const { temp } = node;
  const top = await node.publish('pod');
  await node.held(1);
  const client = new Client(temp, mode, top);
  for (let round = 0; round < sizes.kills; round++) {
    await client.progress(CALLS_BETWEEN);
    await pause(Math.random() * LONGEST_WAIT_MS);
    await disturb(round);
  }
  await client.progress(CALLS_BETWEEN);
  const report = await client.end();
  assert.deepEqual(report.bad, []);
  assert.deepEqual(await verify(temp, top), { bad: [], files: report.files, lost: 0 });
  await node.finish('pod');
  return report;
}

describe('hand-over of a keeper', needs('root', 'fuse', 'openssl', 'python3', 'the addon'), () => {
  test('told to end, as by an upgrade: nothing fails and nothing is lost', async (t) => {
    const node = await makeNode(t);
    const { told } = await storm(node, 'copy', () => node.replaceKeeper('SIGTERM'));
    assert.equal(told, 0);
  });

  test('killed, in namespaces of its own as a container is: copying goes on', async (t) => {
    const node = await makeNode(t, [], true);
    const { told } = await storm(node, 'copy', (round) => node.replaceKeeper(round % 3 === 2 ? 'SIGTERM' : 'SIGKILL'));
    t.diagnostic(`EIO for lost data told ${told} times`);
  });

  test('killed: calls that cannot be repeated are done once, and none fails', async (t) => {
    const node = await makeNode(t);
    const { told } = await storm(node, 'names', () => node.replaceKeeper('SIGKILL'));
    assert.equal(told, 0);
  });

  test('keeper, plugin and worker die in turn, also the worker that is about to take over', async (t) => {
    const node = await makeNode(t);
    const { told } = await storm(node, 'names', async (round) => {
      await node.replaceKeeper('SIGKILL');
      // Before it serves, and now and then once more.
      for (let kill = 0; kill < 1 + (round % 2); kill++) {
        await until('a worker starts', () => node.workerPids.length > 0);
        await pause(Math.random() * LONGEST_WAIT_MS);
        for (const pid of node.workerPids) process.kill(pid, 'SIGKILL');
      }
      await node.held(1);
      await node.replacePlugin();
      await node.held(1);
    });
    assert.equal(told, 0);
  });
});
