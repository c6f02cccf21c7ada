// Volumes of pods on a database and a store elsewhere, through the real servers: a Secret brings everything, each volume its
// own schema, and what the driver does not allow is refused before anything is connected to.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { after, before, describe, test } from 'node:test';
import { FILE_SYSTEM_PLACEHOLDER } from '../../src/config/secret-names.ts';
import { Authority } from '../harness/certificates.ts';
import { CsiNode, processes } from '../harness/csi-node.ts';
import { makeKey, publicHalf } from '../harness/keys.ts';
import { PostgresServer } from '../harness/postgres.ts';
import { S3Server } from '../harness/s3.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';

const PASSPHRASE = 'of this test only';
/** Secrets never lead to loopback, so the servers listen where another machine could reach them. */
const address = Object.values(networkInterfaces())
  .flatMap((all) => all ?? [])
  .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;

const needed = needs('root', 'fuse', 'openssl', 'the addon', 'postgres', 'versitygw');
const wanted = address === undefined ? { skip: 'missing: a network address beside loopback' } : needed;

describe('CSI on PostgreSQL and S3', wanted, () => {
  const temp = makeTemp();
  let postgres: PostgresServer;
  let s3: S3Server;
  let csi: CsiNode;
  let provisioner: Record<string, string>;
  let node: Record<string, string>;

  before(async () => {
    const authority = await Authority.make(temp);
    const at = { authority, address: address ?? '' };
    [postgres, s3] = await Promise.all([
      PostgresServer.start(temp, { ...at, clientCertificates: true }),
      S3Server.start(temp, at),
    ]);
    await postgres.createDatabase('cluster');
    const key = await makeKey(temp, 2048, 'pkcs8', PASSPHRASE);
    const client = await authority.client('cluster');
    const url = new URL(postgres.url('cluster'));
    const connection = {
      name: FILE_SYSTEM_PLACEHOLDER,
      metaurl: `postgres://cluster@${url.host}/cluster?search_path=${FILE_SYSTEM_PLACEHOLDER}`,
      envs: JSON.stringify({ META_PASSWORD: decodeURIComponent(url.password), JFS_RSA_PASSPHRASE: PASSPHRASE }),
      storage: 'minio',
      bucket: s3.createBucket('volumes'),
      'access-key': s3.accessKey,
      'secret-key': s3.secretKey,
      'ca-bundle': readFileSync(authority.file, 'utf8'),
      'client-certificate': readFileSync(client.certificate, 'utf8'),
      'client-key': readFileSync(client.key, 'utf8'),
    };
    provisioner = { ...connection, 'rsa-public-key': readFileSync(await publicHalf(temp, key), 'utf8') };
    node = { ...connection, 'rsa-key': readFileSync(key.file, 'utf8') };
    const allowed = `${address}:${postgres.port},${address}:${s3.port}`;
    csi = new CsiNode({ env: temp.env, at: (...parts) => temp.at(...parts) }, ['--allowed-endpoints', allowed]);
    await csi.start();
  });
  after(() => csi?.stop());

  const schemas = (): Promise<string> =>
    postgres.sql("SELECT string_agg(nspname, ' ') FROM pg_namespace WHERE nspname LIKE 'pvc-%'", 'cluster');

  test('each volume has a schema and objects of its own, from its creation to its end', async () => {
    const [one, two] = [await csi.create('pvc-one', provisioner), await csi.create('pvc-two', provisioner)];
    assert.deepEqual(await csi.create('pvc-one', provisioner), one);
    assert.equal((await schemas()).split(' ').length, 2);
    for (const [volume, pod] of [
      [one, 'a'],
      [two, 'b'],
    ] as const) {
      await csi.stage(volume, node);
      writeFileSync(`${await csi.publish(volume, pod, node)}/file`, `of ${pod}`);
    }
    assert.equal(readFileSync(`${csi.target('a')}/file`, 'utf8'), 'of a');
    assert.equal(readdirSync(`${s3.folder}/volumes`).filter((name) => name.startsWith('pvc-')).length, 2);
    for (const [volume, pod] of [
      [one, 'a'],
      [two, 'b'],
    ] as const) {
      await csi.unpublish(volume, pod);
      await csi.unstage(volume);
      await csi.delete(volume, provisioner);
      await csi.delete(volume, provisioner);
    }
    assert.equal(await schemas(), '');
    assert.deepEqual(
      readdirSync(`${s3.folder}/volumes`).filter((name) => name.startsWith('pvc-')),
      [],
    );
  });

  test('one schema that volumes share stays, with each a directory', async () => {
    await postgres.sql('CREATE SCHEMA shared AUTHORIZATION cluster', 'cluster');
    const change = (secret: Record<string, string>): Record<string, string> => ({
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
    assert.equal(await postgres.sql('SELECT COUNT(*) FROM shared.pageseal_volume', 'cluster'), '1');
    await csi.delete(two, change(provisioner));
    assert(existsSync(`${s3.folder}/volumes/shared/juicefs_uuid`));
  });

  test('what the driver does not allow is refused, whoever asks, and nothing secret is said', async () => {
    const database = `${address}:${postgres.port}`;
    const bad: Record<string, string>[] = [
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
    const password = decodeURIComponent(new URL(postgres.url('cluster')).password);
    for (const name of processes) {
      const log = readFileSync(csi.logFile(name), 'utf8');
      for (const secret of [s3.secretKey, password, 'PRIVATE KEY']) assert(!log.includes(secret), name);
    }
  });
});
