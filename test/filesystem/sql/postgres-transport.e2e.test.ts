// The way to a PostgreSQL server: nobody else reads along, nobody else answers, and a standby is not taken for the primary.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { type ErrorCode, hasCode } from '../../../src/base/errors.ts';
import { change, type Engine, query, read, write } from '../../../src/filesystem/sql/op.ts';
import { openEngine, openSnapshot } from '../../../src/filesystem/sql/open-engine.ts';
import { Authority } from '../../harness/certificates.ts';
import { PostgresServer } from '../../harness/postgres.ts';
import { TcpProxy } from '../../harness/tcp-proxy.ts';
import { makeTemp } from '../../harness/temp.ts';
import { needs } from '../../harness/tools.ts';

const temp = makeTemp();
const tools = needs('postgres', 'openssl');

async function works(url: string): Promise<void> {
  const engine = await openEngine(url);
  const seen = await engine.view(function* () {
    const [[ssl]] = yield* read(
      query('SELECT COALESCE((SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()), ?)', [''], ([v]) => v),
    );
    return ssl;
  });
  await engine.close();
  if (!url.includes('sslmode=disable') && !url.includes('host=')) assert.match(String(seen), /^TLSv1\.[23]$/);
}

/** Nothing that is thrown holds the password. */
async function refused(url: string, code: ErrorCode, message: RegExp): Promise<void> {
  const password = decodeURIComponent(new URL(url.replace(/,[^/]*/, '')).password);
  for (const open of [openEngine, openSnapshot])
    await assert.rejects(open(url), (thrown) => {
      assert.ok(hasCode(thrown, code), inspect(thrown));
      assert.match(thrown.message, message);
      assert.ok(!inspect(thrown, { depth: 9, showHidden: true }).includes(password));
      return true;
    });
}

test(
  'certificates: own authority by file or text, names and addresses, and those that do not pass',
  tools,
  async () => {
    const server = await PostgresServer.start(temp);
    await server.createDatabase('one');
    const port = String(server.port);
    await works(server.url('one'));
    await works(server.url('one', {}, `localhost:${port}`));
    await works(server.url('one', { sslmode: 'require' }));
    await works(server.url('one', { sslrootcert: readFileSync(server.authority.file, 'utf8') }));
    const foreign = await Authority.make(temp);
    const rule = /sslmode=verify-full/;
    await refused(server.url('one', { sslrootcert: foreign.file }), 'refused', rule);
    await refused(server.url('one', { sslmode: 'require', sslrootcert: foreign.file }), 'refused', rule);
    await refused(server.url('one', { sslrootcert: 'system' }), 'refused', rule);
    await refused(server.url('one', {}, `127.0.0.2:${port}`), 'metadata-unavailable', /ECONNREFUSED/);
    await refused(server.url('one', { sslrootcert: temp.at('missing.pem') }), 'bad-input', /sslrootcert/);
    await refused(server.url('one').replace('test-only', 'other'), 'metadata-unavailable', /password/);

    const certificates = {
      expired: await server.authority.server(['127.0.0.1'], { expired: true }),
      otherName: await server.authority.server(['db.example', '127.0.0.9']),
    };
    for (const [certificate, message] of [
      [certificates.expired, /expired/],
      [certificates.otherName, /altnames|ALTNAME/],
    ] as const) {
      const other = await PostgresServer.start(temp, { authority: server.authority, certificate });
      await refused(other.url('postgres'), 'refused', message);
      await other.stop();
    }
    await server.stop();
  },
);

test('no TLS at the server is no reason to go on without', tools, async () => {
  const server = await PostgresServer.start(temp, { tls: 'none' });
  await server.createDatabase('one');
  await refused(server.url('one'), 'refused', /offers no TLS/);
  await works(server.url('one', { sslmode: 'disable' }));
  await works(server.url('one', { host: server.socketFolder, port: String(server.port), sslmode: 'disable' }));
  await works(server.url('one', { host: server.socketFolder, port: String(server.port) }));
  await server.stop();
});

test('what comes in clear text before TLS is refused, and a server that says nothing is given up', tools, async () => {
  const authority = await Authority.make(temp);
  for (const [answer, code, message] of [
    ['SX', 'refused', /clear text before TLS/],
    ['N', 'refused', /offers no TLS/],
    ['E', 'refused', /offers no TLS/],
    ['', 'metadata-unavailable', /no answer in time/],
  ] as const) {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.write(answer));
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as { port: number };
    const options = new URLSearchParams({ sslrootcert: authority.file, connect_timeout: '1' });
    await refused(`postgres://jfs:secret-word@127.0.0.1:${port}/db?${options}`, code, message);
    server.close();
  }
});

