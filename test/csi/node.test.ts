// The node service's own rules, with a keeper that only remembers what it was told. Real mounts: test/sanity/.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { fail } from '../../src/base/errors.ts';
import { setLogLevel } from '../../src/base/log.ts';
import { parseEndpoints } from '../../src/config/endpoints.ts';
import { LostMounts } from '../../src/csi/lost-mounts.ts';
import { NodeService } from '../../src/csi/node.ts';
import { NodeState } from '../../src/csi/node-state.ts';
import type { Notice } from '../../src/csi/notices.ts';
import { type RunningServer, serve } from '../../src/csi/server.ts';
import type { Keeper } from '../../src/keeper/client.ts';
import type { Connection, KeeperStats, KeeperVolume, MountRequest } from '../../src/keeper/messages.ts';
import { CsiClient, writer } from '../harness/csi-client.ts';

setLogLevel('error');
const root = mkdtempSync(join(tmpdir(), 'pageseal-node-'));
const kubelet = join(root, 'kubelet');
const embedded = join(root, 'embedded');
const state = join(root, 'state');
const digest = '0a'.repeat(16);
const uuid = '6f0c1a52-3c1e-8b7d-9b0a-2f6f6f1f9d11';
const volumeId = `${uuid}/${digest}`;
const PASSPHRASE = 'canary-passphrase';
const secrets = { 'rsa-key': 'canary-pem', passphrase: PASSPHRASE };
const volumeContext = { fs: `pvc-${digest}`, directory: `/${digest}`, uuid, encryption: 'required' };

/** Accepts one passphrase; mounts and binds are lists. */
class FakeKeeper implements Keeper {
  readonly calls: string[] = [];
  readonly volumes = new Map<string, KeeperVolume>();
  lastMount: MountRequest | undefined;
  uuidOf: (connection: Connection) => string = () => uuid;

  async mount(request: MountRequest): Promise<{ fileSystemUuid: string; fileSystemName: string }> {
    this.calls.push('mount');
    this.lastMount = structuredClone(request);
    this.#check(request.connection, request.fileSystemUuid);
    const { volumeId: id, stagingPath, readOnly } = request;
    const targets = this.volumes.get(id)?.targets ?? [];
    const fileSystemUuid = this.uuidOf(request.connection);
    this.volumes.set(id, { volumeId: id, fileSystemUuid, stagingPath, targets, workerPid: 1, restarts: 0, readOnly });
    return { fileSystemUuid, fileSystemName: 'x' };
  }
  async prove(request: { connection: Connection; volumeId: string }): Promise<void> {
    this.calls.push('prove');
    this.#check(request.connection, this.volumes.get(request.volumeId)?.fileSystemUuid ?? '');
  }
  #check(connection: Connection, wanted: string): void {
    if (Buffer.from(connection.passphrase).toString() !== PASSPHRASE)
      throw fail('wrong-passphrase', 'wrong passphrase');
    if (wanted !== '' && wanted !== this.uuidOf(connection)) throw fail('wrong-key', 'another file system');
  }
  async bind(request: { volumeId: string; targetPath: string; readOnly: boolean }): Promise<{ existed: boolean }> {
    this.calls.push(`bind ${request.readOnly ? 'ro' : 'rw'}`);
    const volume = this.volumes.get(request.volumeId);
    if (volume === undefined) throw fail('failed-precondition', 'not mounted');
    this.volumes.set(request.volumeId, { ...volume, targets: [...volume.targets, request.targetPath] });
    return { existed: false };
  }
  async unbind(request: { volumeId: string; targetPath: string }): Promise<void> {
    this.calls.push('unbind');
    const volume = this.volumes.get(request.volumeId);
    if (volume === undefined) return;
    const targets = volume.targets.filter((each) => each !== request.targetPath);
    this.volumes.set(request.volumeId, { ...volume, targets });
  }
  async unmount(request: { volumeId: string }): Promise<void> {
    this.calls.push('unmount');
    this.volumes.delete(request.volumeId);
  }
  async stat(): Promise<KeeperStats> {
    const [totalBytes, availableBytes, usedBytes] = [0n, 0n, 0n];
    const [totalInodes, freeInodes, usedInodes] = [0n, 0n, 0n];
    const condition = 'its worker is lost';
    return {
      totalBytes, availableBytes, usedBytes, totalInodes, freeInodes, usedInodes, abnormal: true, condition,
    }; // biome-ignore format: nothing of interest
  }
  async list(): Promise<readonly KeeperVolume[]> {
    return [...this.volumes.values()];
  }
  close(): void {}
}

