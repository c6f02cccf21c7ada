// S3 servers that are not who they should be, as the command line meets them: each is refused by the rule, which is named
// with its setting, before anything is said, and nothing is written. Those that are get the objects.
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { connectProxy } from '../filesystem/store/connect-proxy.ts';
import { makeCalls } from '../harness/calls.ts';
import { Authority } from '../harness/certificates.ts';
import { makeKey } from '../harness/keys.ts';
import { run } from '../harness/program.ts';
import { type S3Options, S3Server } from '../harness/s3.ts';
import { redirect, S3Proxy } from '../harness/s3-proxy.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { flaws } from './flaws.ts';
import { Suspect } from './suspect.ts';
import { tlsFront } from './tls-front.ts';

const PASSPHRASE = 'passphrase for who is who it is';
const ADDRESS = '127.0.0.1';
const RULE = [/the rule: TLS/, /--ca-bundle/];

describe('S3 servers', needs('root', 'fuse', 'openssl', 'python3', 'the addon', 'versitygw'), () => {
  const temp = makeTemp();
  const mountPoint = temp.folder('mount');
  const file = `${mountPoint}/file`;
  const metaUrl = `sqlite3://${temp.at('volume.db')}`;
  const otherDatabase = temp.at('other.db');
  let server: S3Server;
  let suspect: Suspect;
  let trust: string[];

  before(async () => {
    server = await S3Server.start(temp);
    const { secretKey, accessKey } = server;
    const env = { ACCESS_KEY: accessKey, SECRET_KEY: secretKey, JFS_RSA_PASSPHRASE: PASSPHRASE };
    suspect = new Suspect(temp, env, { secretKey, PASSPHRASE });
    trust = ['--ca-bundle', server.authority.file];
    server.createBucket('other');
    const key = await makeKey(temp, 2048, 'pkcs8', PASSPHRASE);
    const place = ['--storage', 'minio', '--bucket', server.createBucket('volume'), '--encrypt-rsa-key', key.file];
    await suspect.ok(['format', metaUrl, 'volume', ...place, ...trust]);
    await withMount([], async () => {
      assert.deepEqual(await makeCalls([['write', file, 0, 7, 1000]]), ['1000']);
    });
  });

  /** As it should be, but for what is said. */
  async function changed(options: S3Options = {}): Promise<void> {
    const certificate = options.certificate ?? (await server.authority.server([ADDRESS]));
    await server.change({ tls: true, ...options, certificate });
  }

  const urlOf = (bucket: string, port = server.port): string => `https://${ADDRESS}:${port}/${bucket}`;
  const mountOf = (flags: readonly string[]): string[] => {
    const how = ['--log', temp.at('mount.log'), '--io-retries', '1', '--backup-meta', '0'];
    return ['mount', '-d', metaUrl, mountPoint, ...how, ...trust, ...flags];
  };

  async function withMount(flags: readonly string[], work: () => Promise<void>): Promise<void> {
    await suspect.ok(mountOf(flags));
    await work();
    await suspect.ok(['umount', mountPoint]);
  }

  const goesThrough = (flags: readonly string[] = []): Promise<void> =>
    withMount(flags, async () => {
      assert.deepEqual(await makeCalls([['read', file, 0, 1000]]), ['7*1000']);
    });

  const objects = (): string[] => readdirSync(server.folder, { recursive: true, encoding: 'utf8' }).sort();

  /** By commands that come as strangers, and those that know the volume; the last `--bucket` counts. */
  async function refusesAll(
    words: readonly RegExp[],
    { port = server.port, env = {}, url = urlOf }: { port?: number; env?: NodeJS.ProcessEnv; url?: typeof urlOf } = {},
  ): Promise<void> {
    const before = objects();
    const other = ['--storage', 'minio', '--bucket', url('other', port), ...trust];
    await suspect.refuses(['format', `sqlite3://${otherDatabase}`, 'other', ...other], words, env);
    const volume = ['--bucket', url('volume', port)];
    await suspect.refuses(mountOf(volume), words, env);
    await suspect.refuses(['fsck', metaUrl, ...trust, ...volume], words, env);
    assert.deepEqual(objects(), before);
    assert.equal(existsSync(otherDatabase) && (await isFormatted()), false);
    assert.deepEqual(temp.mounts(), []);
  }

  const isFormatted = async (): Promise<boolean> =>
    (await suspect.run(['status', `sqlite3://${otherDatabase}`])).code !== 4;

  for (const { name, says, make } of flaws)
    test(`${name} is refused`, async () => {
      await changed({ certificate: await make(temp, server.authority) });
      await refusesAll([says, ...RULE]);
    });

  test('a server without TLS is refused, by its address and by what it says', async () => {
    await changed({ tls: false });
    await refusesAll([/wrong version number|packet length/, ...RULE]);
    const url = (bucket: string): string => server.url(bucket);
    await refusesAll([/the transport rule refuses connections without TLS/, /use https:\/\//], { url });
  });

  test('a server that knows no TLS 1.2 is refused', async () => {
    await changed();
    const certificate = await server.authority.server([ADDRESS]);
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' } as const;
    const { port, heard } = await tlsFront(temp, server, certificate, old);
    const client = ['s_client', '-connect', `${ADDRESS}:${port}`, '-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'];
    const { stdout } = await run('openssl', client, { env: temp.env, input: '' });
    assert.match(stdout, /Protocol *: TLSv1.1/, 'it speaks TLS 1.1 with those who do');
    await refusesAll([/protocol version|unsupported protocol/i, ...RULE], { port });
    assert.equal(heard(), 0);
  });

  test('a redirection to clear text is refused, and nobody goes there', async () => {
    await changed();
    const clear = await S3Server.start(temp, { tls: false });
    const proxy = await S3Proxy.start(temp, server);
    proxy.inject(redirect(clear.url('volume')));
    await refusesAll([/redirect from .* to/, /the transport rule refuses connections without TLS/], {
      port: proxy.port,
    });
    assert.ok(proxy.seen.length >= 3, 'each command asked once');
    assert.deepEqual(readdirSync(clear.folder), []);
  });

  test('a proxy that stands in for the server is refused; one that carries is not', async () => {
    await changed();
    const foreign = await Authority.make(temp);
    const impostor = await S3Server.start(temp, { authority: foreign });
    const caught = await connectProxy(impostor.port);
    await refusesAll([/unable to (verify|get local issuer)/, ...RULE], { env: { HTTPS_PROXY: caught.url } });
    assert.ok(caught.asked.length >= 3, 'each command went through it');
    assert.deepEqual(readdirSync(impostor.folder), []);
    caught.close();
    const carrier = await connectProxy(server.port);
    const through = await suspect.run(['fsck', metaUrl, '--deep', ...trust], { HTTPS_PROXY: carrier.url });
    assert.equal(through.code, 0, through.stderr);
    assert.ok(carrier.asked.length > 0);
    carrier.close();
  });

  test('who has to show a certificate is told so', async () => {
    await changed();
    const certificate = await server.authority.server([ADDRESS]);
    const asking = { requestCert: true, rejectUnauthorized: true, ca: server.authority.pem };
    const { port, heard } = await tlsFront(temp, server, certificate, asking);
    await refusesAll([/certificate required|handshake failure/, /client certificate/], { port });
    assert.equal(heard(), 0);
  });

  test('a server that proves itself gets the objects', async () => {
    await changed();
    await goesThrough();
    const foreign = await Authority.make(temp);
    await suspect.refuses(['fsck', metaUrl, '--ca-bundle', foreign.file], [/unable to/, ...RULE]);
  });

  test('a mount whose server turns into somebody else sends it nothing, and goes on when it is back', async () => {
    await changed();
    await withMount([], async () => {
      const before = objects();
      await changed({ certificate: await (await Authority.make(temp)).server([ADDRESS]) });
      const another = `${mountPoint}/another`;
      assert.deepEqual(
        await makeCalls([
          ['write', another, 0, 1, 10],
          ['fsync', another],
        ]),
        ['10', 'EIO'],
      );
      assert.deepEqual(await makeCalls([['read', file, 0, 1000]]), ['EIO']);
      assert.deepEqual(objects(), before);
      await changed();
      assert.deepEqual(
        await makeCalls([
          ['write', another, 0, 1, 10],
          ['read', file, 0, 10],
        ]),
        ['10', '7*10'],
      );
    });
    await goesThrough();
  });
});
