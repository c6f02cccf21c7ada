// Names of a Secret that lead to the machine itself or its link, through the real servers: on the machine of the CSI processes
// stands a way to database and store at each such address, which works for the command line. Nobody takes it for a Secret.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { FILE_SYSTEM_PLACEHOLDER } from '../../src/config/secret-names.ts';
import { connectKeeper } from '../../src/keeper/client.ts';
import { Authority } from '../harness/certificates.ts';
import { CsiNode } from '../harness/csi-node.ts';
import { type HostAlias, Names } from '../harness/names.ts';
import { Network } from '../harness/namespace.ts';
import { pagesealProgram } from '../harness/pageseal.ts';
import { PostgresServer } from '../harness/postgres.ts';
import { runOk } from '../harness/program.ts';
import { Relay } from '../harness/relay.ts';
import { S3Server } from '../harness/s3.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';

const wanted = needs('root', 'fuse', 'openssl', 'the addon', 'postgres', 'versitygw', 'network namespaces');
const DATABASE = 'names';
const BUCKET = 'volumes';
const ELSEWHERE = 'elsewhere.example.com';
/** A good address and one that is not, which the C library puts first in the one and last in the other. */
const both: Readonly<Record<string, string>> = { 'first.example.com': '127.0.0.1', 'last.example.com': 'fe80::1' };
const local: Readonly<Record<string, string>> = {
  'loopback.example.com': '127.0.0.1',
  'loopback6.example.com': '::1',
  'link.example.com': 'fe80::1',
  'metadata.example.com': '169.254.169.254',
  'nowhere.example.com': '0.0.0.0',
};
const RULE = /endpoint rule refuses this machine, its link and its metadata service, and it leads to/;

type Secrets = Readonly<Record<string, string>>;

