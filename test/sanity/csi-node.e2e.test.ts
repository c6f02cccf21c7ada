// Volumes through the real processes, as a kubelet meets them: wrong Secrets, busy volumes, quotas, paths that lead
// elsewhere, processes that die, deletions that are cut short. And nothing secret anywhere it should not be.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { writer } from '../harness/csi-client.ts';
import { CsiNode, processes } from '../harness/csi-node.ts';
import { makeKey, publicHalf } from '../harness/keys.ts';
import { until } from '../harness/program.ts';
import { Temp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';

const needed = needs('root', 'fuse', 'openssl', 'the addon');
const PASSPHRASE = 'canary-passphrase-e2e';
const WRONG = 'canary-guess';
const MiB = 1 << 20;

const temp = new Temp();
const csi = new CsiNode(temp);
let provisioner: Record<string, string>;
let secrets: Record<string, string>;
let otherKey: string;

before(async () => {
  if (needed.skip !== undefined) return;
  const key = await makeKey(temp, 2048, 'pkcs8', PASSPHRASE);
  provisioner = { 'rsa-public-key': readFileSync(await publicHalf(temp, key), 'utf8') };
  secrets = { 'rsa-key': readFileSync(key.file, 'utf8'), passphrase: PASSPHRASE };
  otherKey = readFileSync((await makeKey(temp, 2048, 'pkcs8', PASSPHRASE)).file, 'utf8');
  await csi.start();
});
after(async () => {
  await csi.stop();
  await temp.remove();
});

const nodeCode = (method: string, request: object): Promise<string> => csi.node.code('Node', method, request);
const errorCode = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'OK',
    // libuv has no name for EDQUOT.
    (error: NodeJS.ErrnoException) => (error.errno === -122 ? 'EDQUOT' : (error.code ?? String(error))),
  );

test(
  'wrong passphrase, wrong key, damaged key, no Secret: each its own code, and nothing mounted',
  needed,
  async () => {
    const volume = await csi.create('pvc-keys', provisioner);
    const stage = (changed: object): Promise<string> =>
      nodeCode('nodeStageVolume', csi.stageRequest(volume, { ...secrets, ...changed }));
    assert.equal(await stage({ passphrase: WRONG }), 'UNAUTHENTICATED');
    assert.equal(await stage({ 'rsa-key': otherKey }), 'PERMISSION_DENIED');
    assert.equal(await stage({ 'rsa-key': 'canary, no key' }), 'INVALID_ARGUMENT');
    assert.equal(await stage({ 'rsa-key': '' }), 'INVALID_ARGUMENT');
    assert.equal(await stage({ metaurl: 'sqlite3:///etc/canary.db' }), 'INVALID_ARGUMENT');
    assert.equal(await nodeCode('nodePublishVolume', csi.publishRequest(volume, 'keys', {})), 'INVALID_ARGUMENT');
    assert.deepEqual(temp.mounts(), []);
    await csi.delete(volume, provisioner);
  },
);

test('a running volume is given only to pods whose Secret opens it', needed, async () => {
  const volume = await csi.create('pvc-proof', provisioner);
  await csi.stage(volume, secrets);
  const publish = (changed: object): Promise<string> =>
    nodeCode('nodePublishVolume', csi.publishRequest(volume, 'thief', { ...secrets, ...changed }));
  assert.equal(await publish({ passphrase: WRONG }), 'UNAUTHENTICATED');
  assert.equal(await publish({ 'rsa-key': otherKey }), 'PERMISSION_DENIED');
  assert(!existsSync(csi.target('thief')));
  const path = await csi.publish(volume, 'owner', secrets);
  writeFileSync(join(path, 'file'), 'kept');
  // A republish that brings nonsense leaves the pod alone.
  assert.equal(
    await nodeCode('nodePublishVolume', csi.publishRequest(volume, 'owner', { ...secrets, passphrase: WRONG })),
    'OK',
  );
  assert.equal(readFileSync(join(path, 'file'), 'utf8'), 'kept');
  await csi.unpublish(volume, 'owner');
  assert(!existsSync(path));
  await csi.unstage(volume);
  await csi.delete(volume, provisioner);
});

