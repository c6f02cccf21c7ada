// The HTTP server that tells counters and health: what it answers, what it refuses, and that nobody holds it up.
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { fail } from '../../src/base/errors.ts';
import { type HttpServer, type Pages, parseHttpAddress, serveHttp } from '../../src/base/http-server.ts';

const well: Pages = { metrics: async () => 'a_total 1\n', alive: async () => undefined };

async function start(t: TestContext, pages: Pages): Promise<{ server: HttpServer; url: string }> {
  const server = await serveHttp({ host: '127.0.0.1', port: 0 }, pages);
  t.after(() => server.close());
  return { server, url: `http://127.0.0.1:${server.address.port}` };
}

/** Bytes as they are, where fetch would make them proper. */
function raw({ address }: HttpServer, said: string): { socket: Socket; answer: Promise<string> } {
  const socket = connect(address.port, address.host);
  socket.on('error', () => undefined);
  socket.write(said);
  return { socket, answer: text(socket).catch(() => '') };
}

test('an address is a host and a port', () => {
  assert.deepEqual(parseHttpAddress('0.0.0.0:9808'), { host: '0.0.0.0', port: 9808 });
  assert.deepEqual(parseHttpAddress('[::]:9808'), { host: '::', port: 9808 });
  assert.deepEqual(parseHttpAddress('localhost:0'), { host: 'localhost', port: 0 });
  for (const text of [
    '',
    '9808',
    ':9808',
    '::9808',
    '[x]:1',
    '[::1]',
    'host',
    'host:',
    'host:70000',
    'host:1/x',
    'a b:1',
  ])
    assert.throws(() => parseHttpAddress(text), { code: 'bad-input', message: /wanted HOST:PORT/ }, text);
});

test('counters and health', async (t) => {
  const { url } = await start(t, well);
  const metrics = await fetch(`${url}/metrics`);
  assert.equal(metrics.status, 200);
  assert.match(metrics.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
  assert.equal(await metrics.text(), 'a_total 1\n');
  for (const path of ['/healthz', '/readyz', '/healthz?verbose'])
    assert.deepEqual([path, (await fetch(url + path)).status], [path, 200]);
  const head = await fetch(`${url}/metrics`, { method: 'HEAD' });
  assert.deepEqual([head.status, await head.text()], [200, '']);
});

test('what does not work says so, with its own sentence', async (t) => {
  const { url } = await start(t, {
    ...well,
    ready: () => Promise.reject(fail('store-unavailable', 'keeper: nobody listens at its socket')),
    metrics: () => Promise.reject(new Error('not for strangers')),
  });
  assert.equal((await fetch(`${url}/healthz`)).status, 200);
  const ready = await fetch(`${url}/readyz`);
  assert.deepEqual([ready.status, await ready.text()], [503, 'keeper: nobody listens at its socket\n']);
  const metrics = await fetch(`${url}/metrics`);
  assert.deepEqual([metrics.status, await metrics.text()], [500, 'failed, see the log\n']);
});

test('a check that hangs is a failure', async (t) => {
  const { url } = await start(t, { ...well, alive: () => new Promise(() => undefined) });
  const reply = await fetch(`${url}/healthz`);
  assert.deepEqual([reply.status, await reply.text()], [503, 'no answer for 4000 ms\n']);
});

test('other pages, methods and bodies are refused', async (t) => {
  const { url, server } = await start(t, well);
  assert.equal((await fetch(`${url}/`)).status, 404);
  assert.equal((await fetch(`${url}/metrics/../../etc/passwd`)).status, 404);
  for (const method of ['POST', 'PUT', 'DELETE']) {
    const reply = await fetch(`${url}/metrics`, { method, body: 'x' });
    assert.deepEqual([reply.status, reply.headers.get('allow')], [405, 'GET, HEAD']);
  }
  const long = await raw(server, `GET /metrics HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(8192)}\r\n\r\n`).answer;
  assert.match(long, /^HTTP\/1\.1 431 /);
  const body = await raw(server, 'GET /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n').answer;
  assert.match(body, /^HTTP\/1\.1 200 .*connection: close.*a_total 1/is);
});

test('who asks while an answer is made gets that one', async (t) => {
  let made = 0;
  let finish = (): void => undefined;
  const { url } = await start(t, {
    ...well,
    metrics: () =>
      new Promise((resolve) => {
        made++;
        finish = () => resolve('b_total 1\n');
      }),
  });
  const asked = [1, 2, 3].map(async () => (await fetch(`${url}/metrics`)).text());
  // All three connections are there before the one answer is.
  await new Promise((resolve) => setTimeout(resolve, 200));
  finish();
  assert.deepEqual(await Promise.all(asked), ['b_total 1\n', 'b_total 1\n', 'b_total 1\n']);
  assert.equal(made, 1);
});

test('connections that say nothing end, and too many are turned away', async (t) => {
  const { server } = await start(t, well);
  const silent = Array.from({ length: 20 }, () => raw(server, 'GET /metrics HTTP/1.1\r\n'));
  const answers = await Promise.all(silent.map(({ answer }) => answer));
  assert.equal(answers.filter((said) => said === '').length, 4);
  assert.equal(answers.filter((said) => said.startsWith('HTTP/1.1 408 ')).length, 16);
});

test('a port that is taken is a clear error', async (t) => {
  const { server } = await start(t, well);
  await assert.rejects(serveHttp(server.address, well), {
    code: 'bad-input',
    message: /cannot listen at 127\.0\.0\.1/,
  });
});