/** What people were told. */
const told: Notice[] = [];
let keeper: FakeKeeper;
let server: RunningServer | undefined;
let client: CsiClient;

/** As after a restart of the plugin: only disk and keeper remember. */
async function restart(): Promise<void> {
  client?.close();
  await server?.close();
  const socket = join(root, 'node.sock');
  const rules = { embedded, endpoints: parseEndpoints(''), ambientCredentials: false };
  const notices = { tell: (notice: Notice) => void told.push(notice), flush: async () => undefined };
  const options = { nodeId: 'node-1', kubeletDirectory: kubelet, notices, ...rules };
  server = await serve(`unix://${socket}`, {
    Node: new NodeService(keeper, await NodeState.open(state), options).methods(),
  });
  client = new CsiClient(socket);
}

before(() => {
  mkdirSync(join(embedded, `pvc-${digest}`, 'objects'), { recursive: true });
  writeFileSync(join(embedded, `pvc-${digest}`, 'meta.db'), '');
});
beforeEach(async () => {
  keeper = new FakeKeeper();
  told.length = 0;
  rmSync(state, { recursive: true, force: true });
  await restart();
});
after(async () => {
  client.close();
  await server?.close();
  rmSync(root, { recursive: true });
});

const staging = join(kubelet, 'plugins/staging');
const target = (name = 'pod-1'): string => join(kubelet, 'pods', name, 'mount');
const volumeCapability = writer();
const stage = (more: object = {}): Promise<string> =>
  client.code('Node', 'nodeStageVolume', {
    volumeId, volumeContext, volumeCapability, secrets, stagingTargetPath: staging, ...more,
  }); // biome-ignore format: one line of common arguments
const publish = (targetPath = target(), more: object = {}): Promise<string> =>
  client.code('Node', 'nodePublishVolume', {
    volumeId, volumeContext, volumeCapability, secrets, stagingTargetPath: staging, targetPath, ...more,
  }); // biome-ignore format: one line of common arguments
const unpublish = (targetPath = target()): Promise<string> =>
  client.code('Node', 'nodeUnpublishVolume', { volumeId, targetPath });

test('stage, publish twice, unpublish, unstage', async () => {
  assert.equal(await stage(), 'OK');
  assert.equal(keeper.lastMount?.directory, `/${digest}`);
  assert.equal(keeper.lastMount?.fileSystemUuid, uuid);
  assert.equal(keeper.lastMount?.connection.metaUrl, `sqlite3://${embedded}/pvc-${digest}/meta.db`);
  assert.equal(keeper.lastMount?.connection.encryptionRequired, true);
  assert.equal(await publish(), 'OK');
  keeper.calls.length = 0;
  assert.equal(await publish(), 'OK');
  assert.deepEqual(keeper.calls, []);
  assert.equal(await unpublish(), 'OK');
  assert.equal(await unpublish(), 'OK');
  assert.equal(await client.code('Node', 'nodeUnstageVolume', { volumeId, stagingTargetPath: staging }), 'OK');
  assert.equal(keeper.volumes.size, 0);
  assert.deepEqual(readdirSync(state), []);
});

test('volumes with a publish Secret only start at the first publish', async () => {
  assert.equal(await stage({ secrets: {} }), 'OK');
  assert.deepEqual(keeper.calls, []);
  assert.equal(await publish(target(), { secrets: {} }), 'INVALID_ARGUMENT');
  assert.equal(await publish(), 'OK');
  assert.equal(keeper.lastMount?.stagingPath, staging);
});

test('each new target must prove its Secret, also with a worker that runs', async () => {
  await stage();
  assert.equal(await publish(target(), { secrets: {} }), 'PERMISSION_DENIED');
  assert.equal(await publish(target(), { secrets: { ...secrets, passphrase: 'wrong' } }), 'UNAUTHENTICATED');
  keeper.uuidOf = () => '00000000-0000-8000-8000-000000000000';
  assert.equal(await publish(), 'PERMISSION_DENIED');
  assert(!keeper.calls.some((call) => call.startsWith('bind')));
});

test('a refusal says what to correct and that nothing else is to be done, and holds nothing of the Secret', async () => {
  const wrong = { volumeId, volumeContext, volumeCapability, stagingTargetPath: staging };
  const call = client.call('Node', 'nodeStageVolume', {
    ...wrong,
    secrets: { ...secrets, passphrase: 'canary-wrong' },
  });
  await assert.rejects(call, (error: Error) => {
    assert.match(error.message, /the passphrase does not open the key .*correct passphrase .*no other act/);
    assert.doesNotMatch(error.message, /canary/);
    return true;
  });
});

