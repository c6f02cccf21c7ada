// The chart's own life on a cluster: from the chart of an earlier commit to this one while a pod works, then uninstalled, which
// leaves data and nothing else. Whatever comes after finds the release as it was.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { V1Pod } from '@kubernetes/client-node';
import { runOk, until } from '../harness/program.ts';
import { needs, root } from '../harness/tools.ts';
import { type Cluster, clusterNeeds, sharedCluster } from './harness/cluster.ts';
import { claim, DATA, pod, secret } from './harness/objects.ts';
import { boundVolume, storage } from './harness/storage.ts';
import { programPath } from './testbed/programs.ts';

const earlier = join(root, 'test/chart/earlier/pageseal-0.1.0.tgz');
const HELM_BOUND_MS = 240_000;
/** Ends at the first call that fails or answers something else. */
const WORK = `
n=0
while :; do
  n=$((n + 1))
  head -c 50000 /dev/urandom >/tmp/new
  cp /tmp/new ${DATA}/file.$((n % 8))
  cmp /tmp/new ${DATA}/file.$((n % 8))
  ls ${DATA} >/dev/null
  echo "round $n"
done`;

describe('the life of a release', needs(...clusterNeeds, 'helm'), () => {
  let cluster: Cluster;

  before(async () => {
    cluster = await sharedCluster();
    await helm('uninstall', cluster.release.name);
    await helm('install', cluster.release.name, earlier, '--values', cluster.release.values);
  });

  after(async () => {
    const { name, chart, values } = cluster.release;
    await helm('upgrade', '--install', name, chart, '--values', values);
  });

  function helm(...args: readonly string[]): Promise<string> {
    const { described, release } = cluster;
    const where = ['--kubeconfig', described.kubeconfig, '--namespace', release.namespace];
    return runOk(programPath('helm'), [...args, ...where, '--wait', '--timeout', '200s'], { timeoutMs: HELM_BOUND_MS });
  }

  const keeper = async (): Promise<V1Pod | undefined> =>
    (await cluster.system.list<V1Pod>('pods', ['-l', 'app.kubernetes.io/component=keeper'])).find(
      ({ metadata }) => metadata?.deletionTimestamp === undefined,
    );

  test('an upgrade, and then a new keeper, under a pod that works: no call fails', async (t) => {
    const namespace = await cluster.namespace(t);
    const { kubectl } = namespace;
    const { className } = await storage(cluster, namespace, t);
    await kubectl.apply(claim('data', className), pod('worker', { claims: { [DATA]: 'data' }, script: WORK }));
    await kubectl.podReady('worker');
    const rounds = async (): Promise<number> => {
      const [, last = '0'] = /^round (\d+)\n$/m.exec(await kubectl.logs('worker', ['--tail=1'])) ?? [];
      return Number(last);
    };
    /** It fails nowhere, since it would have ended. */
    const goesOn = async (): Promise<void> => {
      const before_ = await rounds();
      await until('the pod to go on', async () => (await rounds()) > before_ + 5, HELM_BOUND_MS);
      assert.equal((await kubectl.get<V1Pod>('pod', 'worker')).status?.phase, 'Running');
    };
    await goesOn();
    const old = await keeper();
    await helm('upgrade', cluster.release.name, cluster.release.chart, '--reset-then-reuse-values');
    assert.equal((await keeper())?.metadata?.uid, old?.metadata?.uid, 'the keeper was replaced');
    await goesOn();
    await cluster.system.delete('pod', old?.metadata?.name ?? '');
    await until('another keeper', async () => (await keeper()) !== undefined);
    await cluster.system.podReady((await keeper())?.metadata?.name ?? '');
    await goesOn();
  });

  test('an uninstallation leaves data, claims, FileSystem objects and their definition, and nothing else', async (t) => {
    const namespace = await cluster.namespace(t);
    const { kubectl } = namespace;
    const { className, backend } = await storage(cluster, namespace, t);
    await kubectl.apply(claim('data', className));
    await kubectl.apply(pod('writer', { claims: { [DATA]: 'data' }, script: `echo kept >${DATA}/file` }));
    await kubectl.podDone('writer');
    await kubectl.delete('pod', 'writer');
    // The kubelet unstages a while after the pod is gone.
    await until('the volume to be unstaged', async () => (await volumeMounts()).length === 0);
    const volume = (await boundVolume(namespace, 'data')).metadata?.name ?? '';
    const objects = backend.objects();
    assert.notDeepEqual(objects, []);
    await declared();

    await helm('uninstall', cluster.release.name);
    assert.deepEqual(backend.objects(), objects);
    assert.notEqual(await kubectl.find('pv', volume), undefined);
    const object = await cluster.system.get('filesystem', 'declared');
    assert.equal((object.metadata as { finalizers?: string[] }).finalizers ?? undefined, undefined);
    await leftNothing();
    await cluster.system.delete('filesystem', 'declared');
    await cluster.system.delete('secret', 'declared');

    // Whoever installs it again has all of it.
    await helm('install', cluster.release.name, cluster.release.chart, '--values', cluster.release.values);
    await kubectl.apply(pod('reader', { claims: { [DATA]: 'data' }, script: `cat ${DATA}/file` }));
    assert.equal(await kubectl.podDone('reader'), 'kept\n');
  });

  /** An object that the operator has taken on: it holds it by its finalizer. */
  async function declared(): Promise<void> {
    const spec = { secretName: 'declared' };
    const object = { apiVersion: 'pageseal.dev/v1alpha1', kind: 'FileSystem', metadata: { name: 'declared' }, spec };
    // A place that nobody answers at: the operator has not done anything yet.
    const nowhere = {
      name: 'nowhere',
      metaurl: 'postgres://a:b@nowhere.example.com/a',
      storage: 's3',
      bucket: 'https://nowhere.example.com/a',
    };
    await cluster.system.apply(secret('declared', nowhere), object);
    await cluster.system.until('filesystem', 'declared', 'to be taken on', (found) =>
      ((found?.metadata as { finalizers?: string[] } | undefined)?.finalizers ?? []).includes(
        'pageseal.dev/file-system',
      ),
    );
  }

  async function volumeMounts(): Promise<string[]> {
    const { stdout } = await cluster.onNode(['cat', '/proc/self/mountinfo']);
    return stdout.split('\n').filter((line) => line.includes(' fuse.pageseal '));
  }

  async function leftNothing(): Promise<void> {
    const { release } = cluster;
    const everywhere = 'csidrivers,clusterroles,clusterrolebindings,storageclasses';
    const here =
      'pods,deployments,daemonsets,jobs,services,roles,rolebindings,serviceaccounts,networkpolicies,configmaps';
    const label = ['-l', `app.kubernetes.io/instance=${release.name}`];
    await until('pods to go', async () => (await cluster.system.list('pods')).length === 0);
    assert.deepEqual(
      [...(await cluster.system.list(everywhere, label)), ...(await cluster.system.list(here, label))],
      [],
    );
    const definition = await cluster.kubectl.find('crd', 'filesystems.pageseal.dev');
    assert.notEqual(definition, undefined);
    assert.deepEqual(await volumeMounts(), []);
  }
});
