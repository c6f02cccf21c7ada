// Secrets that stay as long as volumes need them, on a release that was told so: the deletion of a namespace, Secret first,
// takes the data along, and an uninstallation leaves no finalizer. Whatever comes after finds the release as it was.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { V1PersistentVolumeClaim } from '@kubernetes/client-node';
import { runOk, until } from '../harness/program.ts';
import { needs } from '../harness/tools.ts';
import { type Cluster, clusterNeeds, sharedCluster, type TestNamespace } from './harness/cluster.ts';
import type { KubeObject } from './harness/kubectl.ts';
import { claim, DATA, pod } from './harness/objects.ts';
import { boundVolume, storage } from './harness/storage.ts';
import { upgrade } from './harness/upgrade.ts';
import { programPath } from './testbed/programs.ts';

const FINALIZER = 'csi.pageseal.dev/volumes';
const SECRET = 'volume';

interface Secret extends KubeObject {
  readonly metadata: NonNullable<KubeObject['metadata']> & {
    readonly finalizers?: readonly string[];
    readonly deletionTimestamp?: string;
  };
}

describe('Secrets that volumes need', needs(...clusterNeeds), () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await sharedCluster();
    await upgrade(cluster, ['--set', 'controller.secretFinalizer=true']);
  });
  after(() => upgrade(cluster));

  const finalizersOf = async ({ kubectl }: TestNamespace): Promise<readonly string[]> =>
    (await kubectl.get<Secret>('secret', SECRET)).metadata.finalizers ?? [];

  test('a namespace that is deleted, its Secret first, goes with the data of its volumes', async (t) => {
    // Of the test's own: it is gone at its end.
    const name = `leaving-${process.pid}`;
    await cluster.kubectl.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    t.after(() => cluster.kubectl.ok(['delete', 'namespace', name, '--ignore-not-found', '--wait=false']));
    const namespace = { name, kubectl: cluster.kubectl.in(name) };
    const { kubectl } = namespace;
    await kubectl.until('serviceaccount', 'default', 'to be made', (account) => account !== undefined);
    const { className, backend } = await storage(cluster, namespace, t);
    assert.deepEqual(await finalizersOf(namespace), []);
    await kubectl.apply(claim('data', className));
    await kubectl.apply(pod('writer', { claims: { [DATA]: 'data' }, script: `echo written >${DATA}/file` }));
    await kubectl.podDone('writer');
    const volume = (await boundVolume(namespace, 'data')).metadata?.name ?? '';
    assert.deepEqual(await finalizersOf(namespace), [FINALIZER]);
    assert.ok(backend.objects().length > 1);

    await kubectl.ok(['delete', 'secret', SECRET, '--wait=false']);
    assert.ok((await kubectl.get<Secret>('secret', SECRET)).metadata.deletionTimestamp !== undefined);
    await kubectl.apply(claim('late', className));
    await until('an Event that says why no volume is made', async () =>
      (await kubectl.events('PersistentVolumeClaim', 'late')).some((event) =>
        /ProvisioningFailed: .*secret .*: is being deleted, and no volume is made with it/.test(event),
      ),
    );
    await cluster.kubectl.ok(['delete', 'namespace', name, '--wait=false']);
    const isGone = (found: KubeObject | undefined): boolean => found === undefined;
    await cluster.kubectl.until('pv', volume, 'to go', isGone);
    await cluster.kubectl.until('namespace', name, 'to go', isGone);
    assert.deepEqual(backend.objects(), []);
  });

  test('an uninstallation takes the finalizer off, and leaves Secret and claim', async (t) => {
    // First, since without a controller no volume goes.
    t.after(() => upgrade(cluster));
    const namespace = await cluster.namespace(t);
    const { className } = await storage(cluster, namespace, t);
    const { kubectl } = namespace;
    await kubectl.apply(claim('data', className));
    await boundVolume(namespace, 'data');
    assert.deepEqual(await finalizersOf(namespace), [FINALIZER]);
    const { name, namespace: home } = cluster.release;
    const where = ['--kubeconfig', cluster.described.kubeconfig, '--namespace', home];
    const how = ['--wait', '--timeout', '150s'];
    await runOk(programPath('helm'), ['uninstall', name, ...where, ...how], { timeoutMs: 180_000 });
    assert.deepEqual(await finalizersOf(namespace), []);
    const found = await kubectl.get<V1PersistentVolumeClaim>('pvc', 'data');
    assert.equal(found.status?.phase, 'Bound');
    const left = ['jobs,configmaps,validatingadmissionpolicies,validatingadmissionpolicybindings', '-l'];
    assert.equal(await cluster.system.ok(['get', ...left, 'app.kubernetes.io/name=pageseal', '-o', 'name']), '');
  });
});