test('a republish of a mounted target is OK whatever it brings, and unmounts nothing', async () => {
  await stage();
  await publish();
  assert.equal(await publish(target(), { secrets: { ...secrets, passphrase: 'changed' } }), 'OK');
  assert.equal(await publish(target(), { secrets: {} }), 'OK');
  keeper.calls.length = 0;
  await restart();
  assert.equal(await publish(), 'OK');
  assert.deepEqual(keeper.calls, ['prove']);
  assert.equal(await publish(), 'OK');
  assert.deepEqual(keeper.calls, ['prove']);
});

test('the same target with other arguments is ALREADY_EXISTS, also after a restart', async () => {
  await stage();
  await publish();
  assert.equal(await publish(target(), { readonly: true }), 'ALREADY_EXISTS');
  await restart();
  assert.equal(await publish(target(), { volumeCapability: writer('SINGLE_NODE_READER_ONLY') }), 'ALREADY_EXISTS');
  assert.equal(await stage({ volumeCapability: writer('SINGLE_NODE_READER_ONLY') }), 'ALREADY_EXISTS');
  assert.equal(await stage({ stagingTargetPath: `${staging}-2` }), 'FAILED_PRECONDITION');
});

test('a single writer has one target, others may have several', async () => {
  const single = { volumeCapability: writer('SINGLE_NODE_SINGLE_WRITER') };
  await stage(single);
  assert.equal(await publish(target('a'), single), 'OK');
  await restart();
  assert.equal(await publish(target('b'), single), 'FAILED_PRECONDITION');
  assert.equal(await unpublish(target('a')), 'OK');
  assert.equal(await publish(target('b'), single), 'OK');
});

test('a static handle means one file system as long as it is staged', async () => {
  const place = join(embedded, `pvc-${digest}`);
  const named = { ...secrets, metaurl: `sqlite3://${place}/meta.db`, bucket: `${place}/objects/` };
  const request = { volumeId: 'my-handle', volumeContext: {}, secrets: named };
  assert.equal(await stage(request), 'OK');
  assert.equal(keeper.lastMount?.directory, '/');
  await restart();
  keeper.uuidOf = () => '00000000-0000-8000-8000-000000000000';
  assert.equal(await stage(request), 'PERMISSION_DENIED');
  assert.equal(await publish(target(), request), 'PERMISSION_DENIED');
});

test("paths outside the kubelet directory, links between nodes' files, block volumes: INVALID_ARGUMENT", async () => {
  for (const path of [
    '/etc',
    `${kubelet}/../x`,
    kubelet,
    `${kubelet}/a/../b`,
    'pods/x',
    `${kubelet}//x`,
    `${kubelet}/x/`,
  ]) {
    assert.equal(await publish(path), 'INVALID_ARGUMENT', path);
    assert.equal(await stage({ stagingTargetPath: path }), 'INVALID_ARGUMENT', path);
    assert.equal(await unpublish(path), 'INVALID_ARGUMENT', path);
  }
  assert.equal(await stage({ secrets: { ...secrets, metaurl: 'sqlite3:///etc/x.db' } }), 'INVALID_ARGUMENT');
  assert.equal(await stage({ secrets: { ...secrets, bucket: '/var/lib/kubelet/' } }), 'INVALID_ARGUMENT');
  assert.equal(await stage({ volumeCapability: writer('SINGLE_NODE_WRITER', ['suid']) }), 'INVALID_ARGUMENT');
  const block = { block: {}, accessMode: { mode: 'SINGLE_NODE_WRITER' } };
  assert.equal(await stage({ volumeCapability: block }), 'INVALID_ARGUMENT');
  assert.equal(await stage({ volumeContext: { ...volumeContext, fs: `pvc-${'0b'.repeat(16)}` } }), 'INVALID_ARGUMENT');
  assert.deepEqual(keeper.calls, []);
});

test('read-only requests and modes bind read-only', async () => {
  await stage();
  await publish(target('a'), { readonly: true });
  assert.equal(keeper.calls.at(-1), 'bind ro');
});

test('what a killed predecessor had half written goes at the start', async () => {
  await stage();
  const [name = ''] = readdirSync(state);
  writeFileSync(join(state, `${name}.half.tmp`), '{');
  await restart();
  assert.deepEqual(readdirSync(state), [name]);
});

test('nothing of a Secret is on disk', async () => {
  await stage();
  await publish();
  const files = readdirSync(state).map((name) => readFileSync(join(state, name), 'utf8'));
  assert(files.length > 0 && !files.some((text) => text.includes('canary')));
});