test('a volume without the public half is claimed by the first node that brings a key', needed, async () => {
  const unclaimed = await csi.create('pvc-unclaimed', { storage: 'file' });
  await csi.stage(unclaimed, secrets);
  await csi.unstage(unclaimed);
  const wrong = csi.stageRequest(unclaimed, { ...secrets, 'rsa-key': otherKey });
  assert.equal(await nodeCode('nodeStageVolume', wrong), 'PERMISSION_DENIED');
  await csi.delete(unclaimed, { name: `pvc-${unclaimed.volumeId.slice(-32)}` });
});

test('a key in the metadata: the node brings the passphrase only, as with the original driver', needed, async () => {
  const inMetadata = { encrypt_rsa_key: secrets['rsa-key'] ?? '', envs: `{"JFS_RSA_PASSPHRASE":"${PASSPHRASE}"}` };
  const volume = await csi.create('pvc-in-metadata', inMetadata);
  await csi.stage(volume, { envs: inMetadata.envs });
  const path = await csi.publish(volume, 'pod', inMetadata);
  writeFileSync(join(path, 'file'), 'x');
  await csi.unpublish(volume, 'pod');
  await csi.unstage(volume);
  const wrong = { envs: `{"JFS_RSA_PASSPHRASE":"${WRONG}"}` };
  assert.equal(await nodeCode('nodeStageVolume', csi.stageRequest(volume, wrong)), 'UNAUTHENTICATED');
  await csi.delete(volume, inMetadata);
});

test('encryption is decided by the class: neither side is talked out of it', needed, async () => {
  const volume = await csi.create('pvc-clear', { storage: 'file' }, { parameters: { encryption: 'none' } });
  const unencrypted = { name: 'clear' };
  await csi.stage(volume, unencrypted);
  await csi.unstage(volume);
  const required = { volumeContext: { ...volume.volumeContext, encryption: 'required' } };
  for (const given of [unencrypted, secrets])
    assert.notEqual(await nodeCode('nodeStageVolume', csi.stageRequest(volume, given, required)), 'OK');
  assert.deepEqual(temp.mounts(), []);
  await csi.delete(volume, unencrypted);
});

test('two calls for one volume: one works, one is told to come again', needed, async () => {
  const volume = await csi.create('pvc-busy', provisioner);
  const request = csi.stageRequest(volume, secrets);
  const codes = await Promise.all([nodeCode('nodeStageVolume', request), nodeCode('nodeStageVolume', request)]);
  assert.deepEqual(codes.toSorted(), ['ABORTED', 'OK']);
  await csi.unstage(volume);
  await csi.delete(volume, provisioner);
});

