// The servers that other tests rely on: the original client works over both of them with TLS, certificates are what their
// names say, and nothing of a server outlives the test's folder.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect, type SecureVersion, type TLSSocket } from 'node:tls';
import { Authority, type CertificateOptions } from '../harness/certificates.ts';
import { Juicefs } from '../harness/juicefs.ts';
import { rows } from '../harness/place.ts';
import { PostgresServer } from '../harness/postgres.ts';
import { run } from '../harness/program.ts';
import { S3Server } from '../harness/s3.ts';
import { ScaledPlace } from '../harness/scaled-place.ts';
import { sharedServers } from '../harness/servers.ts';
import { isAlive, makeTemp, Temp } from '../harness/temp.ts';
import { interopNeeds, needs, root } from '../harness/tools.ts';
import { placeViolations } from '../model/invariants.ts';

const wanted = needs(...interopNeeds, 'postgres', 'versitygw');

test(
  'the original client works on PostgreSQL and S3, both over TLS, and tests see what it makes',
  wanted,
  async (t) => {
    const temp = makeTemp(t);
    const place = await ScaledPlace.make(temp, await sharedServers());
    const { metaUrl, objects } = place;
    const juicefs = new Juicefs(temp);
    await juicefs.formatAt(place, 'volume');
    const mount = temp.at('mount');
    await juicefs.mount(metaUrl, mount);
    writeFileSync(`${mount}/file`, 'content');
    await juicefs.umount(mount);
    assert.deepEqual(await juicefs.fsck(metaUrl), []);
    assert.equal(readFileSync(`${objects}volume/chunks/0/0/1_0_7`, 'utf8'), 'content');
    assert.deepEqual(await placeViolations(place, { original: true }), []);
    const entries = 'SELECT CAST(name AS TEXT) AS name, parent FROM jfs_edge WHERE type = ?';
    assert.deepEqual({ ...(await rows(place, entries, 1n))[0] }, { name: 'file', parent: 1n });
    await place.change('UPDATE jfs_edge SET name = ? WHERE parent = 1', Buffer.from('other'));
    assert.deepEqual({ ...(await rows(place, entries, 1n))[0] }, { name: 'other', parent: 1n });
    await place.change("UPDATE jfs_counter SET value = 5 WHERE name = 'totalInodes'");
    assert.match(String(await placeViolations(place, { original: true })), /totals of the volume/);
  },
);

test('a database and a bucket of a test go with its folder', wanted, async () => {
  const temp = new Temp();
  const place = await ScaledPlace.make(temp, await sharedServers());
  assert.ok(existsSync(place.objects));
  await temp.remove();
  assert.ok(!existsSync(place.objects));
  await assert.rejects(place.snapshot(), /does not exist|password authentication failed/);
});

test('a replica follows, is promoted when its server was killed, and the killed one comes back', wanted, async (t) => {
  const server = await PostgresServer.start(makeTemp(t));
  await server.sql('CREATE TABLE kept (n int)');
  const replica = await server.replica();
  await assert.rejects(replica.sql('INSERT INTO kept VALUES (1)'), /read-only transaction/);
  await server.kill();
  await replica.promote();
  await replica.sql('INSERT INTO kept VALUES (1)');
  await server.start();
  assert.equal(await server.sql('SELECT COUNT(*) FROM kept'), '0');
  assert.equal(await replica.sql('SELECT COUNT(*) FROM kept'), '1');
});

test('PostgreSQL answers over TLS only, unless told otherwise', wanted, async (t) => {
  const temp = makeTemp(t);
  const connects = async (url: string): Promise<string> =>
    (await run('psql', [url, '-c', 'SELECT 1'], { env: temp.env })).stderr;
  const strict = await PostgresServer.start(temp);
  await strict.createDatabase('one');
  assert.equal(await connects(strict.url('one')), '');
  assert.match(await connects(strict.url('one', { sslmode: 'disable' })), /no encryption/);
  const clear = await PostgresServer.start(temp, { tls: 'none' });
  await clear.createDatabase('one');
  assert.equal(await connects(clear.url('one', { sslmode: 'disable' })), '');
  assert.match(await connects(clear.url('one')), /server does not support SSL/);
  const mutual = await PostgresServer.start(temp, { clientCertificates: true, authority: strict.authority });
  await mutual.createDatabase('one');
  assert.match(await connects(mutual.url('one')), /connection requires a valid client certificate/);
  const { certificate, key } = await mutual.authority.client('one');
  assert.equal(await connects(mutual.url('one', { sslcert: certificate, sslkey: key })), '');
});

test('certificates: the right one is taken; expired, foreign and wrong host are refused', wanted, async (t) => {
  const temp = makeTemp(t);
  const authority = await Authority.make(temp);
  const code = async (names: string[], options: CertificateOptions, trusted = authority): Promise<unknown> => {
    const certificate = await authority.server(names, options);
    const server = await S3Server.start(temp, { authority, certificate });
    const minVersion: SecureVersion = 'TLSv1.2';
    const socket = connect({ host: server.address, port: server.port, ca: trusted.pem, minVersion });
    return await outcome(socket).finally(() => server.stop());
  };
  assert.equal(await code(['127.0.0.1'], {}), 'connected');
  assert.equal(await code(['127.0.0.1'], { expired: true }), 'CERT_HAS_EXPIRED');
  assert.equal(await code(['s3.test'], {}), 'ERR_TLS_CERT_ALTNAME_INVALID');
  assert.match(
    String(await code(['127.0.0.1'], {}, await Authority.make(temp))),
    /UNABLE_TO_VERIFY|SELF_SIGNED|ISSUER/,
  );
});

test('nothing of the servers outlives the folder', wanted, async () => {
  const temp = new Temp();
  const [postgres] = await Promise.all([PostgresServer.start(temp), S3Server.start(temp)]);
  const { pid = 0 } = postgres;
  assert.ok(isAlive(pid));
  await temp.remove();
  assert.ok(!isAlive(pid));
  assert.ok(!existsSync(temp.path));
  const named = readdirSync('/proc').filter((name) => isAlive(Number(name)) && commandOf(name).includes(temp.path));
  assert.deepEqual(named, []);
});

test('the servers of a run end with the input of their program, and leave nothing', wanted, async (t) => {
  const temp = makeTemp(t);
  chmodSync(temp.path, 0o711); // as the folder of a run is
  const program = join(root, 'test/harness/servers.ts');
  const { code, stdout, stderr } = await run(process.execPath, [program], { env: temp.env, input: '' });
  assert.equal(code, 0, stderr);
  const { endpoint, postgres } = JSON.parse(stdout) as Record<string, string>;
  for (const at of [endpoint, postgres]) assert.match(String(at), /127\.0\.0\.1:\d+/);
  assert.deepEqual(readdirSync(temp.at('tmp')), []);
});

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return ''; // gone
  }
}

function outcome(socket: TLSSocket): Promise<unknown> {
  return new Promise((resolve) => {
    socket.once('secureConnect', () => resolve('connected'));
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code));
  }).finally(() => socket.destroy());
}
