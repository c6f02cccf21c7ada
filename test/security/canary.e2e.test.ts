// Key material and passphrases, planted as canaries, must be nowhere but where the user put them: not in what any process
// says at its highest log level, not in command lines and environments, errors, metadata, objects, state or temporary
// files. On the command line first, then the whole life of CSI volumes, failing calls included.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { after, before, describe, test } from 'node:test';
import type { ServiceError } from '@grpc/grpc-js';
import { CsiNode, processes } from '../harness/csi-node.ts';
import { makeKey, publicHalf, type TestKey } from '../harness/keys.ts';
import { pagesealProgram } from '../harness/pageseal.ts';
import { run } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { AttackedVolume } from './attacked-volume.ts';
import { Canaries } from './canaries.ts';
import { ProcessWatch } from './process-watch.ts';

const needed = needs('root', 'fuse', 'openssl', 'the addon');
const secret = (name: string): string => `${name}-${randomBytes(12).toString('hex')}`;
/** Where escaping changes the text. */
const PASSPHRASE = `${secret('pass')} "quoted" \\ é`;
const WRONG = secret('guess');
const ACCESS_KEY = secret('AKIA');
const SECRET_KEY = `${secret('secret')}/+"x`;
const URL_PASSWORD = secret('password');

/** Files where everybody may put some. */
const shared = (): string[] =>
  [tmpdir(), '/dev/shm'].flatMap((folder) =>
    readdirSync(folder, { withFileTypes: true }).flatMap((entry) => (entry.isFile() ? `${folder}/${entry.name}` : [])),
  );