test('capacity is a quota that writes run into and expansion lifts; read-only and usage', needed, async () => {
  const capacityRange = { requiredBytes: String(8 * MiB) };
  const volume = await csi.create('pvc-quota', provisioner, { capacityRange });
  await csi.stage(volume, secrets);
  const path = await csi.publish(volume, 'pod', secrets);
  const write = async (name: string, bytes: number): Promise<void> => {
    const file = await open(join(path, name), 'w');
    try {
      await file.write(Buffer.alloc(bytes, 1));
      await file.sync();
    } finally {
      await file.close();
    }
  };
  assert.equal(await errorCode(write('fits', MiB)), 'OK');
  assert.equal(await errorCode(write('too-large', 16 * MiB)), 'EDQUOT');
  assert.equal(
    await csi.controller.code('Controller', 'deleteVolume', { volumeId: volume.volumeId, secrets: provisioner }),
    'FAILED_PRECONDITION',
  );

  const { volumeId } = volume;
  const expand = { volumeId, secrets: provisioner, capacityRange: { requiredBytes: String(64 * MiB) } };
  await csi.controller.call('Controller', 'controllerExpandVolume', expand);
  const stats = await csi.node.call('Node', 'nodeGetVolumeStats', { volumeId, volumePath: path });
  assert.equal(stats.usage[0].unit, 'BYTES');
  assert(BigInt(stats.usage[0].used) >= BigInt(MiB));
  const health = await csi.node.call('Node', 'nodeGetVolumeHealth', { volumeId });
  assert.deepEqual(health.volumeHealth, { volumeId, healthStatuses: [] });

  const readOnly = csi.publishRequest(volume, 'reader', secrets, { readonly: true });
  assert.equal(await nodeCode('nodePublishVolume', readOnly), 'OK');
  assert.equal(await errorCode(writeFile(join(csi.target('reader'), 'x'), 'x')), 'EROFS');
  assert.equal((await readFile(join(csi.target('reader'), 'fits'))).length, MiB);
  assert.equal(await errorCode(write('too-large', 16 * MiB)), 'OK');
  for (const pod of ['reader', 'pod']) await csi.unpublish(volume, pod);
  await csi.unstage(volume);
  await csi.delete(volume, provisioner);
});

test('paths that leave the kubelet directory are refused, whoever planted the link', needed, async () => {
  const volume = await csi.create('pvc-escape', provisioner);
  await csi.stage(volume, secrets);
  const outside = temp.folder('outside');
  symlinkSync(outside, join(csi.kubelet, 'pods/evil'));
  for (const targetPath of [
    join(csi.kubelet, 'pods/evil/mount'),
    `${csi.kubelet}/../outside/mount`,
    '/mnt/pageseal-e2e',
    join(csi.kubelet, 'pods/evil'),
  ]) {
    // biome-ignore format: a list of paths
    const code = await nodeCode('nodePublishVolume', csi.publishRequest(volume, 'x', secrets, { targetPath }));
    assert.notEqual(code, 'OK', targetPath);
    assert.deepEqual(readdirSync(outside), []);
  }
  await csi.unstage(volume);
  await csi.delete(volume, provisioner);
});

test('the plugin may die at any time: mounts go on, its successor knows them', needed, async () => {
  const volume = await csi.create('pvc-plugin', provisioner);
  await csi.stage(volume, secrets);
  const path = await csi.publish(volume, 'pod', secrets);
  const file = await open(join(path, 'file'), 'w+');
  await csi.stopOne('node', 'SIGKILL');
  await file.write('during');
  await csi.startOne('node');
  await file.sync();
  await file.close();
  assert.equal(await nodeCode('nodePublishVolume', csi.publishRequest(volume, 'pod', secrets)), 'OK');
  const otherwise = csi.publishRequest(volume, 'pod', secrets, { readonly: true });
  assert.equal(await nodeCode('nodePublishVolume', otherwise), 'ALREADY_EXISTS');
  assert.equal(readFileSync(join(path, 'file'), 'utf8'), 'during');
  await csi.unpublish(volume, 'pod');
  await csi.unstage(volume);
  await csi.delete(volume, provisioner);
});

test('kill -9 of the controller during a deletion: the next call finishes it', needed, async () => {
  const volume = await csi.create('pvc-killed', provisioner);
  const folder = join(
    csi.embedded,
    volume.volumeContext['fs'] ?? '',
    'objects',
    volume.volumeContext['fs'] ?? '',
    'chunks',
  );
  for (let part = 0; part < 40; part++) {
    mkdirSync(join(folder, '0', String(part)), { recursive: true });
    for (let each = 0; each < 100; each++) writeFileSync(join(folder, '0', String(part), `${part}_${each}_1`), 'x');
  }
  const answer = csi.controller.code('Controller', 'deleteVolume', { volumeId: volume.volumeId, secrets: provisioner });
  while (existsSync(join(folder, '0/0/0_0_1'))) await new Promise((resolve) => setImmediate(resolve));
  await csi.stopOne('controller', 'SIGKILL');
  assert.notEqual(await answer, 'OK');
  assert(existsSync(folder), 'the deletion was over before the kill; make it larger');
  await csi.startOne('controller');
  const again = csi.controller.code('Controller', 'createVolume', {
    name: 'pvc-killed',
    secrets: provisioner,
    volumeCapabilities: [writer()],
  });
  assert.equal(await again, 'ABORTED');
  await csi.delete(volume, provisioner);
  assert.deepEqual(readdirSync(csi.embedded), []);
});

