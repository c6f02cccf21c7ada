// What the operator does besides file systems: the taint of nodes, its counters, and letting go before it is uninstalled.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import type { Node, Pod } from '../../src/kube/objects.ts';
import { csiNodes, nodes, pods } from '../../src/kube/resources.ts';
import { KEEPER_SELECTOR, NOT_READY_TAINT } from '../../src/operator/nodes.ts';
import { pagesealProgram } from '../harness/pageseal.ts';
import { freePort } from '../harness/port.ts';
import { run, until } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { Declared, NAMESPACE, needed } from './declared.ts';

const temp = makeTemp();
let all: Declared;
let port = 0;

before(async () => {
  if (needed.skip !== undefined) return;
  all = await Declared.make(temp);
  port = await freePort();
  all.start(['--http-address', `127.0.0.1:${port}`]);
});

/** The API server itself adds one for new nodes. */
const keys = async (name: string): Promise<string[]> =>
  ((await all.client.get(nodes, { name })).spec?.taints ?? [])
    .map(({ key }) => key)
    .filter((key) => !key.startsWith('node.kubernetes.io/'));

async function addNode(name: string, registered: boolean): Promise<void> {
  const taints = [NOT_READY_TAINT, 'others.example/taint'].map((key) => ({ key, effect: 'NoSchedule' }));
  const node: Node = { metadata: { name }, spec: { taints } };
  await all.client.create(nodes, node);
  const drivers = registered ? [{ name: 'csi.pageseal.dev', nodeID: name }] : [];
  await all.client.create(csiNodes, { metadata: { name }, spec: { drivers } });
}

async function addKeeper(node: string, ready: boolean): Promise<void> {
  const labels = Object.fromEntries(KEEPER_SELECTOR.split(',').map((label) => label.split('=') as [string, string]));
  const name = { name: `keeper-${node}`, namespace: NAMESPACE };
  const containers = [{ name: 'keeper', image: 'localhost/none' }];
  const spec = { nodeName: node, containers, automountServiceAccountToken: false };
  const pod: Pod = { metadata: { ...name, labels }, spec };
  await all.client.create(pods, pod);
  const conditions = [{ type: 'Ready', status: ready ? 'True' : 'False' }];
  await all.client.patch(pods, name, { status: { conditions } }, { subresource: 'status' });
}

test('the taint goes from a node once the driver is registered and the keeper is ready', needed, async () => {
  await all.api.tryKubectl(['create', 'serviceaccount', 'default']);
  await addNode('whole', true);
  await addNode('no-driver', false);
  await addNode('no-keeper', true);
  await addKeeper('whole', true);
  await addKeeper('no-driver', true);
  await addKeeper('no-keeper', false);
  await until('the taint to go', async () => (await keys('whole')).length === 1);
  assert.deepEqual(await keys('whole'), ['others.example/taint']);
  // Each of the others gets what it lacks, and has kept the taint until then.
  for (const name of ['no-driver', 'no-keeper']) assert.equal((await keys(name)).length, 2);
  await all.client.patch(
    csiNodes,
    { name: 'no-driver' },
    { spec: { drivers: [{ name: 'csi.pageseal.dev', nodeID: 'n' }] } },
  );
  await until('the second taint to go', async () => (await keys('no-driver')).length === 1);
  assert.equal((await keys('no-keeper')).length, 2);
  const ready = { status: { conditions: [{ type: 'Ready', status: 'True' }] } };
  await all.client.patch(pods, { name: 'keeper-no-keeper', namespace: NAMESPACE }, ready, { subresource: 'status' });
  await until('the third taint to go', async () => (await keys('no-keeper')).length === 1);
});

test('counters tell of turns and queues, and no secret', needed, async () => {
  await all.declare('counted');
  await all.ready('counted');
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  for (const line of [
    /^pageseal_operator_leading 1$/m,
    /^pageseal_operator_reconciles_total\{kind="file_system"\} [1-9]/m,
    /^pageseal_operator_reconciles_total\{kind="node"\} [1-9]/m,
    /^pageseal_operator_reconcile_errors_total\{kind="file_system"\} \d/m,
    /^pageseal_operator_file_systems_queue_depth 0$/m,
    /^pageseal_kube_events_total [1-9]/m,
  ])
    assert.match(text, line);
  for (const value of all.secretValues) assert.ok(!text.includes(value));
  assert.equal((await fetch(`http://127.0.0.1:${port}/healthz`)).status, 200);
});

test('before it is uninstalled it lets go of all objects, also when an operator still runs', needed, async () => {
  const args = ['operator', 'release', '--namespace', NAMESPACE, '--kubeconfig', all.api.kubeconfig];
  const { code, stdout, stderr } = await run(pagesealProgram, args, { env: temp.env });
  assert.equal(code, 0, stderr);
  assert.equal(stdout, 'released 1 file systems; what is in them stays\n');
  assert.equal((await all.find('counted'))?.metadata.finalizers, undefined);
  // Whoever held the lease has ended by itself, and puts nothing back.
  assert.equal(await all.ended(), 7);
  await all.delete('counted');
  assert.equal(await all.find('counted'), undefined);
  assert.deepEqual(all.objects('counted'), ['juicefs_uuid']);
});