describe('names that are looked up', wanted, () => {
  const temp = makeTemp();
  let names: Names;
  let relay: Relay;
  let postgres: PostgresServer;
  let s3: S3Server;
  let csi: CsiNode;

  const aliases = (server: string): HostAlias[] => [
    { ip: server, hostnames: [ELSEWHERE] },
    { ip: postgres.address, hostnames: Object.keys(both) },
    ...Object.entries({ ...local, ...both }).map(([name, ip]) => ({ ip, hostnames: [name] })),
  ];

  before(async () => {
    const network = await Network.make(temp, 1);
    const [client = assert.fail('no machine')] = network.clients;
    const authority = await Authority.make(temp);
    const inside = network.servers;
    const certificate = await authority.server(['*.example.com', inside.address]);
    postgres = await PostgresServer.start(temp, { inside, authority, certificate });
    s3 = await S3Server.start(temp, { inside, authority, certificate });
    await postgres.createDatabase(DATABASE);
    s3.createBucket(BUCKET);
    await client.shell('ip address add 169.254.169.254/32 dev lo');
    names = await Names.on(temp, client.pid, aliases(postgres.address));
    const ports = [postgres.port, s3.port];
    const addresses = ['127.0.0.1', '::1', '169.254.169.254'];
    relay = await Relay.start(temp, names, { addresses, ports, target: postgres.address });
    csi = new CsiNode({ env: temp.env, at: (...parts) => temp.at(...parts), enter: names.enter }, []);
    temp.beforeRemoval(() => csi.stop());
    await csi.start();
  });

  const metaUrl = (host: string, schema = FILE_SYSTEM_PLACEHOLDER): string => {
    const { username, password } = new URL(postgres.url(DATABASE));
    return `postgres://${username}:${password}@${host}:${postgres.port}/${DATABASE}?search_path=${schema}`;
  };
  const bucket = (host: string): string => `https://${host}:${s3.port}/${BUCKET}`;
  const secret = (changed: Secrets = {}): Secrets => ({
    name: FILE_SYSTEM_PLACEHOLDER,
    metaurl: metaUrl(ELSEWHERE),
    storage: 'minio',
    bucket: bucket(ELSEWHERE),
    'access-key': s3.accessKey,
    'secret-key': s3.secretKey,
    'ca-bundle': s3.authority.pem,
    ...changed,
  });
  const unencrypted = { parameters: { encryption: 'none' } };

  /** Both the rule and the code of a Secret that is wrong, and nobody came. */
  async function refused(work: Promise<unknown>, what: string): Promise<void> {
    const came = relay.connections;
    await assert.rejects(work, (thrown) => {
      assert.match(String(thrown), RULE, what);
      assert.match(String(thrown), /INVALID_ARGUMENT/, what);
      assert.doesNotMatch(String(thrown), /\n|test-only/, what);
      return true;
    });
    assert.deepEqual(relay.connections, came, what);
  }

  test('there is a way, and the command line takes it', async () => {
    const env = { ...temp.env, ACCESS_KEY: s3.accessKey, SECRET_KEY: s3.secretKey };
    const [program = '', ...words] = [...names.enter, pagesealProgram, 'format'];
    const reach = ['--ca-bundle', s3.authority.file, '--storage', 'minio'];
    for (const [number, host] of ['loopback.example.com', 'loopback6.example.com', 'metadata.example.com'].entries()) {
      const url = postgres.url(DATABASE, { table_prefix: `way${number}` }, `${host}:${postgres.port}`);
      await runOk(program, [...words, url, `way-${number}`, '--bucket', bucket(host), ...reach], { env });
    }
    for (const address of ['127.0.0.1', '::1', '169.254.169.254'])
      for (const port of [postgres.port, s3.port])
        assert(relay.connections.includes(`${address} ${port}`), `${address} ${port}`);
  });

  test('the controller makes nothing there, and a node mounts nothing', async () => {
    for (const host of Object.keys({ ...local, ...both }))
      for (const changed of [{ metaurl: metaUrl(host) }, { bucket: bucket(host) }]) {
        const what = JSON.stringify(Object.keys(changed)) + host;
        await refused(csi.create(`pvc-${host}`, secret(changed), unencrypted), what);
      }
    const volume = await csi.create('pvc-node', secret(), unencrypted);
    for (const host of Object.keys({ ...local, ...both }))
      for (const changed of [{ metaurl: metaUrl(host) }, { bucket: bucket(host) }])
        await refused(csi.stage(volume, secret(changed)), JSON.stringify(Object.keys(changed)) + host);
    await csi.delete(volume, secret());
  });

  test('a name that leads elsewhere serves; led here afterwards, nobody follows', async () => {
    const came = relay.connections;
    const volume = await csi.create('pvc-moved', secret(), unencrypted);
    await csi.stage(volume, secret());
    const target = names.at(await csi.publish(volume, 'a', secret()));
    writeFileSync(`${target}/file`, 'elsewhere');
    names.change(aliases('127.0.0.1'));
    await refused(csi.create('pvc-late', secret(), unencrypted), 'create');
    // Each publish proves its Secret by a process of its own.
    await refused(csi.publish(volume, 'b', secret({ 'access-key': 'another' })), 'publish');
    await refused(csi.delete(volume, secret()), 'delete');
    // What was connected stays so; who is cut off would have to look the name up anew.
    await postgres.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${DATABASE}'`);
    assert.throws(() => writeFileSync(`${target}/here`, ''), { code: 'EIO' });
    names.change(aliases(postgres.address));
    assert.equal(readFileSync(`${target}/file`, 'utf8'), 'elsewhere');
    writeFileSync(`${target}/there`, 'goes on');
    await csi.unpublish(volume, 'a');
    await csi.unstage(volume);
    await csi.delete(volume, secret());
    assert.deepEqual(relay.connections, came);
  });

  test('a keeper’s workers hold the rule by themselves, as for what an earlier node plugin said', async () => {
    const keeper = connectKeeper(temp.at('run/keeper.sock'));
    const schema = 'earlier';
    await postgres.sql(`CREATE SCHEMA ${schema} AUTHORIZATION ${DATABASE}`, DATABASE);
    const shared = secret({ name: schema, metaurl: metaUrl(ELSEWHERE, schema) });
    const volume = await csi.create('pvc-earlier', shared, unencrypted);
    const { authority, accessKey, secretKey } = s3;
    const connectionBy = (database: string, store: string): Parameters<typeof keeper.mount>[0]['connection'] => ({
      ...{ metaUrl: `${metaUrl(database, schema)}&sslrootcert=${encodeURIComponent(authority.pem)}`, storage: 'minio' },
      ...{ bucket: bucket(store), accessKey, secretKey, sessionToken: '', caBundle: authority.pem },
      ...{ rsaKey: Buffer.alloc(0), passphrase: Buffer.alloc(0), hasPassphrase: false, encryptionRequired: false },
    });
    const stagingPath = csi.staging(volume);
    for (const [database, store] of [
      ['loopback.example.com', ELSEWHERE],
      [ELSEWHERE, 'loopback.example.com'],
    ] as const) {
      const came = relay.connections;
      const connection = connectionBy(database, store);
      const request = { volumeId: 'earlier', stagingPath, connection, fileSystemUuid: '', directory: '/' };
      await assert.rejects(keeper.mount({ ...request, readOnly: false, options: [] }), {
        code: 'refused',
        message: RULE,
      });
      assert.deepEqual(relay.connections, came);
    }
    keeper.close();
    await csi.delete(volume, shared);
  });
});
