// The secrets of a database and a store elsewhere, planted as canaries: password of the database, keys and token of the
// store, the client's private key. Searched in what processes say and show, in records and logs, in the store and in a dump
// of the database, while volumes live on the command line and in pods.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { after, before, describe, test } from 'node:test';
import type { ServiceError } from '@grpc/grpc-js';
import { FILE_SYSTEM_PLACEHOLDER } from '../../src/config/secret-names.ts';
import { Authority } from '../harness/certificates.ts';
import { CsiNode, processes } from '../harness/csi-node.ts';
import { makeKey, publicHalf, type TestKey } from '../harness/keys.ts';
import { pagesealProgram } from '../harness/pageseal.ts';
import { PostgresServer } from '../harness/postgres.ts';
import { run } from '../harness/program.ts';
import { S3Server } from '../harness/s3.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { Canaries } from './canaries.ts';
import { ProcessWatch } from './process-watch.ts';

const secret = (name: string): string => `${name}-${randomBytes(12).toString('hex')}`;
const DB_PASSWORD = `${secret('db')} @:/?#&=+%é`;
const WRONG_PASSWORD = secret('guess');
const TOKEN = `${secret('token')}/+=`;
const AMBIENT = secret('ambient');
const address = Object.values(networkInterfaces())
  .flatMap((all) => all ?? [])
  .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;

const needed = needs('root', 'fuse', 'openssl', 'the addon', 'postgres', 'versitygw');

const wanted = address === undefined ? { skip: 'missing: a network address beside loopback' } : needed;

