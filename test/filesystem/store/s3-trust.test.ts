// Whom the S3 store speaks to: only a server that proves its name, also through a proxy, and never without TLS.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { openStore } from '../../../src/filesystem/store/open-store.ts';
import type { ObjectStore, StoreSettings } from '../../../src/filesystem/store/store.ts';
import { proxyFor } from '../../../src/filesystem/store/trust.ts';
import { Authority } from '../../harness/certificates.ts';
import { S3Server } from '../../harness/s3.ts';
import { TcpProxy } from '../../harness/tcp-proxy.ts';
import { makeTemp } from '../../harness/temp.ts';
import { needs } from '../../harness/tools.ts';
import { bareServer } from './bare-server.ts';
import { connectProxy } from './connect-proxy.ts';
import { withEnv } from './environment.ts';

const temp = makeTemp();
const DOMAIN = 's3.trust.test';
const untrusted = (text: RegExp): object => ({ code: 'refused', message: text, hint: /the rule: TLS.*--ca-bundle/ });

describe('trust', needs('versitygw', 'openssl'), () => {
  let server: S3Server;
  before(async () => {
    server = await S3Server.start(temp, { virtualDomain: DOMAIN });
    server.createBucket('trusted');
  });

  const open = async (changed: Partial<StoreSettings> = {}): Promise<ObjectStore> => {
    const { accessKey, secretKey } = server;
    const place = { storage: 'minio', bucket: server.url('trusted') };
    return openStore({ ...place, accessKey, secretKey, caBundle: server.authority.pem, ...changed });
  };
  test('an authority of one’s own: from the settings, or a file that the environment names', async () => {
    await (await open()).close();
    for (const name of ['AWS_CA_BUNDLE', 'SSL_CERT_FILE'])
      await withEnv({ [name]: server.authority.file }, async () => (await open({ caBundle: '' })).close());
    await withEnv({ AWS_CA_BUNDLE: temp.at('none.pem') }, () =>
      assert.rejects(open(), { code: 'bad-input', message: /AWS_CA_BUNDLE/ }),
    );
    await assert.rejects(open({ caBundle: 'not a PEM' }), untrusted(/certificate/));
    await assert.rejects(open({ clientCertificate: 'not a PEM', clientKey: 'nor this' }), { code: 'bad-input' });
  });

  test('a foreign authority, an expired certificate and a wrong name are refused, and nothing is tried again', async () => {
    const foreign = await Authority.make(temp);
    await assert.rejects(open({ caBundle: foreign.pem }), untrusted(/^((?!Node).)*certificate((?!Node).)*$/));
    const names = ['127.0.0.1'];
    for (const [certificate, text] of [
      [await server.authority.server(names, { expired: true }), /expired/],
      [await server.authority.server(['elsewhere.test']), /altnames|does not match/i],
      [await server.authority.client('a client'), /purpose|altnames|usage/i],
    ] as const) {
      const other = await S3Server.start(temp, { authority: server.authority, certificate });
      other.createBucket('trusted');
      await assert.rejects(open({ bucket: other.url('trusted') }), untrusted(text));
      await other.stop();
    }
  });

  test('a server that offers less than TLS 1.2 gets no request', async () => {
    const certificate = await server.authority.server(['127.0.0.1']);
    const old = await bareServer(certificate, {
      maxVersion: 'TLSv1.1',
      minVersion: 'TLSv1',
      ciphers: 'ALL:@SECLEVEL=0',
    });
    await assert.rejects(open({ bucket: `${old.url}/trusted` }), untrusted(/SSL|protocol|version/i));
    assert.deepEqual(old.requests, []);
  });

  test('a client certificate is shown to who asks for one', async () => {
    const certificate = await server.authority.server(['127.0.0.1']);
    const ca = server.authority.pem;
    const asking = await bareServer(certificate, { requestCert: true, rejectUnauthorized: true, ca });
    const own = await server.authority.client('pageseal');
    const [clientCertificate, clientKey] = [own.certificate, own.key].map((path) => readFileSync(path, 'utf8'));
    await (
      await open({ bucket: `${asking.url}/trusted`, clientCertificate, clientKey } as Partial<StoreSettings>)
    ).close();
    assert.equal(asking.requests.length, 1);
    await assert.rejects(open({ bucket: `${asking.url}/trusted` }));
    assert.equal(asking.requests.length, 1);
  });

  test('http is refused, and taken on loopback when asked for', async () => {
    const clear = await S3Server.start(temp, { tls: false });
    clear.createBucket('trusted');
    const place = { bucket: clear.url('trusted'), accessKey: clear.accessKey, secretKey: clear.secretKey };
    await assert.rejects(open(place), {
      code: 'refused',
      message: /transport rule/,
      hint: /--allow-insecure-loopback/,
    });
    const store = await open({ ...place, allowInsecureLoopback: true });
    await store.put('v/clear', [Buffer.from('in '), Buffer.from('clear')]);
    assert.equal((await store.get('v/clear')).toString(), 'in clear');
    await store.close();
  });

  test('a proxy carries the connection and cannot stand in for the store', async () => {
    const proxy = await connectProxy(server.port);
    const through = { HTTPS_PROXY: proxy.url };
    const byName = { storage: 'obs', bucket: `https://trusted.${DOMAIN}:${server.port}` };
    await withEnv(through, async () => {
      const store = await open(byName);
      await store.put('v/tunnel', [Buffer.from('through a tunnel')]);
      for (let i = 0; i < 20; i++) assert.equal((await store.get('v/tunnel')).toString(), 'through a tunnel');
      await store.close();
      assert.deepEqual([...new Set(proxy.asked)], [`trusted.${DOMAIN}:${server.port}`]);
      assert.ok(proxy.asked.length < 4, `a tunnel serves many requests, found ${proxy.asked.length} for 22`);
      // The same server under a name that its certificate does not have; and by an address, which is no server name.
      const elsewhere = `https://trusted.elsewhere.test:${server.port}`;
      await assert.rejects(open({ ...byName, bucket: elsewhere }), untrusted(/altnames|does not match/i));
      await assert.rejects(open({ bucket: `https://127.0.0.9:${server.port}/trusted` }), untrusted(/altnames|IP/i));
      await (await open()).close();
    });
    await withEnv({ ...through, NO_PROXY: '127.0.0.1' }, async () => {
      const before = proxy.asked.length;
      await (await open()).close();
      assert.equal(proxy.asked.length, before);
    });
    proxy.close();
  });

  test('who may not come out on this machine: names are looked up, and nothing is connected to', async () => {
    const way = await TcpProxy.start(temp, server);
    const refused = { code: 'refused', message: / an endpoint rule refuses this machine, its link and its metadata/ };
    const at = (host: string): Partial<StoreSettings> => ({ bucket: `https://${host}:${way.port}/trusted` });
    for (const host of ['localhost', '127.0.0.1', '[::ffff:127.0.0.1]'])
      await assert.rejects(open({ ...at(host), remoteOnly: true }), refused, host);
    assert.equal(way.connections, 0);
    await (await open(at('localhost'))).close();
    assert.notEqual(way.connections, 0, 'without the rule there is a way');
  });

  test('a proxy is where the environment says, and looks names up itself; what it is asked for is refused by its text only', async () => {
    const proxy = await connectProxy(server.port);
    const place = { storage: 'obs', bucket: `https://trusted.${DOMAIN}:${server.port}`, remoteOnly: true };
    await withEnv({ HTTPS_PROXY: proxy.url }, async () => {
      await (await open(place)).close();
      const before = proxy.asked.length;
      for (const host of ['127.0.0.1', 'localhost'])
        await assert.rejects(open({ bucket: `https://${host}:${server.port}/trusted`, remoteOnly: true }), {
          code: 'refused',
        });
      assert.equal(proxy.asked.length, before);
    });
    proxy.close();
  });

  test('a proxy that redirects to http is refused', async () => {
    const answer = 'HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/login\r\nContent-Length: 0\r\n\r\n';
    const proxy = await connectProxy(server.port, answer);
    await withEnv({ HTTPS_PROXY: proxy.url }, () =>
      assert.rejects(open(), { code: 'refused', message: /redirect .* transport rule/ }),
    );
    proxy.close();
  });
});

test('which proxy: HTTPS_PROXY, else ALL_PROXY, unless NO_PROXY names the host or a domain above it', () => {
  const proxy = 'http://proxy.test:3128';
  const env = { HTTPS_PROXY: proxy, NO_PROXY: 'internal.test, .lan:443,10.0.0.1' };
  assert.equal(proxyFor('s3.example.test', env), proxy);
  for (const host of ['internal.test', 's3.internal.test', 'nas.lan', '10.0.0.1'])
    assert.equal(proxyFor(host, env), undefined, host);
  assert.equal(proxyFor('notinternal.test', env), proxy);
  assert.equal(proxyFor('s3.example.test', { all_proxy: proxy }), proxy);
  assert.equal(proxyFor('s3.example.test', { ...env, NO_PROXY: '*' }), undefined);
  assert.equal(proxyFor('s3.example.test', { HTTP_PROXY: proxy }), undefined);
  assert.throws(() => proxyFor('s3.example.test', { ALL_PROXY: 'socks5://user:secret@proxy.test' }), {
    code: 'bad-input',
    message: /^((?!secret).)*$/,
  });
});
