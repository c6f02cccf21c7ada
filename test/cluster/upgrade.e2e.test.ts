// A release's whole life under a pod's volume: installed from the chart of an earlier commit, upgraded under a pod that writes,
// uninstalled, which leaves data and the CRD and nothing else, and installed again, which opens the data.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { type Outcome, run, until } from '../harness/program.ts';
import { needs, root } from '../harness/tools.ts';
import { type Cluster, clusterNeeds, sharedCluster, type TestNamespace } from './harness/cluster.ts';
import { claim, DATA, pod } from './harness/objects.ts';
import { storage } from './harness/storage.ts';
import { suiteOwner } from './harness/suite-owner.ts';
import { allProcesses, commandOf, contentsOf, podsOf } from './processes.ts';
import { programPath } from './testbed/programs.ts';
import { Writer, writerScript } from './writer.ts';

/** As it was when keepers first handed their mounts over. */
const earlier = join(root, 'test/chart/earlier/pageseal-0.1.0.tgz');
const HELM_BOUND = '150s';

describe('a release', needs(...clusterNeeds), () => {
  const owner = suiteOwner();
  let cluster: Cluster;
  let namespace: TestNamespace;
  let writer: Writer;

  async function helm(...args: readonly string[]): Promise<Outcome> {
    const where = ['--kubeconfig', cluster.described.kubeconfig, '--namespace', cluster.release.namespace];
    const outcome = await run(programPath('helm'), [...args, ...where, '--wait', '--timeout', HELM_BOUND], {
      timeoutMs: 180_000,
    });
    assert.equal(outcome.code, 0, outcome.stderr);
    return outcome;
  }

  const withValues = (): string[] => ['--values', cluster.release.values];

  before(async () => {
    cluster = await sharedCluster();
    namespace = await cluster.namespace(owner);
    const { className } = await storage(cluster, namespace, owner);
    await helm('uninstall', cluster.release.name);
    await helm('install', cluster.release.name, earlier, ...withValues());
    const { kubectl } = namespace;
    await kubectl.apply(claim('data', className));
    await kubectl.apply(pod('writer', { claims: { [DATA]: 'data' }, script: writerScript }));
    await kubectl.podReady('writer');
    writer = new Writer(kubectl, 'writer');
    await writer.goesOn();
  });

  test('an upgrade from the earlier chart fails no call, and leaves the keeper until its pod is deleted', async () => {
    const [keeper] = await podsOf(cluster, 'keeper');
    const [plugin] = await podsOf(cluster, 'node');
    await helm('upgrade', cluster.release.name, cluster.release.chart, ...withValues(), '--set', 'logLevel=info');
    await writer.goesOn();
    assert.equal((await podsOf(cluster, 'keeper'))[0]?.metadata.uid, keeper?.metadata.uid);
    assert.notEqual((await podsOf(cluster, 'node'))[0]?.metadata.uid, plugin?.metadata.uid);
    await cluster.system.ok(['delete', 'pod', keeper?.metadata.name ?? '']);
    await writer.goesOn();
    assert.equal(await writer.told(), 0);
  });

  test('uninstalled, it leaves data and the CRD, and nothing else', async () => {
    const { kubectl } = namespace;
    await kubectl.ok(['exec', 'writer', '--', 'sh', '-c', `echo kept > ${DATA}/kept`]);
    await kubectl.delete('pod', 'writer');
    const { stdout } = await helm('uninstall', cluster.release.name);
    assert.match(stdout, /uninstalled/);
    await until('its pods to go', async () => (await cluster.system.list('pods')).length === 0);
    assert.deepEqual(await labelled(), []);
    await cluster.kubectl.get('crd', 'filesystems.pageseal.dev');
    const mounts = contentsOf(`/proc/${cluster.node.pid}/mountinfo`);
    assert.deepEqual(
      mounts.split('\n').filter((line) => /fuse\.pageseal| \/run\/pageseal/.test(line)),
      [],
    );
    const ours = allProcesses().filter((pid) => /\/opt\/pageseal\//.test(commandOf(pid)) && isOnNode(pid));
    assert.deepEqual(ours.map(commandOf), []);
    assert.equal((await kubectl.list('pvc')).length, 1);
  });

  test('installed again, it opens the data', async () => {
    await helm('install', cluster.release.name, cluster.release.chart, ...withValues());
    const { kubectl } = namespace;
    await kubectl.apply(pod('reader', { claims: { [DATA]: 'data' }, script: `cat ${DATA}/kept` }));
    assert.equal(await kubectl.podDone('reader'), 'kept\n');
  });

  /** Of every kind that there is, in every namespace. */
  async function labelled(): Promise<string[]> {
    const kinds = await cluster.kubectl.ok(['api-resources', '--verbs=list', '-o', 'name']);
    const wanted = kinds
      .trim()
      .split('\n')
      .filter((kind) => !/^events/.test(kind))
      .join();
    const names = await cluster.kubectl.ok([
      'get',
      wanted,
      '-A',
      '-l',
      'app.kubernetes.io/name=pageseal',
      '-o',
      'name',
    ]);
    return names.split('\n').filter(Boolean);
  }

  /** In the namespaces of the testbed: other tests may run programs of ours. */
  const isOnNode = (pid: number): boolean =>
    contentsOf(`/proc/${pid}/cgroup`).includes(`pageseal-${cluster.described.id}`);
});