test('kill -9 of the keeper: the next publish mounts again', needed, async () => {
  const volume = await csi.create('pvc-keeper', provisioner);
  await csi.stage(volume, secrets);
  const path = await csi.publish(volume, 'pod-a', secrets);
  const other = await csi.publish(volume, 'pod-b', secrets);
  writeFileSync(join(path, 'file'), 'before');
  await csi.stopOne('keeper', 'SIGKILL');
  assert.throws(() => readFileSync(join(path, 'file')), /ENOTCONN|ECONNABORTED/);
  await csi.startOne('keeper');
  const usage = { volumeId: volume.volumeId, volumePath: path };
  assert.equal(await nodeCode('nodeGetVolumeStats', usage), 'UNAVAILABLE');
  for (const pod of ['pod-a', 'pod-b'])
    await until('the plugin has found the keeper', async () => {
      return (await nodeCode('nodePublishVolume', csi.publishRequest(volume, pod, secrets))) === 'OK';
    });
  for (const each of [path, other]) assert.equal(readFileSync(join(each, 'file'), 'utf8'), 'before');
  assert.equal(await nodeCode('nodeGetVolumeStats', usage), 'OK');
  await csi.stopOne('keeper', 'SIGKILL'); // and now nothing is published again
  await csi.startOne('keeper');
  await until('the plugin has found the keeper', async () => {
    const target = { volumeId: volume.volumeId, targetPath: path };
    return (await nodeCode('nodeUnpublishVolume', target)) === 'OK';
  });
  await csi.unpublish(volume, 'pod-b');
  await csi.unstage(volume);
  assert.deepEqual(temp.mounts(), []);
  // The worker that was killed could not end its session.
  const doomed = { volumeId: volume.volumeId, secrets: provisioner };
  assert.equal(await csi.controller.code('Controller', 'deleteVolume', doomed), 'FAILED_PRECONDITION');
});

test('no key and no passphrase in logs, command lines, environments or state', needed, async () => {
  const volume = await csi.create('pvc-canary', provisioner);
  await csi.stage(volume, secrets);
  const canaries = [PASSPHRASE, WRONG, ...lines(secrets['rsa-key'] ?? ''), ...lines(otherKey)];
  const expectNone = (where: string, text: string): void => {
    const found = canaries.filter((canary) => text.includes(canary));
    assert.deepEqual(found, [], where);
  };
  for (const name of processes) expectNone(name, readFileSync(csi.logFile(name), 'utf8'));
  for (const pid of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry)))
    for (const file of ['cmdline', 'environ']) expectNone(`${pid} ${file}`, readQuietly(`/proc/${pid}/${file}`));
  for (const folder of [join(csi.kubelet, 'plugins/csi.pageseal.dev/state'), temp.at('run'), csi.embedded])
    for (const path of readdirSync(folder, { recursive: true, encoding: 'utf8' }))
      if (!path.startsWith('mounts') && statSync(join(folder, path)).isFile())
        expectNone(path, readFileSync(join(folder, path), 'latin1'));
  await csi.unstage(volume);
  await csi.delete(volume, provisioner);
});

/** Lines of a PEM between its markers: each is a canary. */
const lines = (pem: string): string[] => pem.split('\n').filter((line) => line.length > 60);

function readQuietly(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return ''; // a process that has ended
  }
}
