// The driver's processes die while pods work: node plugin, workers, keeper. Calls of a pod wait and do not fail, but where a
// worker died with bytes that it had acknowledged and not committed: that is told, once. And a pod whose mount is gone finds
// no way to the node's disk.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { V1Node, V1Pod } from '@kubernetes/client-node';
import { until } from '../harness/program.ts';
import { needs } from '../harness/tools.ts';
import { type Cluster, clusterNeeds, sharedCluster, type TestNamespace } from './harness/cluster.ts';
import { claim, DATA, pod } from './harness/objects.ts';
import { storage } from './harness/storage.ts';
import { suiteOwner } from './harness/suite-owner.ts';
import { ourProcesses, podsOf } from './processes.ts';
import { Writer, writerScript } from './writer.ts';

const KILLED_WORKERS = 3;
const TAINT = 'csi.pageseal.dev/not-ready';

describe('processes that die', needs(...clusterNeeds), () => {
  const owner = suiteOwner();
  let cluster: Cluster;
  let namespace: TestNamespace;
  let writer: Writer;

  before(async () => {
    cluster = await sharedCluster();
    namespace = await cluster.namespace(owner);
    const { className: storageClass } = await storage(cluster, namespace, owner);
    const { kubectl } = namespace;
    await kubectl.apply(claim('data', storageClass), claim('other', storageClass));
    await kubectl.apply(pod('writer', { claims: { [DATA]: 'data' }, script: writerScript }));
    await kubectl.podReady('writer');
    writer = new Writer(kubectl, 'writer');
    await writer.goesOn();
  });

  /** Deletes a component's pod and waits for another one that is ready. */
  async function replace(component: string, flags: readonly string[] = []): Promise<void> {
    const [old] = await podsOf(cluster, component);
    assert(old !== undefined);
    await cluster.system.ok(['delete', 'pod', old.metadata.name, '--wait=false', ...flags]);
    await ready(component, old.metadata.uid);
  }

  async function ready(component: string, not = ''): Promise<void> {
    let name = '';
    await until(`a new pod of the ${component}`, async () => {
      const next = (await podsOf(cluster, component)).find(({ metadata }) => metadata.uid !== not);
      name = next?.metadata.name ?? '';
      return name !== '';
    });
    await cluster.system.podReady(name);
  }

  test('the node plugin is deleted: no call fails', async () => {
    await replace('node');
    await writer.goesOn();
    assert.equal(await writer.told(), 0);
  });

  test('workers are killed: the mount goes on, and only lost bytes are told', async () => {
    for (let kill = 0; kill < KILLED_WORKERS; kill++) {
      const workers = await ourProcesses(cluster, 'keeper', 'worker');
      assert(workers.length > 0);
      for (const worker of workers) process.kill(worker, 'SIGKILL');
      await writer.goesOn();
    }
    assert((await writer.told()) <= KILLED_WORKERS);
  });

  test('the keeper is deleted: a pause, and no call fails', async () => {
    const told = await writer.told();
    await replace('keeper');
    await writer.goesOn();
    assert.equal(await writer.told(), told);
  });

  test('plugin and keeper are deleted one after the other, as an upgrade does: no call fails', async () => {
    const told = await writer.told();
    await replace('node');
    await replace('keeper');
    await writer.goesOn();
    assert.equal(await writer.told(), told);
  });

  test('the keeper is killed: the next one takes the mounts over', async () => {
    const told = await writer.told();
    const [keeper] = await ourProcesses(cluster, 'keeper', 'keeper');
    assert(keeper !== undefined);
    process.kill(keeper, 'SIGKILL');
    await writer.goesOn();
    assert((await writer.told()) <= told + 1);
    await ready('keeper');
  });

  test('what was written before all of this is there for another pod', async () => {
    const { kubectl } = namespace;
    await kubectl.delete('pod', 'writer');
    const script = `cd ${DATA} && ls && for name in file.*; do [ $(wc -c < $name) = 60000 ] || exit 1; done`;
    await kubectl.apply(pod('reader', { claims: { [DATA]: 'data' }, script }));
    assert.match(await kubectl.podDone('reader'), /^file\.\d+$/m);
  });

  test("a pod whose mount is gone cannot write to the node's disk", async () => {
    const { kubectl } = namespace;
    await kubectl.apply(pod('bereft', { claims: { [DATA]: 'other' } }));
    await kubectl.podReady('bereft');
    await kubectl.sh('bereft', `echo kept > ${DATA}/kept`);
    const { metadata } = await kubectl.get<V1Pod>('pod', 'bereft');
    const { stdout } = await cluster.onNode([
      'sh',
      '-c',
      `echo /var/lib/kubelet/pods/${metadata?.uid}/volumes/*csi/*/mount`,
    ]);
    const target = stdout.trim();
    const unmounted = await cluster.onNode(['umount', '--lazy', target]);
    assert.equal(unmounted.code, 0, unmounted.stderr);
    const written = await cluster.onNode(['sh', '-c', `echo astray > ${target}/astray`]);
    assert.match(written.stderr, /Read-only file system/);
    assert.equal((await cluster.onNode(['ls', '-A', target])).stdout, '');
    // A container that starts now gets what is there now.
    await kubectl.delete('pod', 'bereft');
  });

  test('a node that is tainted until the driver is ready loses the taint', async () => {
    const { name } = cluster.node;
    await cluster.kubectl.ok(['taint', 'node', name, `${TAINT}=:NoSchedule`]);
    await cluster.kubectl.until<V1Node>('node', name, 'its taint to go', (node) => {
      return !(node?.spec?.taints ?? []).some(({ key }) => key === TAINT);
    });
  });
});