describe('canaries', needed, () => {
  /** What the user keeps, and what our programs may write: two folders, and only the second is searched. */
  const users = makeTemp();
  const ours = makeTemp();
  const canaries = new Canaries();
  const said: string[] = [];
  let watch: ProcessWatch;
  let key: TestKey;
  let other: TestKey;
  let old: ReadonlySet<string>;

  before(async () => {
    old = new Set(shared());
    key = await makeKey(users, 2048, 'pkcs8', PASSPHRASE);
    other = await makeKey(users, 2048, 'traditional', PASSPHRASE);
    for (const [name, text] of Object.entries({ PASSPHRASE, WRONG, ACCESS_KEY, SECRET_KEY, URL_PASSWORD }))
      canaries.addText(name, text);
    for (const [name, { file }] of Object.entries({ key, other })) {
      canaries.addPem(name, readFileSync(file, 'utf8').replace(/^[A-Z].*: .*$/gm, ''));
      canaries.addPrivateNumbers(name, readFileSync(file, 'utf8'), PASSPHRASE);
    }
    watch = new ProcessWatch();
  });
  after(() => watch?.stop());

  /** Every place that a program of ours can have written to. */
  function expectNothingLeft(): void {
    watch.look();
    assert.deepEqual(
      said.flatMap((text) => canaries.findIn(Buffer.from(text))),
      [],
    );
    // Our programs' temporary files are in our folder; beside it only files are looked at, folders may be anybody's.
    const fresh = shared().filter((path) => !old.has(path));
    const places = [ours.path, '/run/pageseal-mounts', '/var/log/pageseal.log', ...fresh];
    const mounts = ours.mounts();
    const found = places.flatMap((place) => canaries.findBelow(place, mounts));
    // The format's record names the id of the store's credentials, in clear; it is no secret.
    assert.deepEqual(
      found.filter((line) => !/meta\.db(-wal)?: ACCESS_KEY$/.test(line)),
      [],
    );
    for (const { pid, parent, cmdline, cmdlines, environs } of watch.seen.values()) {
      // The one that the user gave the variable to keeps it: the kernel shows what it was started with.
      const givenIt = parent === process.pid;
      for (const text of [...cmdlines, ...(givenIt ? [] : environs)])
        assert.deepEqual(canaries.findIn(Buffer.from(text, 'latin1')), [], `process ${pid}: ${cmdline}`);
    }
  }

  test('the search finds what is there, in every form', () => {
    const pem = readFileSync(key.file, 'utf8');
    const forms = [
      PASSPHRASE, JSON.stringify({ a: PASSPHRASE }), Buffer.from(`x${PASSPHRASE}`).toString('base64'), pem,
      Buffer.from(`xx${PASSPHRASE}`).toString('hex'), Buffer.from(pem).toString('base64'), encodeURIComponent(PASSPHRASE),
    ]; // biome-ignore format: a list
    for (const form of forms) assert.notDeepEqual(canaries.findIn(Buffer.from(form)), [], form);
    assert.notDeepEqual(canaries.findBelow(users.path), []);
  });

  describe('the command line', () => {
    /** Runs a command as a user does who has the passphrase in the environment. */
    async function pageseal(args: readonly string[], passphrase: string | undefined = PASSPHRASE): Promise<number> {
      const env = { ...ours.env, JFS_RSA_PASSPHRASE: passphrase, TMPDIR: ours.folder('tmp') };
      const { code, stdout, stderr } = await run(pagesealProgram, ['--log-level', 'debug', ...args], {
        env,
        input: '',
      });
      said.push(stdout, stderr);
      return code;
    }

    for (const custody of ['--rsa-key', '--encrypt-rsa-key'] as const)
      test(`the life of a volume, ${custody}`, async () => {
        const volume = new AttackedVolume(ours, custody.slice(2), key, custody);
        const { metaUrl, mountPoint, bucket, keyFlags, logFile } = volume;
        const log = ['--log', logFile];
        mkdirSync(mountPoint);
        assert.equal(
          await pageseal(['format', metaUrl, 'vol', '--storage', 'file', '--bucket', bucket, custody, key.file]),
          0,
        );
        assert.equal(await pageseal(['status', metaUrl]), 0);
        assert.equal(await pageseal(['status', '--json', metaUrl]), 0);
        assert.equal(await pageseal(['mount', '-d', metaUrl, mountPoint, ...log, ...keyFlags], WRONG), 3);
        if (custody === '--rsa-key')
          assert.equal(await pageseal(['mount', '-d', metaUrl, mountPoint, ...log, '--rsa-key', other.file]), 3);
        assert.equal(await pageseal(['mount', '-d', metaUrl, mountPoint, ...log, ...keyFlags]), 0);
        writeFileSync(volume.path('file'), randomBytes(100_000));
        expectOnlyTheUnlockedKey(await volume.worker());
        expectNothingLeft();
        assert.equal(await pageseal(['info', metaUrl, '/file']), 0);
        assert.equal(await pageseal(['umount', mountPoint]), 0);
        assert.equal(await pageseal(['fsck', '--deep', metaUrl, ...keyFlags]), 0, said.slice(-2).join('\n'));
        assert.equal(await pageseal(['fsck', '--deep', metaUrl, ...keyFlags], WRONG), 3);
        assert.equal(await pageseal(['mount', '-d', metaUrl, mountPoint, ...log, ...keyFlags]), 0);
        process.kill(await volume.worker(), 'SIGKILL');
        writeFileSync(volume.path('after'), 'served by a successor');
        assert.equal(await pageseal(['umount', mountPoint]), 0);
        expectNothingLeft();
      });

    test('errors do not quote secrets', async () => {
      const pem = readFileSync(key.file, 'utf8');
      writeFileSync(users.at('cut.pem'), pem.slice(0, 900));
      writeFileSync(users.at('not-base64.pem'), pem.replace(/\n(.{30})/, '\n$1#'));
      writeFileSync(users.at('passphrase'), WRONG);
      const metaUrl = `sqlite3://${ours.at('rsa-key-meta/meta.db')}`;
      for (const name of ['cut.pem', 'not-base64.pem'])
        assert.equal(await pageseal(['mount', metaUrl, ours.at('mnt'), '--rsa-key', users.at(name)]), 3);
      const wrong = ['--rsa-key', key.file, '--passphrase-file', users.at('passphrase')];
      assert.equal(await pageseal(['mount', metaUrl, ours.at('mnt'), ...wrong]), 3);
      watch.stop(); // a url is on the command line of the process that the user gave it to
      for (const url of [
        `postgres://me:${URL_PASSWORD}@db/x`,
        `redis://:${URL_PASSWORD}@db/1`,
        `:${URL_PASSWORD}@db/1`,
      ])
        assert.notEqual(await pageseal(['status', url]), 0);
      watch = new ProcessWatch();
      expectNothingLeft();
    });
  });

  describe('CSI', () => {
    const csi = new CsiNode({ env: { ...ours.env, TMPDIR: ours.folder('tmp') }, at: (...parts) => ours.at(...parts) });
    before(() => csi.start());
    after(() => csi.stop());

    /** The call's code; what it says is searched with the rest. */
    async function code(service: 'Controller' | 'Node', method: string, request: object): Promise<string> {
      try {
        said.push(
          JSON.stringify(await (service === 'Node' ? csi.node : csi.controller).call(service, method, request)),
        );
        return 'OK';
      } catch (error) {
        const { details, message, metadata } = error as ServiceError;
        said.push(details, message, JSON.stringify(metadata?.toJSON() ?? ''));
        return /^\d+ ([A-Z_]+)/.exec(message)?.[1] ?? message;
      }
    }

    test('the life of a volume, and every way in which a secret can be wrong', async () => {
      const pem = readFileSync(key.file, 'utf8');
      const otherPem = readFileSync(other.file, 'utf8');
      const publicKey = readFileSync(await publicHalf(users, key), 'utf8');
      const envs = JSON.stringify({ JFS_RSA_PASSPHRASE: PASSPHRASE });
      const credentials = { 'access-key': ACCESS_KEY, 'secret-key': SECRET_KEY };
      const provisioner = { 'rsa-public-key': publicKey, ...credentials };
      const secrets = { 'rsa-key': pem, envs, ...credentials };
      const volume = await csi.create('pvc-canary', provisioner);
      const stage = (changed: object, more: object = {}): Promise<string> =>
        code('Node', 'nodeStageVolume', csi.stageRequest(volume, { ...secrets, ...changed }, more));
      const create = (changed: object, parameters: object = {}): Promise<string> =>
        code('Controller', 'createVolume', {
          name: `pvc-${randomBytes(4).toString('hex')}`,
          secrets: { ...provisioner, ...changed },
          parameters,
          volumeCapabilities: [{ mount: {}, accessMode: { mode: 'SINGLE_NODE_WRITER' } }],
        });

      for (const changed of [
        { envs: JSON.stringify({ JFS_RSA_PASSPHRASE: WRONG }) }, { envs: `{"JFS_RSA_PASSPHRASE":"${WRONG}"` },
        { envs: `{"JFS_RSA_PASSPHRASE":["${WRONG}"]}` }, { envs: `"${WRONG}"` }, { passphrase: WRONG }, { 'rsa-key': otherPem },
        { 'rsa-key': pem.slice(0, 900) }, { 'rsa-key': WRONG }, { 'rsa-key': pem.repeat(20) }, { metaurl: `postgres://a:${URL_PASSWORD}@h/d` },
        { metaurl: `mysql://a:${URL_PASSWORD}@(h)/d` }, { metaurl: `:${URL_PASSWORD}@h` }, { bucket: `https://a:${URL_PASSWORD}@b.example/` }, { 'secret-key': `${SECRET_KEY}\n${SECRET_KEY}` },
      ]) // biome-ignore format: a table
        assert.notEqual(await stage(changed), 'OK', Object.keys(changed).join());
      for (const changed of [
        { 'rsa-public-key': pem }, { 'rsa-public-key': WRONG }, { encrypt_rsa_key: WRONG }, { encrypt_rsa_key: pem },
        { 'format-options': `passphrase=${WRONG}` }, { metaurl: `postgres://a:${URL_PASSWORD}@h/d` }, { name: `${WRONG}/../x` },
      ]) // biome-ignore format: a table
        assert.notEqual(await create(changed), 'OK', Object.keys(changed).join());
      for (const parameters of [{ 'rsa-key': pem }, { passphrase: WRONG }, { 'secret-key': SECRET_KEY }])
        assert.notEqual(await create({}, parameters), 'OK', Object.keys(parameters).join());

      await csi.stage(volume, secrets);
      const path = await csi.publish(volume, 'pod', secrets);
      writeFileSync(`${path}/file`, randomBytes(50_000));
      const publish = (changed: object): Promise<string> =>
        code('Node', 'nodePublishVolume', csi.publishRequest(volume, 'thief', { ...secrets, ...changed }));
      assert.equal(await publish({ envs: JSON.stringify({ JFS_RSA_PASSPHRASE: WRONG }) }), 'UNAUTHENTICATED');
      assert.equal(await publish({ 'rsa-key': otherPem }), 'PERMISSION_DENIED');
      expectNothingLeft();
      await csi.unpublish(volume, 'pod');
      await csi.unstage(volume);
      await csi.delete(volume, provisioner);

      const inMetadata = { encrypt_rsa_key: pem, envs, ...credentials };
      const second = await csi.create('pvc-in-metadata', inMetadata);
      await csi.stage(second, { envs, ...credentials });
      expectNothingLeft();
      await csi.unstage(second);
      await csi.delete(second, inMetadata);
      for (const name of processes) said.push(readFileSync(csi.logFile(name), 'utf8'));
      expectNothingLeft();
    });

    test('no process of ours may leave a core file', () => {
      watch.look();
      const isNode = /^[^\0]*\/node\0/; // not the start script before it
      const kinds = { worker: /\0worker\0/, keeper: /\0keeper\0/, node: /\0node\0/, controller: /\0controller\0/ };
      for (const [kind, pattern] of Object.entries(kinds)) {
        const found = [...watch.seen.values()].filter(({ cmdline }) => isNode.test(cmdline) && pattern.test(cmdline));
        assert(found.length > 0, `no ${kind} was seen`);
        for (const { coreLimit, pid } of found) assert.equal(coreLimit, '0', `${kind} ${pid}`);
      }
    });
  });

  /** The state memory holds the opened key, which a successor needs, and nothing that opens anything else. */
  function expectOnlyTheUnlockedKey(worker: number): void {
    const files = readdirSync(`/proc/${worker}/fd`)
      .map((fd) => `/proc/${worker}/fd/${fd}`)
      .filter((path) => existsSync(path) && readlinkSync(path).includes('memfd:pageseal'));
    assert.equal(files.length, 1);
    const found = canaries.findIn(readFileSync(files[0] ?? ''));
    assert(found.length > 0);
    assert.deepEqual(
      found.filter((what) => !/^key, (d|p|q|dp|dq|qi)$/.test(what)),
      [],
    );
    assert.equal(statSync(files[0] ?? '').uid, 0);
  }
});
