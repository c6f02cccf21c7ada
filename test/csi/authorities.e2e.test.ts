// Authorities of the administrator, through the real servers: a Secret that names none leads to database and store, for which
// no public authority vouches, wherever a process was given the file; one that names its own keeps to it at the database.
import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { workerPid } from '../crash/client.ts';
import { Authority } from '../harness/certificates.ts';
import { CsiCluster, type SecretData } from '../harness/csi-cluster.ts';
import type { CsiNode } from '../harness/csi-node.ts';
import { until } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';

const wanted = needs('root', 'fuse', 'openssl', 'the addon', 'postgres', 'versitygw', 'network namespaces');

describe('authorities of the administrator', wanted, () => {
  const temp = makeTemp();
  const file = temp.at('authorities.pem');
  let cluster: CsiCluster;
  let csi: CsiNode;
  let provisioner: SecretData;
  let node: SecretData;

  const withoutBundle = ({ 'ca-bundle': _, ...rest }: SecretData): SecretData => rest;

  before(async () => {
    cluster = await CsiCluster.make(temp, 1);
    csi = cluster.first;
    provisioner = withoutBundle(cluster.provisioner);
    node = withoutBundle(cluster.node);
  });

  async function restartWithFile(): Promise<void> {
    for (const name of ['controller', 'keeper'] as const) {
      await csi.stopOne(name);
      await csi.startOne(name, ['--ca-file', file]);
    }
  }

  test('without them such a Secret is refused, in either process', async () => {
    await assert.rejects(csi.create('pvc-none', provisioner), /sslmode=verify-full: .*certificate/);
    const volume = await csi.create('pvc-node', cluster.provisioner);
    await assert.rejects(csi.stage(volume, node), /sslmode=verify-full: .*certificate/);
    await csi.delete(volume, cluster.provisioner);
  });

  test('with them it leads to database and store, from its creation to its end', async () => {
    const foreign = await Authority.make(temp);
    writeFileSync(file, `${foreign.pem}\n${cluster.postgres.authority.pem}`);
    await restartWithFile();
    const volume = await csi.create('pvc-one', provisioner);
    await csi.stage(volume, node);
    const target = await csi.publish(volume, 'a', node);
    writeFileSync(`${target}/file`, 'by an authority of the administrator');
    assert.equal(readFileSync(`${target}/file`, 'utf8'), 'by an authority of the administrator');
    await csi.unpublish(volume, 'a');
    await csi.unstage(volume);
    await csi.delete(volume, provisioner);
    assert.deepEqual(await cluster.schemas(), []);
  });

  test('a Secret that names another authority than the one of its database is refused all the same', async () => {
    const foreign = await Authority.make(temp);
    const secret = { ...provisioner, 'ca-bundle': foreign.pem };
    await assert.rejects(csi.create('pvc-foreign', secret), /sslmode=verify-full: .*certificate/);
  });

  test('a file that is gone: no new mount without a word, and no mount that is there is lost', async () => {
    const kept = await csi.create('pvc-kept', cluster.provisioner);
    const other = await csi.create('pvc-other', provisioner);
    await csi.stage(kept, cluster.node);
    const target = await csi.publish(kept, 'kept', cluster.node);
    rmSync(file);
    const worker = workerPid(csi.pid('keeper')) ?? assert.fail('no worker');
    process.kill(worker, 'SIGKILL');
    writeFileSync(`${target}/file`, 'written behind a successor');
    await until('a successor', () => workerPid(csi.pid('keeper')) !== undefined);
    assert.match(readFileSync(csi.logFile('keeper'), 'utf8'), /goes on with the usual certificate authorities/);
    await assert.rejects(csi.stage(other, node), /--ca-file .*authorities\.pem: ENOENT/);
    await csi.unpublish(kept, 'kept');
    await csi.unstage(kept);
    for (const volume of [kept, other]) await csi.delete(volume, provisioner);
  });

  test('what holds no certificate is refused before anything is served', async () => {
    for (const [text, says] of [
      ['no certificate', /found none/],
      ['-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----', /certificate 1 of 1 cannot be read/],
    ] as const) {
      writeFileSync(file, text);
      await csi.stopOne('controller');
      await assert.rejects(csi.startOne('controller', ['--ca-file', file]), says);
    }
  });
});
