// The controller over its socket, on a real database and folder in a temporary embedded directory. No node, no mounts.

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setLogLevel } from '../../src/base/log.ts';
import { parseEndpoints } from '../../src/config/endpoints.ts';
import { FILE_SYSTEM_PLACEHOLDER } from '../../src/config/secret-names.ts';
import { type RunningCsi, startCsi } from '../../src/csi/run.ts';
import { change, write } from '../../src/filesystem/sql/op.ts';
import { openEngine } from '../../src/filesystem/sql/open-engine.ts';
import { markDeleting } from '../../src/filesystem/volumes.ts';
import { CsiClient, writer } from '../harness/csi-client.ts';

setLogLevel('error');
const root = mkdtempSync(join(tmpdir(), 'pageseal-controller-'));
const embedded = join(root, 'embedded');
const rules = { embedded, endpoints: parseEndpoints(''), ambientCredentials: false, kube: undefined };
const socket = join(root, 'csi.sock');
const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const secrets = { 'rsa-public-key': publicKey.export({ type: 'spki', format: 'pem' }).toString() };
const GiB = 2n ** 30n;
const capacityRange = (bytes: bigint): object => ({ requiredBytes: bytes.toString() });
const create = (name: string, more: object = {}): object => ({
  name,
  secrets,
  volumeCapabilities: [writer()],
  ...more,
});

let running: RunningCsi;
let client: CsiClient;
before(async () => {
  mkdirSync(embedded);
  running = await startCsi({
    mode: 'controller',
    endpoint: `unix://${socket}`,
    nodeId: 'node-1',
    keeperSocket: '',
    kubeletDirectory: '/var/lib/kubelet',
    stateDirectory: undefined,
    ...rules,
  });
  client = new CsiClient(socket);
});
after(async () => {
  client.close();
  await running.close();
  rmSync(root, { recursive: true });
});

test("the socket is its owner's only", () => {
  assert.equal(statSync(socket).mode & 0o777, 0o600);
});

test('a second server does not take a socket that is served', async () => {
  const options = { nodeId: 'n', keeperSocket: '', kubeletDirectory: '/k', stateDirectory: undefined, ...rules };
  await assert.rejects(startCsi({ mode: 'controller', endpoint: `unix://${socket}`, ...options }), { code: 'busy' });
});

test('create, repeat, expand, validate, delete', async () => {
  const request = create('pvc-life', { capacityRange: capacityRange(GiB) });
  const { volume } = await client.call('Controller', 'createVolume', request);
  assert.match(volume.volumeId, /^[0-9a-f-]{36}\/[0-9a-f]{32}$/);
  assert.equal(volume.capacityBytes, GiB.toString());
  assert.deepEqual(Object.keys(volume.volumeContext).sort(), ['directory', 'encryption', 'fs', 'uuid']);
  assert.deepEqual(volume.accessibleTopology, [{ segments: { 'pageseal.dev/host': 'node-1' } }]);
  assert.deepEqual((await client.call('Controller', 'createVolume', request)).volume, volume);

  const { volumeId } = volume;
  const expand = { volumeId, secrets, capacityRange: capacityRange(3n * GiB) };
  const expanded = await client.call('Controller', 'controllerExpandVolume', expand);
  assert.deepEqual(expanded, { capacityBytes: (3n * GiB).toString(), nodeExpansionRequired: false });
  const shrink = await client.call('Controller', 'controllerExpandVolume', {
    ...expand,
    capacityRange: capacityRange(GiB),
  });
  assert.equal(shrink.capacityBytes, (3n * GiB).toString());

  const validate = { volumeId, secrets, volumeCapabilities: [writer()] };
  assert((await client.call('Controller', 'validateVolumeCapabilities', validate)).confirmed);
  const many = { ...validate, volumeCapabilities: [writer('MULTI_NODE_MULTI_WRITER')] };
  assert.equal((await client.call('Controller', 'validateVolumeCapabilities', many)).confirmed, null);

  assert.equal(await client.code('Controller', 'deleteVolume', { volumeId }), 'FAILED_PRECONDITION');
  assert.equal(readdirSync(embedded).length, 1);
  assert.equal(await client.code('Controller', 'deleteVolume', { volumeId, secrets }), 'OK');
  assert.deepEqual(readdirSync(embedded), []);
  assert.equal(await client.code('Controller', 'deleteVolume', { volumeId, secrets }), 'OK');
  assert.equal(await client.code('Controller', 'validateVolumeCapabilities', validate), 'NOT_FOUND');
});

