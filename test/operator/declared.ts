// What the operator's tests stand on: a real API server, PostgreSQL and S3 over TLS at an address that is not loopback
// (which no Secret may name), and the operator as a process that can be killed and started again.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { openFileSystem } from '../../src/filesystem/open.ts';
import type { KeySource } from '../../src/filesystem/options.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { type FileSystemObject, fileSystems } from '../../src/kube/crd/file-system.ts';
import type { Condition, CoreEvent } from '../../src/kube/objects.ts';
import { events, secrets } from '../../src/kube/resources.ts';
import { Files } from '../crash/kill-points-scenarios.ts';
import { makeKey, publicHalf, type TestKey } from '../harness/keys.ts';
import { pagesealProgram } from '../harness/pageseal.ts';
import { PostgresServer } from '../harness/postgres.ts';
import { ended, runOk, until } from '../harness/program.ts';
import { S3Server } from '../harness/s3.ts';
import { S3Proxy } from '../harness/s3-proxy.ts';
import type { Temp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { ApiServer } from '../kube/api-server.ts';

export const needed = needs('kube-apiserver', 'openssl', 'root', 'postgres', 'versitygw', 'network namespaces');
export const NAMESPACE = 'default';
/** Of a range for such tests, on no machine's network. */
const address = `198.18.77.${1 + (process.pid % 250)}`;
const BUCKET = 'objects';
/** In no log, status, Event or metric: part of each secret value. */
export const CANARY = 'canary-4f1d';
const PASSPHRASE = `passphrase ${CANARY}`;

export type SecretData = Readonly<Record<string, string>>;

export class Declared {
  readonly api: ApiServer;
  readonly client: KubeClient;
  readonly postgres: PostgresServer;
  readonly s3: S3Server;
  readonly proxy: S3Proxy;
  readonly key: TestKey;
  readonly #publicKey: string;
  readonly #temp: Temp;
  #operator: ChildProcess | undefined;

  private constructor(
    temp: Temp,
    parts: {
      api: ApiServer;
      client: KubeClient;
      postgres: PostgresServer;
      s3: S3Server;
      proxy: S3Proxy;
      key: TestKey;
      publicKey: string;
    },
  ) {
    this.#temp = temp;
    this.#publicKey = parts.publicKey;
    ({
      api: this.api,
      client: this.client,
      postgres: this.postgres,
      s3: this.s3,
      proxy: this.proxy,
      key: this.key,
    } = parts);
    temp.beforeRemoval(() => this.kill());
  }

  static async make(temp: Temp): Promise<Declared> {
    await runOk('ip', ['address', 'add', `${address}/32`, 'dev', 'lo']);
    temp.beforeRemoval(async () => void (await runOk('ip', ['address', 'del', `${address}/32`, 'dev', 'lo'])));
    const [api, postgres] = await Promise.all([ApiServer.start(temp), PostgresServer.start(temp, { address })]);
    const s3 = await S3Server.start(temp, { address, authority: postgres.authority });
    s3.createBucket(BUCKET);
    const proxy = await S3Proxy.start(temp, s3);
    const key = await makeKey(temp, 2048, 'pkcs8', PASSPHRASE);
    const publicKey = readFileSync(await publicHalf(temp, key), 'utf8');
    return new Declared(temp, { api, client: await api.client(), postgres, s3, proxy, key, publicKey });
  }

  get log(): string {
    return readFileSync(this.#temp.at('operator.log'), 'utf8');
  }

  start(flags: readonly string[] = []): void {
    const log = openSync(this.#temp.at('operator.log'), 'a');
    const where = ['--namespace', NAMESPACE, '--kubeconfig', this.api.kubeconfig, '--allowed-endpoints', address];
    const args = ['--log-level', 'debug', 'operator', ...where, ...flags];
    this.#operator = spawn(pagesealProgram, args, { env: this.#temp.env, stdio: ['ignore', log, log] });
    closeSync(log);
  }

  async kill(): Promise<void> {
    await this.#signal('SIGKILL');
  }

  /** Answers its exit code. */
  async stop(): Promise<number> {
    return this.#signal('SIGTERM');
  }

  /** Answers the exit code of an operator that ends by itself. */
  async ended(): Promise<number | null> {
    const operator = this.#operator ?? assert.fail('none was started');
    await ended(operator);
    return operator.exitCode;
  }

  async #signal(name: NodeJS.Signals): Promise<number> {
    const operator = this.#operator;
    this.#operator = undefined;
    if (operator === undefined) return 0;
    operator.kill(name);
    await ended(operator);
    return operator.exitCode ?? 128;
  }

  /** A database for it, and a prefix of the one bucket. */
  async secretData(name: string): Promise<SecretData> {
    const { metaUrl } = await this.postgres.createDatabase(name);
    const url = new URL(metaUrl);
    return {
      name,
      metaurl: `postgres://${name}@${url.host}/${name}`,
      envs: JSON.stringify({ META_PASSWORD: decodeURIComponent(url.password), JFS_RSA_PASSPHRASE: PASSPHRASE }),
      storage: 'minio',
      bucket: this.proxy.url(BUCKET),
      'access-key': this.s3.accessKey,
      'secret-key': this.s3.secretKey,
      'ca-bundle': this.postgres.authority.pem,
      'rsa-public-key': this.#publicKey,
      'rsa-key': readFileSync(this.key.file, 'utf8'),
      passphrase: PASSPHRASE,
    };
  }

  async putSecret(name: string, data: SecretData): Promise<void> {
    const encoded = Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]);
    const object = { metadata: { name, namespace: NAMESPACE }, data: Object.fromEntries(encoded) as SecretData };
    const there = await this.client.find(secrets, object.metadata);
    if (there === undefined) await this.client.create(secrets, object);
    else await this.client.replace(secrets, { ...there, data: object.data });
  }

  /** With a Secret of its name. */
  async declare(name: string, spec: object = {}): Promise<void> {
    await this.putSecret(name, await this.secretData(name));
    await this.declareOnly(name, spec);
  }

  async declareOnly(name: string, spec: object = {}): Promise<void> {
    const metadata = { name, namespace: NAMESPACE };
    await this.client.create(fileSystems, { metadata, spec: { secretName: name, ...spec } });
  }

  async change(name: string, spec: object): Promise<void> {
    await this.client.patch(fileSystems, { name, namespace: NAMESPACE }, { spec });
  }

  async delete(name: string): Promise<void> {
    await this.client.remove(fileSystems, { name, namespace: NAMESPACE });
  }

  find(name: string): Promise<FileSystemObject | undefined> {
    return this.client.find(fileSystems, { name, namespace: NAMESPACE });
  }

  /** Answers the object once `wanted` holds for it; the last one is in the error. */
  async awaits(name: string, what: string, wanted: (object: FileSystemObject) => boolean): Promise<FileSystemObject> {
    let found: FileSystemObject | undefined;
    const seen = async (): Promise<boolean> => {
      found = await this.find(name);
      return found !== undefined && wanted(found);
    };
    await until(`${name}: ${what}`, seen, PATIENCE_MS).catch((cause: unknown) => {
      const log = this.log
        .split('\n')
        .filter((line) => line.includes(name))
        .slice(-15)
        .join('\n');
      throw new Error(`${name}: not ${what}: ${JSON.stringify(found?.status, null, 1)}\n${log}`, { cause });
    });
    return found ?? assert.fail();
  }

  ready(name: string): Promise<FileSystemObject> {
    return this.awaits(name, 'Ready', ({ status }) => status?.phase === 'Ready');
  }

  /** Waits until its condition has the reason; answers the condition. */
  async reason(name: string, type: string, reason: string): Promise<Condition> {
    const found = await this.awaits(name, `${type} ${reason}`, (object) => condition(object, type)?.reason === reason);
    return condition(found, type) ?? assert.fail();
  }

  async gone(name: string): Promise<void> {
    await until(`${name} to be gone`, async () => (await this.find(name)) === undefined, PATIENCE_MS).catch(
      async (cause: unknown) => {
        throw new Error(JSON.stringify((await this.find(name))?.status), { cause });
      },
    );
  }

  /** The Event about it with this reason; it comes a little after the status. */
  async event(name: string, reason: string): Promise<CoreEvent> {
    const about = { namespace: NAMESPACE, fieldSelector: `involvedObject.name=${name},reason=${reason}` };
    let found: CoreEvent | undefined;
    await until(`Event ${reason} about ${name}`, async () => {
      found = (await this.client.list(events, about)).items[0];
      return found !== undefined;
    });
    return found ?? assert.fail();
  }

  /** Keys below a file system's prefix. */
  objects(name: string): string[] {
    return this.s3
      .objects(BUCKET)
      .filter((key) => key.startsWith(`${name}/`))
      .map((key) => key.slice(name.length + 1));
  }

  object(name: string, key: string): Buffer {
    return readFileSync(`${this.s3.folder}/${BUCKET}/${name}/${key}`);
  }

  get bucketFolder(): string {
    return `${this.s3.folder}/${BUCKET}`;
  }

  /** As a mount would, with a session of its own. */
  async use(name: string, work: (files: Files) => Promise<void>, encrypted = false): Promise<void> {
    const metaUrl = this.postgres.url(name);
    const key: KeySource = { kind: 'pem', pem: readFileSync(this.key.file), passphrase: Buffer.from(PASSPHRASE) };
    const store = { caBundle: this.postgres.authority.pem };
    const fileSystem = await openFileSystem({ metaUrl, store, backgroundJobs: false, ...(encrypted && { key }) });
    await work(new Files(fileSystem.vfs, metaUrl)).finally(() => fileSystem.close());
  }

  sql(name: string, text: string): Promise<string> {
    return this.postgres.sql(text, name);
  }

  /** The values that nobody may ever see. */
  get secretValues(): readonly string[] {
    const pem = readFileSync(this.key.file, 'utf8').split('\n')[3] ?? '';
    return [CANARY, this.s3.secretKey, pem, encodeURIComponent('test-only password'), 'test-only password'];
  }
}

/** A conversion waits a minute, a lease whose holder was killed a quarter of one. */
const PATIENCE_MS = 180_000;

export const condition = ({ status }: FileSystemObject, type: string): Condition | undefined =>
  status?.conditions?.find((each) => each.type === type);