test('a client certificate is shown where one is asked for', tools, async () => {
  const server = await PostgresServer.start(temp, { clientCertificates: true });
  await server.createDatabase('one');
  const { certificate, key } = await server.authority.client('one');
  await works(server.url('one', { sslcert: certificate, sslkey: key }));
  const [cert, secret] = [readFileSync(certificate, 'utf8'), readFileSync(key, 'utf8')];
  await works(server.url('one', { sslcert: cert, sslkey: secret }));
  await refused(server.url('one'), 'metadata-unavailable', /certificate/);
  const foreign = await (await Authority.make(temp)).client('one');
  // The server says so after its part of the handshake, and closes: the words may be lost with the connection.
  await assert.rejects(openEngine(server.url('one', { sslcert: foreign.certificate, sslkey: foreign.key })), (thrown) =>
    hasCode(thrown, 'refused', 'metadata-unavailable'),
  );
  await server.stop();
});

async function recovering(url: string): Promise<unknown[]> {
  const reader = await openEngine(url, { readOnly: true });
  const [found] = await reader.view(() => read(query('SELECT pg_is_in_recovery()', [], ([value]) => value)));
  await reader.close();
  return found;
}

test('of several hosts the one that takes writes is taken, also after a fail-over', tools, async () => {
  const primary = await PostgresServer.start(temp);
  await primary.createDatabase('one');
  const standby = await primary.replica();
  const hosts = [standby, primary].map(({ address, port }) => `${address}:${port}`).join(',');
  const url = primary.url('one', {}, hosts);
  const engine = await openEngine(url);
  await engine.execute('CREATE TABLE jfs_thing (id BIGINT PRIMARY KEY)');
  const put = (id: bigint): Promise<void> =>
    engine.run(() => write(change('INSERT INTO jfs_thing (id) VALUES (?)', id)));
  const ids = (one: Engine): Promise<unknown> =>
    one.view(function* () {
      const [rows] = yield* read(query('SELECT id FROM jfs_thing ORDER BY id', [], ([id]) => id));
      return rows;
    });
  await put(1n);
  const lsn = await primary.sql('SELECT pg_current_wal_lsn()');
  while ((await standby.sql(`SELECT pg_last_wal_replay_lsn() >= '${lsn}'`)) !== 't');
  // Who only reads asks the primary as well, and the standby when there is nobody else.
  assert.deepEqual(await recovering(url), [0n]);
  await primary.stop('immediate');
  assert.deepEqual(await recovering(url), [1n]);
  const during = put(2n);
  await standby.promote();
  await during;
  await put(3n);
  assert.deepEqual(await ids(engine), [1n, 2n, 3n]);
  await engine.close();
  const reader = await openEngine(url, { readOnly: true });
  assert.deepEqual(await ids(reader), [1n, 2n, 3n]);
  await reader.close();
  await standby.stop();
});

test('a schema of its own, by search_path, and a prefix with capitals', tools, async () => {
  const server = await PostgresServer.start(temp);
  await server.createDatabase('one');
  await server.sql('CREATE SCHEMA "volumes" AUTHORIZATION "one"', 'one');
  const engine = await openEngine(server.url('one', { search_path: 'volumes', table_prefix: 'Team' }));
  await engine.execute('CREATE TABLE jfs_thing (id BIGINT PRIMARY KEY)');
  await engine.run(() => write(change('INSERT INTO jfs_thing (id) VALUES (?)', 1n)));
  await engine.close();
  assert.equal(await server.sql('SELECT id FROM volumes."jfs_Team_thing"', 'one'), '1');
  await server.stop();
});

test('who may not come out on this machine: names are looked up, and nothing is connected to', tools, async () => {
  const server = await PostgresServer.start(temp);
  await server.createDatabase('here');
  const proxy = await TcpProxy.start(temp, server);
  const { at } = proxy;
  const rule = / an endpoint rule refuses this machine, its link and its metadata service/;
  const url = (host: string): string => server.url('here', { remote_only: 'true' }, host);
  // Spelled so, it is a name to Node and an address to the C library.
  for (const host of [at, `localhost:${proxy.port}`, `127.1:${proxy.port}`, `[::ffff:7f00:1]:${proxy.port}`])
    await refused(url(host), 'refused', rule);
  await refused(server.url('here', { remote_only: 'true', host: server.socketFolder }), 'refused', rule);
  await refused(server.url('here', { remote_only: 'no' }), 'bad-input', /remote_only "no": wanted true/);
  assert.equal(proxy.connections, 0);
  await works(server.url('here', {}, `localhost:${proxy.port}`));
  assert.notEqual(proxy.connections, 0, 'without the rule there is a way');
});