test('a limit alone is the size', async () => {
  const request = create('pvc-limit', { capacityRange: { limitBytes: GiB.toString() } });
  const { volume } = await client.call('Controller', 'createVolume', request);
  assert.equal(volume.capacityBytes, GiB.toString());
  assert.deepEqual((await client.call('Controller', 'createVolume', request)).volume, volume);
  const { volumeId } = volume;
  assert.equal(await client.code('Controller', 'deleteVolume', { volumeId, secrets }), 'OK');
});

test('what could not be deleted again is not made: each call needs a Secret', async () => {
  assert.equal(
    await client.code('Controller', 'createVolume', create('pvc-none', { secrets: {} })),
    'INVALID_ARGUMENT',
  );
  assert.deepEqual(readdirSync(embedded), []);
});

test('the embedded directory stays when its last volume goes', async () => {
  const own = {
    ...secrets,
    metaurl: `sqlite3://${embedded}/${FILE_SYSTEM_PLACEHOLDER}.db`,
    name: FILE_SYSTEM_PLACEHOLDER,
    bucket: `${embedded}/objects/`,
  };
  const { volume } = await client.call('Controller', 'createVolume', create('pvc-root', { secrets: own }));
  const { volumeId } = volume;
  for (let i = 0; i < 2; i++)
    assert.equal(await client.code('Controller', 'deleteVolume', { volumeId, secrets: own }), 'OK');
  assert.deepEqual(readdirSync(embedded), []);
});

test('a creation that was cut short at any point is finished by the next call', async () => {
  const request = create('pvc-partial', { capacityRange: capacityRange(GiB) });
  const { volume } = await client.call('Controller', 'createVolume', request);
  const folder = join(embedded, volume.volumeContext.fs);
  const again = async (point: string): Promise<void> =>
    assert.deepEqual((await client.call('Controller', 'createVolume', request)).volume, volume, point);
  const engine = await openEngine(`sqlite3://${folder}/meta.db`);
  await engine.run(function* () {
    yield* write(
      change('DELETE FROM pageseal_volume'),
      change('DELETE FROM jfs_edge'),
      change('DELETE FROM jfs_dir_quota'),
    );
  });
  const object = join(folder, 'objects', volume.volumeContext.fs, 'juicefs_uuid');
  rmSync(object);
  await again('record without its object or a row');
  assert(existsSync(object));
  await engine.run(function* () {
    yield* write(
      change('DELETE FROM jfs_setting'),
      change('DELETE FROM jfs_dir_stats'),
      change('DELETE FROM jfs_counter'),
      change('DELETE FROM pageseal_setting'),
      change('DELETE FROM jfs_node'),
      change('DELETE FROM jfs_edge'),
      change('DELETE FROM pageseal_volume'),
    );
  });
  await engine.close();
  rmSync(join(folder, 'objects', volume.volumeContext.fs), { recursive: true });
  await again('tables without a record');
  rmSync(join(folder, 'objects', volume.volumeContext.fs), { recursive: true });
  for (const suffix of ['', '-wal', '-shm']) rmSync(join(folder, `meta.db${suffix}`), { force: true });
  await again('folders without a database');
  assert.equal(await client.code('Controller', 'deleteVolume', { volumeId: volume.volumeId, secrets }), 'OK');
});

