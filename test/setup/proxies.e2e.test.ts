// The proxies that other tests rely on: what they let pass is what the real server says, and each fault is what it is called.
import assert from 'node:assert/strict';
import { Agent } from 'node:https';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { PostgresServer } from '../harness/postgres.ts';
import { type Outcome, run } from '../harness/program.ts';
import { S3Server } from '../harness/s3.ts';
import {
  expiredToken,
  isListing,
  noSpace,
  redirect,
  type S3Fault,
  S3Proxy,
  type SeenRequest,
  skewed,
  slowDown,
} from '../harness/s3-proxy.ts';
import { TcpProxy } from '../harness/tcp-proxy.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';

const wanted = needs('root', 'openssl', 'postgres', 'versitygw');
/** Longer than an answer takes that does come. */
const A_WHILE_MS = 1500;

test('a connection to PostgreSQL is cut, lost, reset, refused, slow, and then well again', wanted, async (t) => {
  const temp = makeTemp(t);
  const server = await PostgresServer.start(temp);
  const { name } = await server.createDatabase('one');
  const proxy = await TcpProxy.start(temp, server);
  const url = server.url(name, {}, proxy.at);
  const ask = (sql: string): Promise<Outcome> => run('psql', [url, '-XAtc', sql], { env: temp.env });
  const well = async (): Promise<void> => assert.equal((await ask('SELECT 7')).stdout, '7\n');
  await well();
  assert.equal(proxy.connections, 1);
  assert.ok(proxy.roundTrips > 2);

  const hung = ask('SELECT pg_sleep(0.5), 8');
  await pause(A_WHILE_MS / 5);
  proxy.cut();
  assert.equal(await Promise.race([hung, pause(A_WHILE_MS, 'nothing')]), 'nothing');
  proxy.heal();
  assert.match((await hung).stdout, /8/);

  await proxy.refuse();
  assert.match((await ask('SELECT 1')).stderr, /Connection refused/);
  await proxy.accept();
  await well();

  proxy.resetAfter(10_000);
  assert.match((await ask("SELECT repeat('x', 20000)")).stderr, /closed|reset|terminated/);
  await well();

  const lost = ask('SELECT pg_sleep(0.5), 9');
  await pause(A_WHILE_MS / 5);
  proxy.lose();
  assert.equal(await Promise.race([lost, pause(A_WHILE_MS, 'nothing')]), 'nothing');
  proxy.reset();
  assert.notEqual((await lost).code, 0);

  proxy.delay(20);
  proxy.throttle(100_000);
  assert.equal((await ask("SELECT repeat('x', 20000)")).stdout.length, 20_001);
  assert.ok(proxy.faults.reset >= 2 && proxy.faults.lost === 1 && proxy.faults.cut === 1);
});

async function bucket(
  t: Parameters<typeof makeTemp>[0],
): Promise<{ proxy: S3Proxy; client: S3Client; Bucket: string }> {
  const temp = makeTemp(t);
  const server = await S3Server.start(temp);
  const proxy = await S3Proxy.start(temp, server);
  server.createBucket('one');
  const { accessKey: accessKeyId, secretKey: secretAccessKey, region } = server;
  const agent = new Agent({ ca: server.authority.pem, keepAlive: true });
  const client = new S3Client({
    endpoint: proxy.url('one').replace(/\/one$/, ''),
    region,
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: { accessKeyId, secretAccessKey },
    requestHandler: new NodeHttpHandler({ httpsAgent: agent }),
  });
  await client.send(new PutObjectCommand({ Bucket: 'one', Key: 'a/b', Body: 'x'.repeat(1000) }));
  return { proxy, client, Bucket: 'one' };
}

test('an S3 server refuses, stumbles, cuts, shortens and repeats itself, once', wanted, async (t) => {
  const { proxy, client, Bucket } = await bucket(t);
  const get = async (): Promise<string> => {
    const { Body } = await client.send(new GetObjectCommand({ Bucket, Key: 'a/b' }));
    return (await Body?.transformToString()) ?? '';
  };
  const put = (Key: string): Promise<unknown> =>
    client.send(new PutObjectCommand({ Bucket, Key, Body: 'y'.repeat(100_000) }));
  const isGet = ({ method }: SeenRequest): boolean => method === 'GET';
  const whole = async (): Promise<void> => assert.equal((await get()).length, 1000);
  await whole();
  for (const [fault, said] of [
    [slowDown, 'SlowDown'],
    [expiredToken, 'ExpiredToken'],
    [skewed(600_000), 'RequestTimeTooSkewed'],
    [redirect('http://127.0.0.1:1/'), 'TemporaryRedirect'],
  ] as const) {
    proxy.inject(fault, isGet, 1);
    await assert.rejects(get(), { name: said });
    assert.equal(proxy.faults.get(said), 1);
    await whole();
  }
  proxy.inject(noSpace, ({ method }) => method === 'PUT', 1);
  await assert.rejects(put('c'), { name: 'InsufficientStorage' });
  proxy.inject({ kind: 'lose' }, () => true, 1);
  await assert.rejects(put('d'), /ECONNRESET|socket hang up/);
  const spoilt: readonly S3Fault[] = [
    { kind: 'cut', bytes: 10 },
    { kind: 'short', bytes: 10 },
  ];
  for (const fault of spoilt) {
    proxy.inject(fault, isGet, 1);
    // A shorter body is found by its checksum, where the server keeps one.
    await assert.rejects(get(), /aborted|reset|[Cc]hecksum/);
    await whole();
  }
  proxy.inject({ kind: 'hang' }, isGet, 1);
  const hung = get().catch(() => 'ended');
  assert.equal(await Promise.race([hung, pause(A_WHILE_MS, 'nothing')]), 'nothing');
  const list = async (): Promise<unknown[]> =>
    ((await client.send(new ListObjectsV2Command({ Bucket }))).Contents ?? []).map(({ Key }) => Key);
  proxy.remember();
  assert.deepEqual(await list(), ['a/b', 'd'], 'what was put before its answer was lost is there');
  await put('e');
  assert.deepEqual(await list(), ['a/b', 'd', 'e']);
  proxy.inject({ kind: 'stale' }, isListing, 1);
  assert.deepEqual(await list(), ['a/b', 'd']);
  proxy.inject({ kind: 'delay', ms: 10 });
  assert.deepEqual(await list(), ['a/b', 'd', 'e']);
  proxy.heal();
  const { PUT, LIST } = proxy.counts();
  assert.deepEqual({ PUT, LIST }, { PUT: 4, LIST: 4 });
  client.destroy();
});