test('NodeGetInfo names the node and, in embedded mode, its topology', async () => {
  const info = await client.call('Node', 'nodeGetInfo');
  assert.equal(info.nodeId, 'node-1');
  assert.deepEqual(info.accessibleTopology, { segments: { 'pageseal.dev/host': 'node-1' } });
});

test('a target whose serving ended is published anew', async () => {
  await stage();
  await publish();
  keeper.volumes.set(volumeId, { ...(keeper.volumes.get(volumeId) as KeeperVolume), targets: [] });
  keeper.calls.length = 0;
  assert.equal(await publish(), 'OK');
  assert.deepEqual(keeper.calls, ['mount', 'bind rw']);
});

test('usage of a volume that is not served is an error, never zeros; its health says what is wrong', async () => {
  await stage();
  await publish();
  keeper.volumes.clear(); // as a keeper that was killed and started again
  const path = { volumeId, volumePath: target() };
  assert.equal(await client.code('Node', 'nodeGetVolumeStats', path), 'UNAVAILABLE');
  const health = { volumeId, volumePublishPath: target() };
  const { volumeHealth } = (await client.call('Node', 'nodeGetVolumeHealth', health)) as {
    volumeHealth: { healthStatuses: { status: string; message: string }[] };
  };
  assert.equal(volumeHealth.healthStatuses[0]?.message, 'its worker is lost');
});

test('a single writer has one target, also when the state was lost', async () => {
  const one = { volumeCapability: writer('SINGLE_NODE_SINGLE_WRITER') };
  assert.equal(await publish(target('one'), one), 'OK');
  for (const name of readdirSync(state)) writeFileSync(join(state, name), '{"volumeId":');
  assert.equal(await publish(target('two'), one), 'FAILED_PRECONDITION');
});

test('usage of what is not mounted is NOT_FOUND', async () => {
  assert.equal(await client.code('Node', 'nodeGetVolumeStats', { volumeId, volumePath: 'some/path' }), 'NOT_FOUND');
  assert.equal(await client.code('Node', 'nodeGetVolumeHealth', { volumeId }), 'NOT_FOUND');
});

const podContext = {
  'csi.storage.k8s.io/pod.name': 'web-0',
  'csi.storage.k8s.io/pod.namespace': 'apps',
  'csi.storage.k8s.io/pod.uid': '1234',
};
const pod = { kind: 'Pod', namespace: 'apps', name: 'web-0', uid: '1234' };

test('settings of a static volume without a meaning are told once, on the pod; of a provisioned one never here', async () => {
  const flags = {
    volumeCapability: { ...writer(), mount: { fsType: '', mountFlags: ['cache-size=1', 'cache-dir=/x'] } },
  };
  const context = { ...volumeContext, ...podContext };
  await stage(flags);
  assert.equal(await publish(target(), { ...flags, volumeContext: context }), 'OK');
  assert.deepEqual(told, []);
  const connection = {
    metaurl: `sqlite3://${embedded}/pvc-${digest}/meta.db`,
    bucket: `${embedded}/pvc-${digest}/objects/`,
  };
  const fixed = {
    ...flags,
    volumeId: 'static',
    secrets: { ...secrets, ...connection },
    stagingTargetPath: `${staging}-static`,
    volumeContext: { ...podContext, 'juicefs/mount-image': 'x' },
  };
  assert.equal(await stage(fixed), 'OK');
  for (const name of ['a', 'b']) assert.equal(await publish(target(name), fixed), 'OK');
  assert.deepEqual(
    told.map(({ about, reason }) => ({ about, reason })),
    [{ about: pod, reason: 'IgnoredSettings' }],
  );
  assert.match(
    told.map(({ message }) => message).join(),
    /attributes juicefs\/mount-image; mount options cache-size, cache-dir/,
  );
});

test('a mount that is lost is told once, on the pod that has it, when it was seen twice', async () => {
  await stage();
  await publish(target(), { volumeContext: { ...volumeContext, ...podContext } });
  const notices = { tell: (notice: Notice) => void told.push(notice), flush: async () => undefined };
  const mounts = new LostMounts(keeper, await NodeState.open(state), notices);
  await mounts.check();
  await mounts.check();
  assert.deepEqual(told, [], 'it is served');
  keeper.volumes.clear();
  await mounts.check();
  assert.deepEqual(told, [], 'a keeper may be taking over');
  await mounts.check();
  await mounts.check();
  assert.deepEqual(
    told.map(({ about, reason, type }) => ({ about, reason, type })),
    [{ about: pod, reason: 'VolumeMountLost', type: 'Warning' }],
  );
});