test('the same name with other parameters or another capacity is ALREADY_EXISTS', async () => {
  const request = create('pvc-same', { capacityRange: capacityRange(GiB), parameters: { compression: 'zstd' } });
  const { volume } = await client.call('Controller', 'createVolume', request);
  const other = (more: object): Promise<string> => client.code('Controller', 'createVolume', { ...request, ...more });
  assert.equal(await other({ capacityRange: capacityRange(2n * GiB) }), 'ALREADY_EXISTS');
  assert.equal(await other({ parameters: { compression: 'lz4' } }), 'ALREADY_EXISTS');
  assert.equal(await other({}), 'OK');
  assert.equal(await client.code('Controller', 'deleteVolume', { volumeId: volume.volumeId, secrets }), 'OK');
});

test('what a volume cannot be is INVALID_ARGUMENT, and nothing is made', async () => {
  const code = (more: object): Promise<string> => client.code('Controller', 'createVolume', create('pvc-bad', more));
  assert.equal(await code({ volumeCapabilities: [] }), 'INVALID_ARGUMENT');
  assert.equal(await code({ volumeCapabilities: [writer('MULTI_NODE_MULTI_WRITER')] }), 'INVALID_ARGUMENT');
  assert.equal(
    await code({ volumeCapabilities: [{ block: {}, accessMode: { mode: 'SINGLE_NODE_WRITER' } }] }),
    'INVALID_ARGUMENT',
  );
  assert.equal(await code({ parameters: { unknown: '1' } }), 'INVALID_ARGUMENT');
  assert.equal(await code({ parameters: { encryption: 'none' } }), 'INVALID_ARGUMENT');
  assert.equal(await code({ secrets: { ...secrets, metaurl: 'sqlite3:///etc/passwd' } }), 'INVALID_ARGUMENT');
  assert.equal(
    await code({ secrets: { ...secrets, metaurl: `sqlite3://${embedded}/../x/${FILE_SYSTEM_PLACEHOLDER}.db` } }),
    'INVALID_ARGUMENT',
  );
  assert.equal(await code({ volumeContentSource: { snapshot: { snapshotId: 'x' } } }), 'INVALID_ARGUMENT');
  assert.equal(await client.code('Controller', 'createVolume', create('')), 'INVALID_ARGUMENT');
  assert.deepEqual(readdirSync(embedded), []);
});

test('a call for a volume that is being worked on is ABORTED', async () => {
  const request = create('pvc-busy');
  const codes = await Promise.all([1, 2, 3].map(() => client.code('Controller', 'createVolume', request)));
  assert.deepEqual(codes.toSorted(), ['ABORTED', 'ABORTED', 'OK']);
  const { volume } = await client.call('Controller', 'createVolume', request);
  assert.equal(await client.code('Controller', 'deleteVolume', { volumeId: volume.volumeId, secrets }), 'OK');
});

test('a deletion that was cut short at any point is finished by the next call', async () => {
  for (const point of ['marked', 'objects', 'database', 'wal'] as const) {
    const { volume } = await client.call('Controller', 'createVolume', create(`pvc-${point}`));
    const folder = join(embedded, volume.volumeContext.fs);
    mkdirSync(join(folder, 'objects', volume.volumeContext.fs, 'chunks/0/0'), { recursive: true });
    const object = join(folder, 'objects', volume.volumeContext.fs, 'chunks/0/0/1_0_4');
    writeFileSync(object, 'page');
    const engine = await openEngine(`sqlite3://${folder}/meta.db`);
    await markDeleting(engine, volume.volumeId);
    await engine.close();
    if (point !== 'marked') rmSync(join(folder, 'objects', volume.volumeContext.fs), { recursive: true });
    if (point === 'database') rmSync(join(folder, 'meta.db'));
    if (point === 'wal') writeFileSync(join(folder, 'meta.db-wal'), 'x');
    if (point === 'marked')
      assert.equal(await client.code('Controller', 'createVolume', create('pvc-marked')), 'ABORTED');
    assert.equal(await client.code('Controller', 'deleteVolume', { volumeId: volume.volumeId, secrets }), 'OK', point);
    assert(!existsSync(folder), point);
  }
});

