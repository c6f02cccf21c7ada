// Pods on two nodes with one volume on PostgreSQL and S3, through the real servers of each node: made by a controller,
// staged and published on both, written and read by both, grown, and not to be deleted while anybody has it.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { Authority } from '../harness/certificates.ts';
import { writer } from '../harness/csi-client.ts';
import { BUCKET, CsiCluster } from '../harness/csi-cluster.ts';
import type { CsiNode, PublishedVolume } from '../harness/csi-node.ts';
import { until } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';

const needed = needs('root', 'fuse', 'openssl', 'the addon', 'postgres', 'versitygw', 'network namespaces');
const MiB = 1 << 20;
/** libuv has no name for it. */
const EDQUOT = -122;
const shared = { volumeCapabilities: [writer('MULTI_NODE_MULTI_WRITER')] };
const capability = { volumeCapability: writer('MULTI_NODE_MULTI_WRITER') };

describe('pods on two nodes', needed, () => {
  const temp = makeTemp();
  let cluster: CsiCluster;

  before(async () => {
    cluster = await CsiCluster.make(temp, 2);
  });

  async function start(node: CsiNode, volume: PublishedVolume, pod: string): Promise<string> {
    await node.node.call('Node', 'nodeStageVolume', node.stageRequest(volume, cluster.node, capability));
    await node.node.call('Node', 'nodePublishVolume', node.publishRequest(volume, pod, cluster.node, capability));
    return node.target(pod);
  }

  async function end(node: CsiNode, volume: PublishedVolume, pod: string): Promise<void> {
    await node.unpublish(volume, pod);
    await node.unstage(volume);
  }

  async function write(path: string, bytes: number): Promise<void> {
    const file = await open(path, 'w');
    try {
      await file.write(Buffer.alloc(bytes, 1));
      await file.sync();
    } finally {
      await file.close();
    }
  }

  const deletion = (volume: PublishedVolume): Promise<string> =>
    cluster.first.controller.code('Controller', 'deleteVolume', {
      volumeId: volume.volumeId,
      secrets: cluster.provisioner,
    });

  test('the life of a volume that both use', async () => {
    const capacityRange = { requiredBytes: String(8 * MiB) };
    const volume = await cluster.first.create('pvc-both', cluster.provisioner, { capacityRange, ...shared });
    const paths: string[] = [];
    for (const [number, node] of cluster.nodes.entries()) paths.push(await start(node, volume, `pod-${number}`));
    const [here = '', there = ''] = paths;
    writeFileSync(join(here, 'file'), 'from here');
    await until('the other node to see it', () => readdirSync(there).includes('file'));
    assert.equal(readFileSync(join(there, 'file'), 'utf8'), 'from here');
    writeFileSync(join(there, 'answer'), 'from there');
    await until('the answer', () => readdirSync(here).includes('answer'));
    assert.equal(readFileSync(join(here, 'answer'), 'utf8'), 'from there');

    await assert.rejects(write(join(there, 'too-large'), 16 * MiB), { errno: EDQUOT });
    const { volumeId } = volume;
    const expand = { volumeId, secrets: cluster.provisioner, capacityRange: { requiredBytes: String(64 * MiB) } };
    await cluster.first.controller.call('Controller', 'controllerExpandVolume', expand);
    await until('both nodes to know the new limit', async () => {
      const grown = paths.map((path) =>
        write(join(path, 'larger'), 16 * MiB).then(
          () => true,
          () => false,
        ),
      );
      return (await Promise.all(grown)).every(Boolean);
    });

    assert.equal(await deletion(volume), 'FAILED_PRECONDITION');
    const [first, second] = cluster.nodes;
    assert.ok(first !== undefined && second !== undefined);
    await end(first, volume, 'pod-0');
    assert.equal(await deletion(volume), 'FAILED_PRECONDITION', 'the other node still has it');
    assert.equal(readFileSync(join(there, 'file'), 'utf8'), 'from here');
    await end(second, volume, 'pod-1');
    assert.equal(await deletion(volume), 'OK');
    assert.equal(await deletion(volume), 'OK');
    assert.deepEqual(await cluster.schemas(), []);
    assert.deepEqual(cluster.s3.objects(BUCKET), []);
    assert.deepEqual(temp.mounts(), []);
  });

  test('a pod that moves finds on the next node what it closed on the last', async () => {
    const volume = await cluster.first.create('pvc-moves', cluster.provisioner);
    const content = 'kept '.repeat(50_000);
    for (const [number, node] of cluster.nodes.entries()) {
      await node.stage(volume, cluster.node);
      const path = await node.publish(volume, `pod-${number}`, cluster.node);
      if (number > 0) assert.equal(readFileSync(join(path, `file-${number - 1}`), 'utf8'), content);
      writeFileSync(join(path, `file-${number}`), content);
      await end(node, volume, `pod-${number}`);
    }
    assert.equal(await deletion(volume), 'OK');
  });

  test('a node without the right Secret gets nothing', async () => {
    const volume = await cluster.first.create('pvc-secret', cluster.provisioner);
    const [, second] = cluster.nodes;
    assert.ok(second !== undefined);
    const stage = (changed: object): Promise<string> =>
      second.node.code('Node', 'nodeStageVolume', second.stageRequest(volume, { ...cluster.node, ...changed }));
    const envs = JSON.stringify({ META_PASSWORD: cluster.password, JFS_RSA_PASSPHRASE: 'a guess' });
    assert.equal(await stage({ envs }), 'UNAUTHENTICATED');
    assert.notEqual(await stage({ envs: cluster.node['envs']?.replace(cluster.password, 'another password') }), 'OK');
    assert.notEqual(await stage({ 'secret-key': 'another' }), 'OK');
    assert.equal(await stage({ 'ca-bundle': (await Authority.make(temp)).pem }), 'INVALID_ARGUMENT');
    assert.notEqual(await stage({ 'client-certificate': '', 'client-key': '' }), 'OK');
    assert.deepEqual(temp.mounts(), []);
    assert.equal(await deletion(volume), 'OK');
  });
});
