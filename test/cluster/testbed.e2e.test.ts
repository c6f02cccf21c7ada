// The cluster of the tests itself: that it does what a cluster does, as far as Pageseal leans on it.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { before, type TestContext, test } from 'node:test';
import { needs } from '../harness/tools.ts';
import { apiServerNeeds, startApiServer } from './harness/api-server.ts';
import { type Cluster, clusterNeeds, sharedCluster } from './harness/cluster.ts';
import { phaseOf } from './harness/kubectl.ts';
import { claim, DATA, pod } from './harness/objects.ts';

const needed = needs(...clusterNeeds);
let cluster: Cluster;

before(async () => {
  if (needed.skip === undefined) cluster = await sharedCluster({ bare: true });
});

const rule = { rule: 'self.size >= oldSelf.size', message: 'things only grow' };
const schema = { type: 'object', properties: { size: { type: 'integer' } }, 'x-kubernetes-validations': [rule] };
const definition = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'things.tests.pageseal.dev' },
  spec: {
    group: 'tests.pageseal.dev',
    scope: 'Namespaced',
    names: { plural: 'things', kind: 'Thing' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: 'object', properties: { spec: schema } } },
      },
    ],
  },
};

test('an API server judges objects of our own by their rules', needs(...apiServerNeeds), async (t: TestContext) => {
  const { kubectl } = await startApiServer(t);
  await kubectl.apply(definition);
  await kubectl.condition('crd', definition.metadata.name, 'Established');
  const thing = (size: number): object => ({
    apiVersion: 'tests.pageseal.dev/v1',
    kind: 'Thing',
    metadata: { name: 'one' },
    spec: { size },
  });
  await kubectl.apply(thing(2));
  assert.match((await kubectl.tryApply(thing(1))).stderr, /things only grow/);
  await kubectl.apply(thing(3));
});

test('the node is ready, a pod runs, speaks and takes commands', needed, async (t) => {
  await cluster.kubectl.condition('node', cluster.node.name, 'Ready');
  const { kubectl } = await cluster.namespace(t);
  await kubectl.apply(pod('sleeper'), pod('speaker', { script: 'echo spoken' }));
  assert.equal(await kubectl.podDone('speaker'), 'spoken\n');
  await kubectl.podReady('sleeper');
  assert.equal(await kubectl.sh('sleeper', 'hostname'), 'sleeper\n');
  assert.equal((await kubectl.exec('sleeper', ['false'])).code, 1);
});

test('what a pod mounts below a Bidirectional folder is seen on the node and in later pods', needed, async (t) => {
  const { kubectl, name } = await cluster.namespace(t);
  const path = `${cluster.node.kubeletFolder}/plugins/${name}`;
  const volumes = [{ name: 'host', hostPath: { path, type: 'DirectoryOrCreate' } }];
  const mounts = (mountPropagation: string): object[] => [{ name: 'host', mountPath: DATA, mountPropagation }];
  const sharing = { securityContext: { privileged: true }, volumeMounts: mounts('Bidirectional') as never };
  const script = `mkdir -p ${DATA}/inner && mount -t tmpfs none ${DATA}/inner && echo seen >${DATA}/inner/file`;
  await kubectl.apply(pod('mounter', { script, pod: { volumes }, container: sharing }));
  await kubectl.podDone('mounter');
  assert.equal((await cluster.onNode(['cat', `${path}/inner/file`])).stdout, 'seen\n');
  assert.ok(!existsSync(path), 'nothing of it is on the machine itself');
  const reading = { volumeMounts: mounts('HostToContainer') as never };
  await kubectl.apply(pod('reader', { script: `cat ${DATA}/inner/file`, pod: { volumes }, container: reading }));
  assert.equal(await kubectl.podDone('reader'), 'seen\n');
  await cluster.onNode(['umount', `${path}/inner`]);
});

test('a pod reaches the API server with its account, and a claim without a class waits', needed, async (t) => {
  const { kubectl } = await cluster.namespace(t);
  const account = '/var/run/secrets/kubernetes.io/serviceaccount';
  // busybox speaks no TLS that proves the server, so a connection is all that is asked here.
  const script = `test -s ${account}/token && nc -w 5 "$KUBERNETES_SERVICE_HOST" "$KUBERNETES_SERVICE_PORT" </dev/null && echo reached`;
  await kubectl.apply(pod('caller', { script }), claim('waits', 'no-such-class'));
  assert.equal(await kubectl.podDone('caller'), 'reached\n');
  assert.equal(phaseOf(await kubectl.get('pvc', 'waits')), 'Pending');
});