describe('canaries elsewhere', wanted, () => {
  /** The servers and what the user keeps; what our programs may write. Only the second is searched. */
  const users = makeTemp();
  const ours = makeTemp();
  const canaries = new Canaries();
  const said: string[] = [];
  let postgres: PostgresServer;
  let s3: S3Server;
  let watch: ProcessWatch;
  let key: TestKey;
  let metaUrl: string;
  let reach: string[];
  let client: { certificate: string; key: string };

  before(async () => {
    const authority = await Authority.make(users);
    const at = { authority, address: address ?? '' };
    [postgres, s3, key, client] = await Promise.all([
      PostgresServer.start(users, { ...at, clientCertificates: true, settings: ['log_statement = all'] }),
      S3Server.start(users, at),
      makeKey(users, 2048, 'pkcs8'),
      authority.client('canary'),
    ]);
    await postgres.createDatabase('canary');
    await postgres.sql(`ALTER ROLE canary PASSWORD '${DB_PASSWORD}'`);
    const texts = { DB_PASSWORD, WRONG_PASSWORD, TOKEN, AMBIENT, SECRET_KEY: s3.secretKey };
    for (const [name, text] of Object.entries(texts)) canaries.addText(name, text);
    canaries.addPem('client key', readFileSync(client.key, 'utf8'));
    const url = new URL(postgres.url('canary', { sslcert: client.certificate, sslkey: client.key }));
    url.password = '';
    metaUrl = url.href;
    reach = ['--ca-bundle', authority.file];
    writeFileSync(users.at('password'), DB_PASSWORD);
    watch = new ProcessWatch();
  });
  after(() => watch?.stop());

  async function expectNothingLeft(): Promise<void> {
    watch.look();
    assert.deepEqual(
      said.flatMap((text) => canaries.findIn(Buffer.from(text)).map((what) => `${what}: ${text}`)),
      [],
    );
    const mounts = ours.mounts();
    const places = [ours.path, '/run/pageseal-mounts', '/var/log/pageseal.log', s3.folder];
    assert.deepEqual(
      places.flatMap((place) => canaries.findBelow(place, mounts)),
      [],
    );
    const tables = (
      await postgres.sql(
        "SELECT quote_ident(schemaname) || '.' || tablename FROM pg_tables WHERE schemaname !~ '^(pg_|information)'",
        'canary',
      )
    ).split('\n');
    assert(tables.length > 20);
    for (const table of tables)
      assert.deepEqual(
        canaries.findIn(Buffer.from(await postgres.sql(`SELECT t::text FROM ${table} t`, 'canary'))),
        [],
        table,
      );
    for (const { pid, parent, cmdline, cmdlines, environs } of watch.seen.values()) {
      if (/postgres|versitygw|psql|setpriv/.test(cmdline)) continue; // the servers' own
      const givenIt = parent === process.pid;
      for (const text of [...cmdlines, ...(givenIt ? [] : environs)])
        assert.deepEqual(canaries.findIn(Buffer.from(text, 'latin1')), [], `process ${pid}: ${cmdline}`);
    }
  }

  async function pageseal(args: readonly string[], more: NodeJS.ProcessEnv = {}): Promise<number> {
    const given = { META_PASSWORD: DB_PASSWORD, AWS_SECRET_ACCESS_KEY: AMBIENT, JFS_RSA_PASSPHRASE: '' };
    const env = { ...ours.env, ...given, TMPDIR: ours.folder('tmp'), ...more };
    const { code, stdout, stderr } = await run(pagesealProgram, ['--log-level', 'debug', ...args], {
      env,
      input: '',
    });
    said.push(stdout, stderr);
    return code;
  }

  test('the life of a volume on the command line', async () => {
    const keys = { ACCESS_KEY: s3.accessKey, SECRET_KEY: s3.secretKey };
    const mountPoint = ours.folder('mnt');
    const mount = ['mount', '-d', metaUrl, mountPoint, '--log', ours.at('mount.log'), ...reach, '--rsa-key', key.file];
    const place = ['--storage', 'minio', '--bucket', s3.createBucket('bucket'), ...reach];
    assert.equal(
      await pageseal(['format', metaUrl, 'canary', ...place, '--rsa-key', key.file], keys),
      0,
      said.join(''),
    );
    assert.equal(await pageseal(['status', metaUrl]), 0);
    assert.equal(await pageseal(['status', '--json', metaUrl]), 0);
    assert.equal(await pageseal(['config', metaUrl]), 0);
    assert.notEqual(await pageseal(['status', metaUrl], { META_PASSWORD: WRONG_PASSWORD }), 0);
    assert.notEqual(await pageseal(mount, { META_PASSWORD: WRONG_PASSWORD }), 0);
    assert.notEqual(await pageseal(mount, { ...keys, SECRET_KEY: TOKEN }), 0);
    assert.equal(await pageseal(mount, { META_PASSWORD: '', META_PASSWORD_FILE: users.at('password') }), 0);
    writeFileSync(`${mountPoint}/file`, randomBytes(100_000));
    assert.equal(await pageseal(['stats', mountPoint, '--count', '1']), 0);
    assert.equal(await pageseal(['info', `${mountPoint}/file`]), 0);
    await expectNothingLeft();
    assert.equal(await pageseal(['umount', mountPoint]), 0, said.slice(-2).join(''));
    for (const command of [['gc'], ['fsck', '--deep', '--rsa-key', key.file]])
      assert.equal(await pageseal([...command, metaUrl, ...reach]), 0, said.slice(-2).join(''));
    assert.equal(await pageseal(['dump', metaUrl, ours.at('dump.json')]), 0);
    await expectNothingLeft();
    watch.stop(); // what is on the command line is there because the user put it there
    const changed = ['config', metaUrl, '--force', '--session-token', TOKEN, '--yes', '--log-level', 'debug'];
    assert.equal(await pageseal(changed), 0, said.slice(-2).join(''));
    for (const url of [
        metaUrl.replace('@', `:${WRONG_PASSWORD}@`), metaUrl.replace('@', `:${WRONG_PASSWORD}%@`), `${metaUrl}&password=${WRONG_PASSWORD}`,
        `${metaUrl}&sslpassword=${WRONG_PASSWORD}`, metaUrl.replace('postgres', 'postgers').replace('@', `:${WRONG_PASSWORD}@`),
        `postgres://canary:${WRONG_PASSWORD}`, `postgres://canary:${WRONG_PASSWORD}@/`, `postgres://canary:a/${WRONG_PASSWORD}@${address}/x`,
        `postgres://canary:a?${WRONG_PASSWORD}@${address}/x`, `postgres://canary:a#${WRONG_PASSWORD}@${address}/x`, `postgres://canary@${address}:${WRONG_PASSWORD}/x`,
        `${metaUrl}&sslkey=${encodeURIComponent(readFileSync(client.key, 'utf8').slice(0, 120))}`,
      ]) // biome-ignore format: a list
      assert.notEqual(await pageseal(['status', url]), 0, url);
    const bad = ['--storage', 'minio', '--bucket', `https://id:${TOKEN}@${address}:${s3.port}/bucket`, '--force'];
    assert.notEqual(await pageseal(['config', metaUrl, ...bad, '--secret-key', `${TOKEN}\n`, '--yes']), 0);
    watch = new ProcessWatch();
    await expectNothingLeft();
  });

  describe('CSI', () => {
    let csi: CsiNode;
    before(async () => {
      mkdirSync(ours.at('csi'));
      csi = new CsiNode(
        { env: { ...ours.env, TMPDIR: ours.folder('tmp') }, at: (...parts) => ours.at('csi', ...parts) },
        [],
      );
      await csi.start();
    });
    after(() => csi?.stop());

    async function code(call: Promise<unknown>): Promise<string> {
      try {
        said.push(JSON.stringify(await call));
        return 'OK';
      } catch (error) {
        const { details, message, metadata } = error as ServiceError;
        said.push(String(details), message, JSON.stringify(metadata?.toJSON() ?? ''));
        return message;
      }
    }

    test('the life of a volume, and wrong ways', async () => {
      const text = (file: string): string => readFileSync(file, 'utf8');
      const host = new URL(metaUrl).host;
      const own = `postgres://canary@${host}/canary?search_path=${FILE_SYSTEM_PLACEHOLDER}`;
      const connection = {
          name: FILE_SYSTEM_PLACEHOLDER, metaurl: own, storage: 'minio', bucket: s3.url('bucket'),
          envs: JSON.stringify({ META_PASSWORD: DB_PASSWORD }), 'access-key': s3.accessKey, 'secret-key': s3.secretKey,
          'ca-bundle': text(postgres.authority.file), 'client-certificate': text(client.certificate), 'client-key': text(client.key),
        }; // biome-ignore format: a table
      const provisioner = { ...connection, 'rsa-public-key': text(await publicHalf(users, key)) };
      const node = { ...connection, 'rsa-key': text(key.file) };
      const volume = await csi.create('pvc-canary', provisioner);
      for (const changed of [
        { envs: JSON.stringify({ META_PASSWORD: WRONG_PASSWORD }) },
        { envs: `{"META_PASSWORD":"${WRONG_PASSWORD}"` },
        { 'client-key': text(client.key).slice(0, 100) },
        { 'client-key': TOKEN },
        { 'client-certificate': text(client.key) },
        { 'ca-bundle': text(client.key) },
        { 'secret-key': TOKEN },
        { 'session-token': `${TOKEN}\n${TOKEN}` },
        { metaurl: own.replace('@', `:${WRONG_PASSWORD}@`) },
        { metaurl: own.replace('@', `:${WRONG_PASSWORD}@${WRONG_PASSWORD}@`) },
        { metaurl: `${own}&password=${WRONG_PASSWORD}` },
        { metaurl: `${own}&sslmode=${WRONG_PASSWORD}` },
        { metaurl: `${own}&sslkey=${encodeURIComponent(text(client.key))}` },
        { bucket: `https://id:${TOKEN}@${address}:${s3.port}/bucket` },

        { 'access-key': '' },
      ]) {
        // biome-ignore format: a list
        const what = Object.entries(changed).join();
        assert.notEqual(await code(csi.stage(volume, { ...node, ...changed })), 'OK', what);
        assert.notEqual(await code(csi.create('pvc-wrong', { ...provisioner, ...changed })), 'OK', what);
      }
      await csi.stage(volume, node);
      writeFileSync(`${await csi.publish(volume, 'pod', node)}/file`, randomBytes(50_000));
      assert.notEqual(
        await code(csi.publish(volume, 'thief', { ...node, envs: JSON.stringify({ META_PASSWORD: WRONG_PASSWORD }) })),
        'OK',
      );
      await expectNothingLeft();
      await csi.unpublish(volume, 'pod');
      await csi.unstage(volume);
      await csi.delete(volume, provisioner);
      for (const name of processes) said.push(text(csi.logFile(name)));
      await expectNothingLeft();
    });
  });
});
