// Volumes as pods meet them, on a real kubelet with the chart installed: written, read, ciphertext in the store, grown, shared
// with a second node, by group and by folder, read-only, and gone without a rest.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, type TestContext, test } from 'node:test';
import type { V1PersistentVolume, V1PersistentVolumeClaim } from '@kubernetes/client-node';
import { until } from '../harness/program.ts';
import { needs } from '../harness/tools.ts';
import { type Cluster, clusterNeeds, sharedCluster, type TestNamespace } from './harness/cluster.ts';
import { claim, DATA, pod } from './harness/objects.ts';
import { SecondNode } from './harness/second-node.ts';
import { boundVolume, type Storage, storage } from './harness/storage.ts';

const needed = needs(...clusterNeeds);
const TEXT = 'a line that nobody else should read';
const onClaim = { [DATA]: 'data' };
let cluster: Cluster;

before(async () => {
  if (needed.skip === undefined) cluster = await sharedCluster();
});

interface Prepared extends Storage, TestNamespace {}

/** A namespace with a class and one claim. */
async function prepared(t: TestContext): Promise<Prepared> {
  const namespace = await cluster.namespace(t);
  const made = await storage(cluster, namespace, t);
  await namespace.kubectl.apply(claim('data', made.className));
  return { ...made, ...namespace };
}

test('pods write and read what is ciphertext in the store; the claim goes and leaves no object', needed, async (t) => {
  const set = await prepared(t);
  const { kubectl, backend } = set;
  await kubectl.apply(pod('writer', { claims: onClaim, script: `echo '${TEXT}' >${DATA}/file` }));
  await kubectl.podDone('writer');
  await kubectl.apply(pod('reader', { claims: onClaim, script: `cat ${DATA}/file` }));
  assert.equal(await kubectl.podDone('reader'), `${TEXT}\n`);
  assert.ok(backend.objects().length > 0);
  assert.deepEqual(backend.objectsWith(TEXT), []);
  const { metadata } = await boundVolume(set, 'data');
  await kubectl.delete('pods', '--all');
  await kubectl.delete('pvc', 'data');
  await kubectl.until('pv', metadata?.name ?? '', 'to go', (volume) => volume === undefined);
  assert.deepEqual(backend.objects(), []);
  assert.deepEqual(backend.schemas(), []);
});

test('a claim grows under a running pod', needed, async (t) => {
  const { kubectl } = await prepared(t);
  await kubectl.apply(pod('user', { claims: onClaim }));
  await kubectl.podReady('user');
  const kilobytes = async (): Promise<number> =>
    Number(await kubectl.sh('user', `df -Pk ${DATA} | awk 'NR==2 {print $2}'`));
  assert.equal(await kilobytes(), 1 << 20);
  const resources = { requests: { storage: '2Gi' } };
  await kubectl.ok(['patch', 'pvc', 'data', '--patch', JSON.stringify({ spec: { resources } })]);
  const isGrown = (found: V1PersistentVolumeClaim | undefined): boolean =>
    found?.status?.capacity?.['storage'] === '2Gi';
  await kubectl.until<V1PersistentVolumeClaim>('pvc', 'data', 'to have grown', isGrown);
  await until('the pod to see it', async () => (await kilobytes()) === 2 << 20);
});

test('a second node on the same volume sees closed files of the first, and the first its', needed, async (t) => {
  const set = await prepared(t);
  const { kubectl, secret } = set;
  await kubectl.apply(pod('user', { claims: onClaim }));
  await kubectl.podReady('user');
  const volume = await boundVolume(set, 'data');
  const second = await SecondNode.start(cluster, t);
  const folder = await second.mount(volume, 'other', secret);
  await kubectl.sh('user', `echo first >${DATA}/of-first`);
  assert.equal(readFileSync(join(folder, 'of-first'), 'utf8'), 'first\n');
  writeFileSync(join(folder, 'of-second'), 'second\n');
  assert.equal(await kubectl.sh('user', `cat ${DATA}/of-second`), 'second\n');
  await kubectl.sh('user', `echo more >>${DATA}/of-second`);
  assert.equal(readFileSync(join(folder, 'of-second'), 'utf8'), 'second\nmore\n');
  await second.unmount(volume, 'other');
});

test('fsGroup, subPath and read-only are what a pod asked for', needed, async (t) => {
  const { kubectl } = await prepared(t);
  const securityContext = { runAsUser: 1000, runAsGroup: 1000, fsGroup: 2000 };
  const asUser = { claims: onClaim, pod: { securityContext } };
  await kubectl.apply(
    pod('member', { ...asUser, script: `mkdir ${DATA}/sub && echo own >${DATA}/sub/file && stat -c %g ${DATA}` }),
  );
  assert.equal(await kubectl.podDone('member'), '2000\n');
  await kubectl.apply(pod('part', { claims: onClaim, subPath: 'sub', script: `ls ${DATA} && cat ${DATA}/file` }));
  assert.equal(await kubectl.podDone('part'), 'file\nown\n');
  // The log has both outputs, in no order: the refusal goes where the rest goes.
  const script = `cat ${DATA}/sub/file; if said=$( (echo x >${DATA}/new) 2>&1); then exit 1; fi; echo "$said"; mount | grep ' ${DATA} ' | grep -c '[(,]ro[,)]'`;
  await kubectl.apply(pod('looker', { claims: onClaim, readOnly: true, script }));
  assert.match(await kubectl.podDone('looker'), /^own\n.*Read-only file system\n1\n$/s);
});

test('what is to be retained stays when its claim is deleted', needed, async (t) => {
  const set = await prepared(t);
  const { kubectl, backend } = set;
  await kubectl.apply(pod('writer', { claims: onClaim, script: `echo kept >${DATA}/file` }));
  await kubectl.podDone('writer');
  const volume = await boundVolume(set, 'data');
  const name = volume.metadata?.name ?? '';
  await kubectl.ok(['patch', 'pv', name, '--patch', '{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}']);
  await kubectl.delete('pods', '--all');
  await kubectl.delete('pvc', 'data');
  const isReleased = (found: V1PersistentVolume | undefined): boolean => found?.status?.phase === 'Released';
  await kubectl.until<V1PersistentVolume>('pv', name, 'to be released', isReleased);
  assert.ok(backend.objects().length > 0);
  await kubectl.delete('pv', name);
});
