// The command line on a database and a store elsewhere: where passwords, credentials and authorities may come from, what is
// told of them, and that the original client finds the same volume.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { Authority } from '../harness/certificates.ts';
import { Juicefs } from '../harness/juicefs.ts';
import { makeKey, type TestKey } from '../harness/keys.ts';
import { recordsBelow } from '../harness/mount-records.ts';
import { pagesealProgram } from '../harness/pageseal.ts';
import { type Database, PostgresServer } from '../harness/postgres.ts';
import { type Outcome, run } from '../harness/program.ts';
import { S3Server } from '../harness/s3.ts';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';

describe('a database and a store elsewhere', needs(...interopNeeds, 'postgres', 'versitygw'), () => {
  const temp = makeTemp();
  let postgres: PostgresServer;
  let s3: S3Server;
  let database: Database;
  let key: TestKey;
  /** Without the password, which a file holds. */
  let metaUrl: string;
  let bucket: string;
  let reach: string[];

  before(async () => {
    const authority = await Authority.make(temp);
    [postgres, s3, key] = await Promise.all([
      PostgresServer.start(temp, { authority }),
      S3Server.start(temp, { authority }),
      makeKey(temp, 2048, 'pkcs8'),
    ]);
    database = await postgres.createDatabase('life');
    const url = new URL(database.metaUrl);
    writeFileSync(temp.at('password'), `${decodeURIComponent(url.password)}\n`);
    url.password = '';
    metaUrl = url.href;
    bucket = s3.createBucket('bucket');
    reach = ['--ca-bundle', authority.file];
  });

  /** As a careful user: nothing secret on the command line. */
  const pageseal = (args: readonly string[], more: NodeJS.ProcessEnv = {}): Promise<Outcome> =>
    run(pagesealProgram, args, {
      env: { ...temp.env, META_PASSWORD_FILE: temp.at('password'), ...more },
      input: '',
    });
  const ok = async (args: readonly string[], more: NodeJS.ProcessEnv = {}): Promise<string> => {
    const { code, stdout, stderr } = await pageseal(args, more);
    assert.equal(code, 0, `${args.join(' ')}\n${stdout}${stderr}`);
    return stdout + stderr;
  };
  const credentials = (): NodeJS.ProcessEnv => ({ ACCESS_KEY: s3.accessKey, SECRET_KEY: s3.secretKey });

  test('the life of a volume that both clients use', async () => {
    const mountPoint = temp.folder('mnt');
    const sealed = ['--encrypt-rsa-key', key.file];
    const place = ['--storage', 'minio', '--bucket', bucket];
    const format = [
      'format',
      metaUrl,
      'life',
      ...place,
      ...reach,
      ...sealed,
      '--compress',
      'zstd',
      '--trash-days',
      '0',
    ];
    await ok(format, credentials());
    assert.match(await ok(format, credentials()), /was there already/);
    assert.equal((await pageseal(format, { ...credentials(), SECRET_KEY: 'other-secret' })).code, 5);
    const status = await ok(['status', metaUrl]);
    assert.match(status, /metadata +postgres:\/\/life@127\.0\.0\.1:\d+\/life/);
    assert.match(status, new RegExp(`objects +minio ${bucket}/life/`));
    assert.doesNotMatch(status + (await ok(['config', metaUrl])), new RegExp(s3.secretKey));

    const log = temp.at('log');
    await ok(['mount', '-d', metaUrl, mountPoint, ...reach, '--log', log]);
    writeFileSync(`${mountPoint}/ours`, 'from ours '.repeat(10_000));
    const records = recordsBelow(temp.path);
    assert.equal(records.length, 1);
    assert.doesNotMatch(JSON.stringify(records), /test-only|BEGIN/);
    // Paths on a mount lead to its volume; the record has no password, so the file is asked again.
    assert.match(await ok(['info', `${mountPoint}/ours`]), /length +100000/);
    await ok(['clone', `${mountPoint}/ours`, `${mountPoint}/cloned`, ...reach]);
    await ok(['rmr', `${mountPoint}/cloned`, ...reach]);
    await ok(['umount', mountPoint]);

    const juicefs = new Juicefs(temp, undefined, { SSL_CERT_FILE: postgres.authority.file });
    const theirs = temp.at('theirs');
    await juicefs.mount(database.metaUrl, theirs);
    assert.equal(readFileSync(`${theirs}/ours`, 'utf8').length, 100_000);
    writeFileSync(`${theirs}/theirs`, 'from theirs');
    await juicefs.umount(theirs);
    assert.deepEqual(await juicefs.fsck(database.metaUrl), []);

    await ok(['fsck', '--deep', metaUrl, ...reach]);
    await ok(['gc', '--delete', '--older-than', '0', metaUrl, ...reach]);
    await ok(['compact', metaUrl, '/', ...reach]);
    await ok(['dump', metaUrl, temp.at('life.json')]);
    assert.doesNotMatch(readFileSync(temp.at('life.json'), 'utf8'), new RegExp(s3.secretKey));
  });

  test('what is changed in the record is tried on the store first', async () => {
    const before = await ok(['config', metaUrl]);
    const refused = await pageseal(['config', metaUrl, '--secret-key', 'not-the-secret', ...reach]);
    assert.equal(refused.code, 3, refused.stderr);
    assert.doesNotMatch(refused.stderr, /not-the-secret/);
    assert.equal((await pageseal(['config', metaUrl, '--bucket', s3.createBucket('empty'), ...reach])).code, 6);
    assert.equal(await ok(['config', metaUrl]), before);
    await ok(['config', metaUrl, '--upload-limit', '100', '--storage-class', 'STANDARD', ...reach]);
    assert.match(await ok(['status', metaUrl]), /storage class STANDARD/);
  });

  test('credentials that are exchanged at the store and in the record are taken up by a mount that is up', async () => {
    const mountPoint = temp.folder('exchanged');
    await ok(['mount', '-d', metaUrl, mountPoint, ...reach, '--log', temp.at('exchanged.log')]);
    writeFileSync(`${mountPoint}/before`, 'before');
    await s3.stop();
    Object.assign(s3, { accessKey: 'key-of-tomorrow', secretKey: 'secret-of-tomorrow' });
    await s3.start();
    const changed = ['--access-key', s3.accessKey, '--secret-key', s3.secretKey, ...reach];
    await ok(['config', metaUrl, ...changed]);
    writeFileSync(`${mountPoint}/after`, 'after');
    await ok(['umount', mountPoint]);
    await ok(['fsck', '--deep', metaUrl, ...reach]);
    assert.match(readFileSync(temp.at('exchanged.log'), 'utf8'), /credentials that the record has now/);
    assert.doesNotMatch(readFileSync(temp.at('exchanged.log'), 'utf8'), /secret-of-tomorrow/);
  });

  test('without the password, or without the authority of the store, nothing opens', async () => {
    const withoutPassword = await pageseal(['status', metaUrl], { META_PASSWORD_FILE: '' });
    assert.notEqual(withoutPassword.code, 0);
    const wrong = await pageseal(['status', metaUrl], { META_PASSWORD: 'wrong-password' });
    assert.notEqual(wrong.code, 0);
    assert.doesNotMatch(wrong.stderr, /wrong-password/);
    const untrusted = await pageseal(['gc', metaUrl]);
    assert.equal(untrusted.code, 8, untrusted.stderr);
    assert.match(untrusted.stderr, /certificate|authority/i);
  });

  test('a password in the META-URL works, with a word about who sees it', async () => {
    assert.match(await ok(['status', database.metaUrl], { META_PASSWORD_FILE: '' }), /META_PASSWORD_FILE/);
  });

  test('credentials and authorities of the environment reach the worker, and neither the record nor what the kernel shows', async () => {
    const own = `${metaUrl}&table_prefix=chain`;
    const chain = {
      AWS_ACCESS_KEY_ID: s3.accessKey,
      AWS_SECRET_ACCESS_KEY: s3.secretKey,
      NODE_EXTRA_CA_CERTS: postgres.authority.file,
    };
    await ok(['format', own, 'chain', '--storage', 'minio', '--bucket', bucket], chain);
    const record = await postgres.sql("SELECT value FROM jfs_chain_setting WHERE name = 'format'", 'life');
    assert.doesNotMatch(record, /AccessKey|SecretKey/);
    const mountPoint = temp.folder('chain');
    const mount = ['mount', '-d', own, mountPoint, '--log', temp.at('chain.log')];
    assert.notEqual((await pageseal(mount)).code, 0);
    await ok(mount, chain);
    writeFileSync(`${mountPoint}/file`, 'by the chain');
    const workers = readdirSync('/proc').filter((pid) => isOurWorker(Number(pid)));
    assert.equal(workers.length, 1);
    assert.doesNotMatch(readFileSync(`/proc/${workers[0]}/environ`, 'latin1'), /AWS_|CA_CERTS/);
    await ok(['umount', mountPoint]);
    await ok(['fsck', '--deep', own], chain);
  });

  /** The worker holds the mount's log open, its keeper too; only one of them is a worker. */
  function isOurWorker(pid: number): boolean {
    if (!Number.isInteger(pid)) return false;
    try {
      const isWorker = readFileSync(`/proc/${pid}/cmdline`, 'latin1').endsWith('\0worker\0');
      return isWorker && readlinkSync(`/proc/${pid}/fd/2`) === temp.at('chain.log');
    } catch {
      return false; // it ended meanwhile
    }
  }

  test('of two that format at once one makes the volume, and the other finds it', async () => {
    const place = ['--storage', 'minio', '--bucket', bucket, ...reach];
    const format = ['format', `${metaUrl}&table_prefix=race`, 'race', ...place];
    const said = await Promise.all([ok(format, credentials()), ok(format, credentials()), ok(format, credentials())]);
    assert.equal(said.filter((text) => /^formatted race/m.test(text)).length, 1, said.join(''));
    assert.equal(said.filter((text) => /was there already/.test(text)).length, 2, said.join(''));
    const counters = await postgres.sql('SELECT COUNT(*), SUM(value) FROM jfs_race_counter', 'life');
    assert.equal(counters, '6\t3');
  });

  test('destroy takes every object below the name and every table of the volume, and nothing else', async () => {
    await ok(
      ['format', `${metaUrl}&table_prefix=other`, 'other', '--storage', 'minio', '--bucket', bucket, ...reach],
      credentials(),
    );
    await postgres.sql('CREATE TABLE theirs (n int)', 'life');
    writeFileSync(`${s3.folder}/bucket/lifeguard`, 'not of the volume');
    const { Setting } = JSON.parse(await ok(['status', '--json', metaUrl])) as { Setting: { UUID: string } };
    const said = await ok(['destroy', metaUrl, Setting.UUID, '--yes', ...reach]);
    assert.match(said, /objects deleted/);
    assert.equal(existsSync(`${s3.folder}/bucket/life`), false);
    assert(existsSync(`${s3.folder}/bucket/lifeguard`) && existsSync(`${s3.folder}/bucket/other`));
    const tables = await postgres.sql(
      "SELECT string_agg(tablename, ' ') FROM pg_tables WHERE schemaname = 'public'",
      'life',
    );
    assert.deepEqual(
      tables.split(' ').filter((name) => !/^(jfs|pageseal)_(other|race|chain)_/.test(name)),
      ['theirs'],
    );
    await ok(['fsck', `${metaUrl}&table_prefix=other`, ...reach]);
  });
});
