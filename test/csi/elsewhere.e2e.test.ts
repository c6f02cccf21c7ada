// Volumes of pods on a database and a store elsewhere, through the real servers: a Secret brings everything, each volume its
// own schema, and what the driver does not allow is refused before anything is connected to.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { FILE_SYSTEM_PLACEHOLDER } from '../../src/config/secret-names.ts';
import { BUCKET, CsiCluster, DATABASE, type SecretData } from '../harness/csi-cluster.ts';
import { type CsiNode, processes } from '../harness/csi-node.ts';
import type { PostgresServer } from '../harness/postgres.ts';
import type { S3Server } from '../harness/s3.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';

const wanted = needs('root', 'fuse', 'openssl', 'the addon', 'postgres', 'versitygw', 'network namespaces');

describe('CSI on PostgreSQL and S3', wanted, () => {
  const temp = makeTemp();
  let cluster: CsiCluster;
  let postgres: PostgresServer;
  let s3: S3Server;
  let csi: CsiNode;
  let provisioner: SecretData;
  let node: SecretData;

  before(async () => {
    cluster = await CsiCluster.make(temp, 1);
    ({ postgres, s3, first: csi, provisioner, node } = cluster);
  });

  test('each volume has a schema and objects of its own, from its creation to its end', async () => {
    const [one, two] = [await csi.create('pvc-one', provisioner), await csi.create('pvc-two', provisioner)];
    assert.deepEqual(await csi.create('pvc-one', provisioner), one);
    assert.equal((await cluster.schemas()).length, 2);
    for (const [volume, pod] of [
      [one, 'a'],
      [two, 'b'],
    ] as const) {
      await csi.stage(volume, node);
      writeFileSync(`${await csi.publish(volume, pod, node)}/file`, `of ${pod}`);
    }
    assert.equal(readFileSync(`${csi.target('a')}/file`, 'utf8'), 'of a');
    assert.equal(readdirSync(`${s3.folder}/${BUCKET}`).filter((name) => name.startsWith('pvc-')).length, 2);
    for (const [volume, pod] of [
      [one, 'a'],
      [two, 'b'],
    ] as const) {
      await csi.unpublish(volume, pod);
      await csi.unstage(volume);
      await csi.delete(volume, provisioner);
      await csi.delete(volume, provisioner);
    }
    assert.deepEqual(await cluster.schemas(), []);
    assert.deepEqual(
      readdirSync(`${s3.folder}/${BUCKET}`).filter((name) => name.startsWith('pvc-')),
      [],
    );
  });

  test('one schema that volumes share stays, with each a directory', async () => {
    await postgres.sql('CREATE SCHEMA shared AUTHORIZATION cluster', DATABASE);
    const change = (secret: SecretData): SecretData => ({
      ...secret,
      name: 'shared',
      metaurl: secret['metaurl']?.replace(FILE_SYSTEM_PLACEHOLDER, 'shared') ?? '',
    });
    const [one, two] = [
      await csi.create('pvc-s1', change(provisioner)),
      await csi.create('pvc-s2', change(provisioner)),
    ];
    await csi.stage(one, change(node));
    writeFileSync(`${await csi.publish(one, 's', change(node))}/file`, 'shared');
    await csi.unpublish(one, 's');
    await csi.unstage(one);
    await csi.delete(one, change(provisioner));
    assert.equal(await postgres.sql('SELECT COUNT(*) FROM shared.pageseal_volume', DATABASE), '1');
    await csi.delete(two, change(provisioner));
    assert(existsSync(`${s3.folder}/${BUCKET}/shared/juicefs_uuid`));
  });

  test('what the driver does not allow is refused, whoever asks, and nothing secret is said', async () => {
    const { address, port } = postgres;
    const database = `${address}:${port}`;
    const bad: SecretData[] = [
      { metaurl: `postgres://cluster@localhost:${postgres.port}/cluster?search_path=${FILE_SYSTEM_PLACEHOLDER}` },
      { metaurl: `postgres://cluster@${address}:${s3.port}1/cluster?search_path=${FILE_SYSTEM_PLACEHOLDER}` },
      { metaurl: `postgres://cluster@${database}/cluster?search_path=${FILE_SYSTEM_PLACEHOLDER}&sslmode=disable` },
      { metaurl: `postgres://cluster@${database}/cluster?search_path=${FILE_SYSTEM_PLACEHOLDER}&sslrootcert=/etc/passwd` },
      { metaurl: `postgres://cluster@/cluster?search_path=${FILE_SYSTEM_PLACEHOLDER}&host=${postgres.socketFolder}` },
      { bucket: `http://${address}:${s3.port}/volumes` }, { bucket: `https://${address}:${postgres.port}1/volumes` },
      { bucket: `https://${address}:${s3.port}@169.254.169.254/volumes` }, { 'access-key': '', 'secret-key': '' },
    ]; // biome-ignore format: a list
    for (const changed of bad) {
      const what = JSON.stringify(changed);
      await assert.rejects(
        csi.create('pvc-bad', { ...provisioner, ...changed }),
        /INVALID_ARGUMENT|PERMISSION_DENIED/,
        what,
      );
      const volume = { volumeId: 'static', volumeContext: {} };
      await assert.rejects(csi.stage(volume, { ...node, ...changed }), /INVALID_ARGUMENT|PERMISSION_DENIED/, what);
    }
    for (const name of processes) {
      const log = readFileSync(csi.logFile(name), 'utf8');
      for (const secret of [s3.secretKey, cluster.password, 'PRIVATE KEY']) assert(!log.includes(secret), name);
    }
  });
});
