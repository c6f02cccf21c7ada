// The controller is killed in the middle of creating, expanding and deleting, with real servers for database and store: where
// the store never answers, or the database has a lock that the test holds. What is half done by then is looked at first; the
// same calls, sent again, finish it.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { FILE_SYSTEM_PLACEHOLDER } from '../../src/config/secret-names.ts';
import { digestOfName, fileSystemNameOf } from '../../src/csi/volume-id.ts';
import { Authority } from '../harness/certificates.ts';
import { type Answer, CsiClient, writer } from '../harness/csi-client.ts';
import { type HeldRows, holdRows } from '../harness/held-rows.ts';
import { HeldStore } from '../harness/held-store.ts';
import { type Namespace, Network } from '../harness/namespace.ts';
import { pagesealProgram } from '../harness/pageseal.ts';
import { PostgresServer } from '../harness/postgres.ts';
import { ended, until } from '../harness/program.ts';
import { psql } from '../harness/psql.ts';
import { S3Server } from '../harness/s3.ts';
import { makeTemp, type Temp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';

const needed = needs('root', 'openssl', 'postgres', 'versitygw', 'network namespaces');
const BUCKET = 'bucket';
const DATABASE = 'postgres';
const GIB = 2 ** 30;
const LIMIT = 'SELECT capacity, max_space FROM pageseal_volume v JOIN jfs_dir_quota q ON v.inode = q.inode';
const VOLUMES = 'SELECT COUNT(*) FROM pageseal_volume';

const fileSystemOf = (request: string): string => fileSystemNameOf(digestOfName(request));

/** A controller that can be killed and started again, with its servers and what they hold. */
class Scene {
  readonly store: HeldStore;
  readonly #temp: Temp;
  readonly #inside: Namespace;
  readonly #s3: S3Server;
  readonly #url: string;
  readonly #secrets: Readonly<Record<string, string>>;
  readonly #socket: string;
  #child: ChildProcess | undefined;
  #client: CsiClient | undefined;

  private constructor(temp: Temp, inside: Namespace, s3: S3Server, store: HeldStore, postgres: PostgresServer) {
    this.#temp = temp;
    this.#inside = inside;
    this.#s3 = s3;
    this.store = store;
    this.#socket = temp.at('csi.sock');
    const { password } = new URL(postgres.url(DATABASE));
    const port = String(postgres.port);
    this.#url = `postgres://postgres:${password}@/${DATABASE}?${new URLSearchParams({ host: postgres.socketFolder, port })}`;
    this.#secrets = {
      name: FILE_SYSTEM_PLACEHOLDER,
      metaurl: `postgres://postgres:${password}@${inside.address}:${port}/${DATABASE}?search_path=${FILE_SYSTEM_PLACEHOLDER}`,
      storage: 's3',
      bucket: store.url(BUCKET),
      'access-key': s3.accessKey,
      'secret-key': s3.secretKey,
      'ca-bundle': s3.authority.pem,
    };
    temp.beforeRemoval(() => this.kill());
  }

  static async make(temp: Temp): Promise<Scene> {
    const { servers: inside } = await Network.make(temp, 0);
    const authority = await Authority.make(temp);
    const s3 = await S3Server.start(temp, { authority, inside });
    s3.createBucket(BUCKET);
    const postgres = await PostgresServer.start(temp, { authority, inside });
    const { address, port, endpoint } = s3;
    const store = await HeldStore.start(temp, inside, { address, port, endpoint, authority: authority.file });
    return new Scene(temp, inside, s3, store, postgres);
  }

  async start(): Promise<void> {
    const [program = '', ...before] = [...this.#inside.enter, pagesealProgram, '--log-level', 'error'];
    const flags = ['--endpoint', `unix://${this.#socket}`, '--allowed-endpoints', this.#inside.address];
    const args = [...before, 'csi', '--mode', 'controller', '--node-id', 'node', ...flags];
    this.#child = spawn(program, args, { env: this.#temp.env, stdio: ['ignore', 'inherit', 'inherit'] });
    const client = new CsiClient(this.#socket);
    this.#client = client;
    await until('the controller', async () => (await client.code('Identity', 'probe')) === 'OK');
  }

  async kill(): Promise<void> {
    this.#client?.close();
    this.#client = undefined;
    const child = this.#child;
    this.#child = undefined;
    child?.kill('SIGKILL');
    if (child !== undefined) await ended(child);
  }

  call(method: string, request: object): Promise<Answer> {
    return (this.#client ?? assert.fail()).call('Controller', method, { ...request, secrets: this.#secrets });
  }

  async create(name: string): Promise<{ readonly volumeId: string }> {
    const capacityRange = { requiredBytes: String(GIB) };
    const parameters = { encryption: 'none' };
    const request = { name, volumeCapabilities: [writer()], capacityRange, parameters };
    return (await this.call('createVolume', request)).volume;
  }

  /** `by`: a pattern of the statements that will wait. */
  lock(statement: string, by: string): Promise<HeldRows> {
    return holdRows(this.#temp, { name: DATABASE, superuserUrl: this.#url }, statement, by);
  }

  /** One value; the tables are those of the file system. */
  value(fileSystem: string, sql: string): string {
    return psql(this.#url, `SET search_path = "${fileSystem}"; ${sql}`).trim();
  }

  schemas(): string[] {
    const found = psql(this.#url, `SELECT nspname FROM pg_namespace WHERE nspname LIKE 'pvc-%'`);
    return found.split('\n').filter(Boolean).sort();
  }

  objects(fileSystem: string): string[] {
    const prefix = `${fileSystem}/`;
    const keys = this.#s3.objects(BUCKET).filter((key) => key.startsWith(prefix));
    return keys.map((key) => key.slice(prefix.length));
  }

  /** As a node would leave behind. */
  putObject(fileSystem: string): void {
    const folder = join(this.#s3.folder, BUCKET, fileSystem, 'chunks');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'one'), 'a page');
  }
}

test('killed while it creates, expands and deletes, it finishes when it is asked again', needed, async (t) => {
  const scene = await Scene.make(makeTemp(t));
  const { store } = scene;
  const [grown, doomed, fresh] = [fileSystemOf('grown'), fileSystemOf('doomed'), fileSystemOf('fresh')];
  await scene.start();
  const [{ volumeId: growing }, { volumeId: going }] = [await scene.create('grown'), await scene.create('doomed')];
  scene.putObject(doomed);
  const expand = { volumeId: growing, capacityRange: { requiredBytes: String(2 * GIB) } };
  const ask = (): Promise<PromiseSettledResult<unknown>[]> =>
    Promise.allSettled([
      scene.create('fresh'),
      scene.call('controllerExpandVolume', expand),
      scene.call('deleteVolume', { volumeId: going }),
    ]);

  // The record of one is there without its object, the limit of another is as it was, the third's objects are still there.
  const row = `SELECT 1 FROM "${grown}".pageseal_volume FOR UPDATE`;
  const expanding = await scene.lock(row, '%pageseal_volume%FOR UPDATE%');
  const deleting = await store.hold({ method: 'POST', begins: `/${BUCKET}`, query: 'delete' });
  const creating = await store.hold({ method: 'PUT', begins: `/${BUCKET}/`, ends: '/juicefs_uuid' });
  const first = ask();
  await until('all three to be in the middle', () => creating() && deleting() && expanding.isAwaited());
  assert.equal(scene.value(fresh, 'SELECT COUNT(*) FROM jfs_setting'), '1');
  assert.equal(scene.value(fresh, VOLUMES), '0');
  assert.deepEqual(scene.objects(fresh), []);
  assert.equal(scene.value(grown, LIMIT), `${GIB}|${GIB}`);
  assert.equal(scene.value(doomed, 'SELECT state FROM pageseal_volume'), 'deleting');
  assert.deepEqual(scene.objects(doomed), ['chunks/one', 'juicefs_uuid']);
  await scene.kill();
  assert.deepEqual(new Set((await first).map(({ status }) => status)), new Set(['rejected']));
  assert.equal(scene.value(grown, LIMIT), `${GIB}|${GIB}`);
  await expanding.release();

  // One is a file system without its volume, another one's objects are gone and its tables are not.
  const figures = `SELECT 1 FROM "${fresh}".jfs_counter WHERE name = 'usedSpace' FOR UPDATE`;
  const inserting = await scene.lock(figures, '%jfs_counter%FOR UPDATE%');
  const dropping = await scene.lock(`LOCK TABLE "${doomed}".jfs_symlink IN ACCESS SHARE MODE`, '%DROP TABLE%');
  await store.heal();
  await scene.start();
  const second = ask();
  await until('both to be in the middle', () => inserting.isAwaited() && dropping.isAwaited());
  assert.deepEqual(scene.objects(fresh), ['juicefs_uuid']);
  assert.equal(scene.value(fresh, VOLUMES), '0');
  assert.deepEqual(scene.objects(doomed), []);
  assert.deepEqual(scene.schemas(), [doomed, fresh, grown].sort());
  await scene.kill();
  await second;
  await inserting.release();
  await dropping.release();

  await scene.start();
  for (const outcome of await ask()) if (outcome.status === 'rejected') throw outcome.reason;
  assert.equal(scene.value(fresh, 'SELECT state FROM pageseal_volume'), 'ready');
  assert.deepEqual(scene.objects(fresh), ['juicefs_uuid']);
  assert.equal(scene.value(grown, LIMIT), `${2 * GIB}|${2 * GIB}`);
  assert.deepEqual(scene.objects(doomed), []);
  assert.deepEqual(scene.schemas(), [fresh, grown].sort());
});
