// A controller with an account in a cluster, on a real API server: StorageClasses that name a declared file system, and what
// it tells by Events. Database and folder are in an embedded directory; nothing is mounted.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { after, before, test } from 'node:test';
import { setLogLevel } from '../../src/base/log.ts';
import { parseEndpoints } from '../../src/config/endpoints.ts';
import { type RunningCsi, startCsi } from '../../src/csi/run.ts';
import { formatVolume } from '../../src/filesystem/format.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { type FileSystemObject, fileSystems } from '../../src/kube/crd/file-system.ts';
import type { CoreEvent, KubeObject } from '../../src/kube/objects.ts';
import { events, persistentVolumeClaims, persistentVolumes, type Resource } from '../../src/kube/resources.ts';
import { CsiClient, writer } from '../harness/csi-client.ts';
import { until } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { ApiServer } from '../kube/api-server.ts';

const needed = needs('kube-apiserver', 'openssl');
const temp = makeTemp();
const namespace = 'default';
const uuid = '6f0c1a52-3c1e-8b7d-9b0a-2f6f6f1f9d11';
const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
const embedded = temp.folder('embedded');
const place = (name: string): Readonly<Record<string, string>> => ({
  name,
  metaurl: `sqlite3://${embedded}/${name}.db`,
  storage: 'file',
  bucket: `${embedded}/${name}`,
});
const secrets = { ...place('projects'), 'rsa-public-key': pem };
let kube: KubeClient;
let running: RunningCsi;
let client: CsiClient;

before(async () => {
  if (needed.skip !== undefined) return;
  setLogLevel('error');
  const server = await ApiServer.start(temp);
  kube = await server.client();
  running = await startCsi({
    mode: 'controller',
    endpoint: `unix://${temp.at('csi.sock')}`,
    nodeId: 'node-1',
    keeperSocket: '',
    kubeletDirectory: '/var/lib/kubelet',
    stateDirectory: undefined,
    embedded,
    endpoints: parseEndpoints(''),
    ambientCredentials: false,
    kube,
  });
  client = new CsiClient(temp.at('csi.sock'));
});
after(async () => {
  client?.close();
  await running?.close();
});

const parameters = { fileSystem: `${namespace}/projects` };
const create = (name: string, more: object = {}): Promise<{ volume: { volumeId: string } }> =>
  client.call('Controller', 'createVolume', { name, secrets, parameters, volumeCapabilities: [writer()], ...more });

async function refused(call: Promise<unknown>, text: RegExp): Promise<void> {
  await assert.rejects(call, (thrown: Error) => {
    assert.match(thrown.message, text);
    assert.doesNotMatch(thrown.message, /BEGIN/);
    return true;
  });
}

/** The status that an operator would write. */
const declare = async (ready: 'True' | 'False', message: string): Promise<void> => {
  const at = { namespace, name: 'projects' };
  if ((await kube.find(fileSystems, at)) === undefined)
    await kube.create(fileSystems, { metadata: at, spec: { secretName: 'projects' } } satisfies FileSystemObject);
  const condition = { type: 'Ready', status: ready, reason: 'Tested', message };
  const conditions = [{ ...condition, lastTransitionTime: '2026-01-01T00:00:00Z' }];
  await kube.patch(fileSystems, at, { status: { uuid, conditions } }, { subresource: 'status' });
};

const eventsOf = async <T extends KubeObject>(of: Resource<T>, name: string): Promise<readonly CoreEvent[]> =>
  (await kube.list(events, {})).items.filter(
    (each) => each.involvedObject.kind === of.kind && each.involvedObject.name === name,
  );

test('a class waits for its declared file system, says why, and never makes one', needed, async () => {
  await refused(create('pvc-1'), /^14 UNAVAILABLE: file system default\/projects: is not declared/);
  await declare('False', 'its Secret is missing');
  await refused(create('pvc-1'), /^14 UNAVAILABLE: .*is not Ready.*: its Secret is missing .*tried again by itself/);
  await declare('True', 'it is ready');
  await refused(create('pvc-1'), /^9 FAILED_PRECONDITION: .*leads to no file system/);
  await formatVolume({
    metaUrl: place('projects')['metaurl'] ?? '',
    name: 'projects',
    uuid,
    store: { storage: 'file', bucket: `${embedded}/projects/` },
    key: { kind: 'self-managed', pem: Buffer.from(pem) },
  });
  const { volume } = await create('pvc-1');
  assert.equal(volume.volumeId.split('/')[0], uuid);
  assert.deepEqual((await create('pvc-1')).volume, volume);
});