test('objects without metadata are never taken for a removed volume', async () => {
  const { volume } = await client.call('Controller', 'createVolume', create('pvc-lost'));
  const folder = join(embedded, volume.volumeContext.fs);
  rmSync(join(folder, 'meta.db'));
  assert.equal(
    await client.code('Controller', 'deleteVolume', { volumeId: volume.volumeId, secrets }),
    'FAILED_PRECONDITION',
  );
  rmSync(folder, { recursive: true });
});

test('a mounted volume is not deleted, a Secret of another one leads nowhere', async () => {
  const { volume } = await client.call('Controller', 'createVolume', create('pvc-mounted'));
  const { volumeId, volumeContext } = volume;
  const url = `sqlite3://${embedded}/${volumeContext.fs}/meta.db`;
  const engine = await openEngine(url);
  const expires = BigInt(Math.floor(Date.now() / 1000) + 60);
  await engine.run(function* () {
    yield* write(
      change('INSERT INTO jfs_session2 (sid, expire, info) VALUES (?, ?, ?)', 1n, expires, Buffer.from('{}')),
    );
  });
  assert.equal(await client.code('Controller', 'deleteVolume', { volumeId, secrets }), 'FAILED_PRECONDITION');
  await engine.run(function* () {
    yield* write(change('DELETE FROM jfs_session2'));
  });
  await engine.close();
  const place = { name: 'other', metaurl: url, bucket: `${embedded}/${volumeContext.fs}/objects/` };
  const foreign = { volumeId: `${'0'.repeat(8)}-0000-8000-8000-${'0'.repeat(12)}/${'0'.repeat(32)}`, secrets: place };
  assert.equal(await client.code('Controller', 'deleteVolume', foreign), 'FAILED_PRECONDITION');
  assert.equal(await client.code('Controller', 'deleteVolume', { volumeId, secrets }), 'OK');
});

test('volumes of a shared file system are directories with quotas; the file system outlives them', async () => {
  mkdirSync(join(embedded, 'shared'));
  const shared = {
    name: 'shared',
    metaurl: `sqlite3://${embedded}/shared/m.db`,
    bucket: `${embedded}/shared/o`,
    ...secrets,
  };
  const make = (
    name: string,
    more: object = {},
  ): Promise<{ volume: { volumeId: string; volumeContext: Record<string, string> } }> =>
    client.call(
      'Controller',
      'createVolume',
      create(name, { secrets: shared, capacityRange: capacityRange(GiB), ...more }),
    );
  const pattern = { pathPattern: '$' + '{pvc.namespace}/data', 'csi.storage.k8s.io/pvc/namespace': 'team' };
  const first = (await make('pvc-a')).volume;
  const second = (await make('pvc-b', { parameters: pattern })).volume;
  assert.equal(first.volumeContext['uuid'], second.volumeContext['uuid']);
  assert.equal(second.volumeContext['directory'], '/team/data');
  assert.equal(first.volumeContext['fs'], undefined);
  const collision = create('pvc-c', { secrets: shared, parameters: pattern });
  assert.equal(await client.code('Controller', 'createVolume', collision), 'ALREADY_EXISTS');
  for (const { volumeId } of [first, second, second])
    assert.equal(await client.code('Controller', 'deleteVolume', { volumeId, secrets: shared }), 'OK');
  assert(existsSync(join(embedded, 'shared/m.db')));
  rmSync(join(embedded, 'shared'), { recursive: true });
});

test('identity: name, version, capabilities, a probe that asks nobody', async () => {
  assert.equal((await client.call('Identity', 'getPluginInfo')).name, 'csi.pageseal.dev');
  const { capabilities } = await client.call('Identity', 'getPluginCapabilities');
  const types = capabilities.map((each: { service?: { type: string } }) => each.service?.type);
  assert(types.includes('CONTROLLER_SERVICE') && types.includes('VOLUME_ACCESSIBILITY_CONSTRAINTS'));
  assert.equal((await client.call('Identity', 'probe')).ready.value, true);
  assert.equal(await client.code('Controller', 'listVolumes'), 'UNIMPLEMENTED');
});
