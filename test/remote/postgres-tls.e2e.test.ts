// PostgreSQL servers that are not who they should be, as the command line meets them: each is refused by the rule, which is
// named with its setting, before anything is said, and nothing is written. Those that are get the volume.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { makeCalls } from '../harness/calls.ts';
import { Authority } from '../harness/certificates.ts';
import { makeKey } from '../harness/keys.ts';
import { type PostgresOptions, PostgresServer } from '../harness/postgres.ts';
import { run } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { flaws } from './flaws.ts';
import { stripTls } from './strip.ts';
import { Suspect } from './suspect.ts';

const PASSPHRASE = 'passphrase for who is who it is';
const ADDRESS = '127.0.0.1';

describe('PostgreSQL servers', needs('root', 'fuse', 'openssl', 'python3', 'the addon', 'postgres'), () => {
  const temp = makeTemp();
  const mountPoint = temp.folder('mount');
  const file = `${mountPoint}/file`;
  const otherBucket = `${temp.folder('other')}/`;
  let server: PostgresServer;
  let suspect: Suspect;

  before(async () => {
    server = await PostgresServer.start(temp);
    await Promise.all(['volume', 'other'].map((name) => server.createDatabase(name)));
    const password = decodeURIComponent(new URL(server.url('volume')).password);
    suspect = new Suspect(temp, { META_PASSWORD: password, JFS_RSA_PASSPHRASE: PASSPHRASE }, { password, PASSPHRASE });
    const key = await makeKey(temp, 2048, 'pkcs8', PASSPHRASE);
    const place = ['--storage', 'file', '--bucket', `${temp.folder('objects')}/`, '--encrypt-rsa-key', key.file];
    await suspect.ok(['format', urlOf('volume'), 'volume', ...place]);
    await withMount(urlOf('volume'), async () => {
      assert.deepEqual(await makeCalls([['write', file, 0, 7, 1000]]), ['1000']);
    });
  });

  /** As it should be, but for what is said. */
  async function changed(options: PostgresOptions = {}): Promise<void> {
    const certificate = options.certificate ?? (await server.authority.server([ADDRESS]));
    await server.change({ tls: 'only', clientCertificates: false, settings: [], ...options, certificate });
  }

  /** Without the password, which is in the environment. */
  function urlOf(name: 'volume' | 'other', options: Record<string, string> = {}, port = server.port): string {
    const url = new URL(server.url(name, options, `${ADDRESS}:${port}`));
    url.password = '';
    return url.href;
  }

  const mountOf = (url: string): string[] => ['mount', '-d', url, mountPoint, '--log', temp.at('mount.log')];

  async function withMount(url: string, work: () => Promise<void>): Promise<void> {
    await suspect.ok([...mountOf(url), '--io-retries', '1']);
    await work();
    await suspect.ok(['umount', mountPoint]);
  }

  /** Everything that the server has: rows of the volume, tables of the other database. */
  async function written(): Promise<string> {
    const volume = ['setting', 'node', 'session2'].map((table) => `(SELECT COUNT(*) FROM jfs_${table})`);
    const tables = `SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'public'`;
    const counts = await server.sql(`SELECT ${volume.join()}, (SELECT MAX(mtime) FROM jfs_node)`, 'volume');
    return `${counts} ${await server.sql(tables, 'other')}`;
  }

  /** By commands that come as strangers, and those that know the volume. */
  async function refusesAll(words: readonly RegExp[], options: Record<string, string> = {}, port = server.port) {
    const before = await written();
    const place = ['--storage', 'file', '--bucket', otherBucket];
    await suspect.refuses(['format', urlOf('other', options, port), 'other', ...place], words);
    await suspect.refuses(mountOf(urlOf('volume', options, port)), words);
    await suspect.refuses(['fsck', urlOf('volume', options, port)], words);
    assert.equal(await written(), before);
    assert.deepEqual(readdirSync(otherBucket), []);
    assert.deepEqual(temp.mounts(), []);
  }

  const goesThrough = (options: Record<string, string> = {}): Promise<void> =>
    withMount(urlOf('volume', options), async () => {
      assert.deepEqual(await makeCalls([['read', file, 0, 1000]]), ['7*1000']);
    });

  for (const { name, says, make } of flaws)
    test(`${name} is refused`, async () => {
      await changed({ certificate: await make(temp, server.authority) });
      await refusesAll([says, /sslmode=verify-full/, /sslrootcert/]);
      // What the original client takes for weaker checks is the full one here.
      if (name === 'a wrong host name') await refusesAll([says, /verify-full/], { sslmode: 'require' });
    });

  test('a server without TLS is refused', async () => {
    await changed({ tls: 'none' });
    await refusesAll([/the server offers no TLS, and metadata never travels in clear text/, /sslmode=disable is for/]);
  });

  test('a server that knows no TLS 1.2 is refused', async () => {
    const settings = [`ssl_min_protocol_version = 'TLSv1'`, `ssl_max_protocol_version = 'TLSv1.1'`];
    await changed({ settings: [...settings, `ssl_ciphers = 'ALL:@SECLEVEL=0'`] });
    const old = ['s_client', '-starttls', 'postgres', '-connect', `${ADDRESS}:${server.port}`, '-tls1_1'];
    const { stdout } = await run('openssl', [...old, '-cipher', 'ALL:@SECLEVEL=0'], { env: temp.env, input: '' });
    assert.match(stdout, /Protocol *: TLSv1.1/, 'it speaks TLS 1.1 with those who do');
    await refusesAll([/protocol version|unsupported protocol/i, /verify-full/, /TLS 1\.2/]);
  });

  test('somebody between who strips TLS hears nothing', async () => {
    await changed({ tls: 'offered' });
    const strip = await stripTls(temp, server);
    const careless = [
      '-XAtc',
      `SELECT 'careless word'`,
      server.url('volume', { sslmode: 'prefer' }, `${ADDRESS}:${strip.port}`),
    ];
    assert.equal((await run('psql', careless, { env: temp.env })).stdout.trim(), 'careless word');
    const heard = strip.heard();
    assert.match(heard, /careless word/, 'psql with sslmode=prefer is talked out of TLS');
    await refusesAll([/the server offers no TLS/], {}, strip.port);
    assert.equal(strip.heard(), heard);
  });

  test('who has to show a certificate is told so, and gets in with it', async () => {
    await changed({ clientCertificates: true });
    const { code, stderr } = await suspect.run(['fsck', urlOf('volume')]);
    assert.equal(code, 7, stderr);
    assert.match(stderr, /valid client certificate/);
    assert.match(stderr, /sslcert and sslkey/);
    const { certificate, key } = await server.authority.client('volume');
    await goesThrough({ sslcert: certificate, sslkey: key });
    const pem = { sslcert: readFileSync(certificate, 'utf8'), sslkey: readFileSync(key, 'utf8') };
    await goesThrough({ ...pem, sslrootcert: server.authority.pem });
  });

  test('a server that proves itself gets the volume: authority by file and as text', async () => {
    await changed();
    await goesThrough();
    await goesThrough({ sslrootcert: server.authority.pem });
    const foreign = await Authority.make(temp);
    await refusesAll([/verify-full/, /sslrootcert/], { sslrootcert: foreign.file });
  });

  test('a mount whose server turns into somebody else tells it nothing, and goes on when it is back', async () => {
    await changed();
    await withMount(urlOf('volume'), async () => {
      const before = await written();
      await changed({ certificate: await (await Authority.make(temp)).server([ADDRESS]) });
      assert.deepEqual(await makeCalls([['write', `${mountPoint}/another`, 0, 1, 10]]), ['EIO']);
      assert.equal(await written(), before);
      await changed();
      assert.deepEqual(await makeCalls([['write', `${mountPoint}/another`, 0, 1, 10]]), ['10']);
    });
    await goesThrough();
  });
});