test('its Secret must lead to that file system, and what it lays down is not for the class', needed, async () => {
  await declare('True', '');
  const other = { ...place('other'), 'rsa-public-key': pem };
  const { volume } = await create('pvc-other', { secrets: other, parameters: {} });
  await refused(
    create('pvc-2', { secrets: other }),
    new RegExp(`leads to file system ${volume.volumeId.split('/')[0]}`),
  );
  await refused(create('pvc-2', { parameters: { ...parameters, compression: 'zstd' } }), /compression: is laid down/);
  await refused(create('pvc-2', { secrets: { 'rsa-public-key': pem } }), /file system per claim/);
  await refused(create('pvc-2', { parameters: { ...parameters, encryption: 'none' } }), /none/);
});

test('what has no meaning is told in one Event on the claim, and deletion on the volume', needed, async () => {
  const claim = await kube.create(persistentVolumeClaims, {
    metadata: { namespace, name: 'data' },
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
  });
  const name = `pvc-${claim.metadata.uid}`;
  const pv = await kube.create(persistentVolumes, {
    metadata: { name },
    spec: {
      capacity: { storage: '1Gi' },
      accessModes: ['ReadWriteOnce'],
      csi: { driver: 'csi.pageseal.dev', volumeHandle: 'x' },
    },
  });
  const own = { 'rsa-public-key': pem };
  const request = {
    secrets: own,
    parameters: {
      'juicefs/mount-image': 'x',
      'juicefs/mount-cpu-limit': '1',
      'csi.storage.k8s.io/pvc/name': 'data',
      'csi.storage.k8s.io/pvc/namespace': namespace,
    },
    volumeCapabilities: [{ ...writer(), mount: { fsType: '', mountFlags: ['cache-size=1024'] } }],
  };
  const { volume } = await create(name, request);
  await create(name, request);
  let found: readonly CoreEvent[] = [];
  await until('the Event on the claim', async () => {
    found = await eventsOf(persistentVolumeClaims, 'data');
    return found.some(({ count }) => count === 2);
  });
  assert.deepEqual(
    found.map(({ reason, type, involvedObject }) => ({ reason, type, uid: involvedObject.uid })),
    [{ reason: 'IgnoredSettings', type: 'Normal', uid: claim.metadata.uid }],
  );
  assert.match(
    found[0]?.message ?? '',
    /parameters juicefs\/mount-image, juicefs\/mount-cpu-limit; mount options cache-size/,
  );

  await client.call('Controller', 'deleteVolume', { volumeId: volume.volumeId, secrets: own });
  await until('the Event on the volume', async () => {
    found = await eventsOf(persistentVolumes, name);
    return found.length > 0;
  });
  assert.equal(found[0]?.reason, 'VolumeDeleted');
  assert.equal(found[0]?.involvedObject.uid, pv.metadata.uid);
  assert.match(found[0]?.message ?? '', /its file system: metadata and \d+ objects/);
});

test('without a cluster such a class is refused', needed, async () => {
  const socket = temp.at('other.sock');
  const options = {
    mode: 'controller',
    nodeId: 'n',
    keeperSocket: '',
    kubeletDirectory: '/k',
    stateDirectory: undefined,
  } as const;
  const rules = { embedded, endpoints: parseEndpoints(''), ambientCredentials: false, kube: undefined };
  const alone = await startCsi({ ...options, ...rules, endpoint: `unix://${socket}` });
  const other = new CsiClient(socket);
  const request = { name: 'x', secrets, parameters, volumeCapabilities: [writer()] };
  await refused(other.call('Controller', 'createVolume', request), /--kube/);
  other.close();
  await alone.close();
});
