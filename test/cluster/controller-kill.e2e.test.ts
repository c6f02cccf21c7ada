// Controller and operator are killed in the middle of what they do on a cluster; the sidecars and the next process finish it.
// In the middle is where the store never answers, or the database has a lock that the test holds: what is half done by then
// is looked at first.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { V1PersistentVolumeClaim } from '@kubernetes/client-node';
import { digestOfName, fileSystemNameOf } from '../../src/csi/volume-id.ts';
import type { FileSystemObject } from '../../src/kube/crd/file-system.ts';
import { type HeldRows, holdRows } from '../harness/held-rows.ts';
import { HeldStore } from '../harness/held-store.ts';
import { until } from '../harness/program.ts';
import { makeTemp, type Temp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { Backend } from './harness/backend.ts';
import { type Cluster, clusterNeeds, sharedCluster, type TestNamespace } from './harness/cluster.ts';
import { phaseOf } from './harness/kubectl.ts';
import { claim, DATA, pod, secret } from './harness/objects.ts';
import { boundVolume, newKeys, type Storage, storage, storageClass } from './harness/storage.ts';
import { type SuiteOwner, suiteOwner } from './harness/suite-owner.ts';
import { ourProcesses, podsOf } from './processes.ts';
import { SERVERS_ADDRESS } from './testbed/machine.ts';

const TEXT = 'what a pod wrote before the kill';
const GIB = 2 ** 30;
const HTTPS_PORT = 443;
const LOCKED = `SELECT COUNT(*) FROM pageseal_lock WHERE name = 'conversion'`;
/** A conversion waits a minute, a lease whose holder was killed a quarter of one, a container that ended twice some seconds. */
const PATIENCE_MS = 170_000;

/** The store of the cluster's servers, for one test's requests. */
function heldStore(cluster: Cluster, temp: Temp): Promise<HeldStore> {
  const { authority, endpoint } = cluster.servers;
  const where = { address: SERVERS_ADDRESS, port: Number(new URL(endpoint).port || HTTPS_PORT) };
  return HeldStore.start(temp, cluster.network(temp), { ...where, authority, endpoint });
}

/** Controller or operator. */
class Component {
  readonly #cluster: Cluster;
  readonly #name: string;
  readonly #command: string;
  #restarts: number | undefined;
  #kills = 0;

  constructor(cluster: Cluster, name: string, command: string) {
    this.#cluster = cluster;
    this.#name = name;
    this.#command = command;
  }

  async kill(): Promise<void> {
    this.#restarts ??= await this.#countRestarts();
    const processes = await ourProcesses(this.#cluster, this.#name, this.#command);
    assert.equal(processes.length, 1, this.#name);
    for (const pid of processes) process.kill(pid, 'SIGKILL');
    this.#kills++;
  }

  /** It is the same pod, and each kill was one. */
  async cameBack(): Promise<void> {
    assert.equal((await this.#countRestarts()) - (this.#restarts ?? 0), this.#kills);
  }

  async #countRestarts(): Promise<number> {
    const [found] = await podsOf(this.#cluster, this.#name);
    const status = found?.status.containerStatuses?.find(({ name }) => name === 'pageseal');
    return status?.restartCount ?? assert.fail(`the ${this.#name} has no container`);
  }
}

/** Volumes of a test's class, and what is known of each behind the cluster's back. */
class Volumes {
  readonly namespace: TestNamespace;
  readonly store: HeldStore;
  readonly storage: Storage;
  readonly #temp: Temp;

  private constructor(temp: Temp, namespace: TestNamespace, store: HeldStore, made: Storage) {
    this.#temp = temp;
    this.namespace = namespace;
    this.store = store;
    this.storage = made;
  }

  static async make(cluster: Cluster, owner: SuiteOwner): Promise<Volumes> {
    const namespace = await cluster.namespace(owner);
    const made = await storage(cluster, namespace, owner);
    const temp = makeTemp(owner);
    const store = await heldStore(cluster, temp);
    const volumes = new Volumes(temp, namespace, store, made);
    await namespace.kubectl.apply(secret('volume', { ...made.secret, bucket: store.url(made.backend.name) }));
    return volumes;
  }

  /** One that a pod has written to, and perhaps still uses. */
  async use(name: string, script?: string): Promise<void> {
    const { kubectl } = this.namespace;
    const writes = `echo '${TEXT}' >${DATA}/file && sync`;
    await kubectl.apply(claim(name, this.storage.className));
    await kubectl.apply(pod(name, { claims: { [DATA]: name }, script: [writes, script].filter(Boolean).join(' && ') }));
  }

  /** Of the claim's file system: schema and prefix. */
  async fileSystem(name: string): Promise<string> {
    const { metadata } = await this.namespace.kubectl.get<V1PersistentVolumeClaim>('pvc', name);
    return fileSystemNameOf(digestOfName(`pvc-${metadata?.uid}`));
  }

  objects(fileSystem: string): string[] {
    const prefix = `${fileSystem}/`;
    const keys = this.storage.backend.objects().filter((key) => key.startsWith(prefix));
    return keys.map((key) => key.slice(prefix.length));
  }

  /** `by`: a pattern of the statements that will wait. */
  lock(statement: string, by: string): Promise<HeldRows> {
    return holdRows(this.#temp, this.storage.backend, statement, by);
  }

  /** One value; the tables are those of the file system. */
  value(fileSystem: string, sql: string): string {
    return this.storage.backend.sql(`SET search_path = "${fileSystem}"; ${sql}`).trim();
  }
}

/** A declared file system in clear, in which a claim has left objects behind. */
class DeclaredOne {
  readonly backend: Backend;
  readonly store: HeldStore;
  readonly name: string;
  readonly #cluster: Cluster;

  private constructor(cluster: Cluster, backend: Backend, store: HeldStore, name: string) {
    this.#cluster = cluster;
    this.backend = backend;
    this.store = store;
    this.name = name;
  }

  /** The operator reads Secrets in the release's namespace. */
  static async make(cluster: Cluster, owner: SuiteOwner): Promise<DeclaredOne> {
    const namespace = await cluster.namespace(owner);
    const { name } = namespace;
    owner.after(() => cluster.system.delete('filesystem', name));
    owner.after(() => cluster.system.delete('secret', name));
    owner.after(() => cluster.kubectl.delete('storageclass', name));
    const backend = Backend.make(cluster, owner);
    const store = await heldStore(cluster, makeTemp(owner));
    const bucket = store.url(backend.name);
    const fields = { ...backend.secret(), name: 'declared', metaurl: backend.metaUrl(), bucket };
    const { namespace: system } = cluster.release;
    const spec = { secretName: name, encryption: 'none', deletionPolicy: 'Delete' };
    const object = { apiVersion: 'pageseal.dev/v1alpha1', kind: 'FileSystem', metadata: { name }, spec };
    await cluster.system.apply(secret(name, fields), object);
    await cluster.system.condition('filesystem', name, 'Ready');
    const parameters = { fileSystem: `${system}/${name}`, encryption: 'none' };
    const { kubectl } = namespace;
    await kubectl.apply(storageClass(name, { name, namespace: system }, parameters), claim('filler', name));
    await kubectl.apply(
      pod('filler', { claims: { [DATA]: 'filler' }, script: `echo '${TEXT}' >${DATA}/file && sync` }),
    );
    await kubectl.podDone('filler');
    const { metadata } = await boundVolume(namespace, 'filler');
    await kubectl.delete('pod', 'filler');
    await kubectl.delete('pvc', 'filler');
    await cluster.kubectl.until('pv', metadata?.name ?? '', 'to go', (found) => found === undefined);
    return new DeclaredOne(cluster, backend, store, name);
  }

  get(): Promise<FileSystemObject> {
    return this.#cluster.system.get<FileSystemObject>('filesystem', this.name);
  }

  async readyReason(): Promise<string | undefined> {
    return (await this.get()).status?.conditions?.find(({ type }) => type === 'Ready')?.reason;
  }

  /** Its key comes into the Secret now. */
  async wipeAndEncrypt(uuid: string): Promise<void> {
    const patch = (kind: string, change: object): Promise<string> =>
      this.#cluster.system.ok(['patch', kind, this.name, '--type', 'merge', '--patch', JSON.stringify(change)]);
    await patch('secret', { stringData: await newKeys() });
    await patch('filesystem', { spec: { encryption: 'required', wipe: { confirm: uuid } } });
  }
}

describe('controller and operator killed in the middle', { ...needs(...clusterNeeds), concurrency: true }, () => {
  const owner = suiteOwner();
  let cluster: Cluster;
  let volumes: Volumes;
  let declared: DeclaredOne;

  before(async () => {
    cluster = await sharedCluster();
    [volumes, declared] = await Promise.all([prepareVolumes(), DeclaredOne.make(cluster, owner)]);
  });

  async function prepareVolumes(): Promise<Volumes> {
    const made = await Volumes.make(cluster, owner);
    const { kubectl } = made.namespace;
    await Promise.all([made.use('grown', 'exec sleep infinity'), made.use('doomed')]);
    await Promise.all([kubectl.podReady('grown'), kubectl.podDone('doomed')]);
    await kubectl.delete('pod', 'doomed');
    return made;
  }

  /** The new volume can be written to, and the larger one is larger where it is in use. */
  async function podsSeeIt(): Promise<void> {
    const { kubectl } = volumes.namespace;
    await kubectl.apply(pod('fresh', { claims: { [DATA]: 'fresh' }, script: `echo '${TEXT}' >${DATA}/file` }));
    await kubectl.podDone('fresh', { boundMs: PATIENCE_MS });
    await kubectl.until<V1PersistentVolumeClaim>('pvc', 'grown', 'to show its new size', (found) => {
      return found?.status?.capacity?.['storage'] === '2Gi';
    });
    await until('the pod to see it', async () => / 2\.0G /.test(await kubectl.sh('grown', `df -h ${DATA}`)));
    assert.equal(await kubectl.sh('grown', `cat ${DATA}/file`), `${TEXT}\n`);
  }

  test('the controller finishes what it creates, expands and deletes', async (t) => {
    const { namespace, store, storage: made } = volumes;
    t.after(() => store.heal());
    const { kubectl } = namespace;
    const { backend, className } = made;
    const controller = new Component(cluster, 'controller', 'csi');
    const [grown, doomed] = await Promise.all([volumes.fileSystem('grown'), volumes.fileSystem('doomed')]);
    const { metadata: doomedVolume } = await boundVolume(namespace, 'doomed');

    // The record of one is there without its object, the limit of another is as it was, the third's objects are still there.
    const row = `SELECT 1 FROM "${grown}".pageseal_volume FOR UPDATE`;
    const expanding = await volumes.lock(row, '%pageseal_volume%FOR UPDATE%');
    const bucket = `/${backend.name}`;
    const deleting = await store.hold({ method: 'POST', begins: bucket, query: 'delete' });
    const creating = await store.hold({ method: 'PUT', begins: bucket, ends: '/juicefs_uuid' });
    const twice = { spec: { resources: { requests: { storage: '2Gi' } } } };
    await kubectl.ok(['patch', 'pvc', 'grown', '--type', 'merge', '--patch', JSON.stringify(twice)]);
    await kubectl.ok(['delete', 'pvc', 'doomed', '--wait=false']);
    await kubectl.apply(claim('fresh', className));
    const fresh = await volumes.fileSystem('fresh');
    await until('all three to be in the middle', () => creating() && deleting() && expanding.isAwaited());
    const limit = 'SELECT capacity, max_space FROM pageseal_volume v JOIN jfs_dir_quota q ON v.inode = q.inode';
    assert.equal(volumes.value(fresh, 'SELECT COUNT(*) FROM jfs_setting'), '1');
    assert.equal(volumes.value(fresh, 'SELECT COUNT(*) FROM pageseal_volume'), '0');
    assert.deepEqual(volumes.objects(fresh), []);
    assert.equal(phaseOf(await kubectl.get('pvc', 'fresh')), 'Pending');
    assert.equal(volumes.value(grown, limit), `${GIB}|${GIB}`);
    assert.equal(volumes.value(doomed, 'SELECT state FROM pageseal_volume'), 'deleting');
    assert.ok(volumes.objects(doomed).length >= 2);
    await controller.kill();
    assert.equal(volumes.value(grown, limit), `${GIB}|${GIB}`);
    await expanding.release();

    // One is a file system without its volume, another one's objects are gone and its tables are not.
    const figures = `SELECT 1 FROM "${fresh}".jfs_counter WHERE name = 'usedSpace' FOR UPDATE`;
    const inserting = await volumes.lock(figures, '%jfs_counter%FOR UPDATE%');
    const table = `LOCK TABLE "${doomed}".jfs_symlink IN ACCESS SHARE MODE`;
    const dropping = await volumes.lock(table, '%DROP TABLE%');
    await store.heal();
    await until('both to be in the middle', () => inserting.isAwaited() && dropping.isAwaited(), PATIENCE_MS);
    assert.deepEqual(volumes.objects(fresh), ['juicefs_uuid']);
    assert.equal(volumes.value(fresh, 'SELECT COUNT(*) FROM pageseal_volume'), '0');
    assert.deepEqual(volumes.objects(doomed), []);
    assert.ok(backend.schemas().includes(doomed));
    await controller.kill();
    await inserting.release();
    await dropping.release();

    await podsSeeIt();
    assert.equal(volumes.value(fresh, 'SELECT state FROM pageseal_volume'), 'ready');
    assert.equal(volumes.value(grown, limit), `${2 * GIB}|${2 * GIB}`);
    const wait = { boundMs: PATIENCE_MS };
    await cluster.kubectl.until('pv', doomedVolume?.name ?? '', 'to go', (found) => found === undefined, wait);
    assert.deepEqual(volumes.objects(doomed), []);
    assert.deepEqual(backend.schemas(), [fresh, grown].sort());
    assert.deepEqual(backend.objectsWith(TEXT), []);
    await controller.cameBack();
  });

  test('the operator finishes what it wipes and turns encrypted', async (t) => {
    const { backend, store } = declared;
    t.after(() => store.heal());
    const operator = new Component(cluster, 'operator', 'operator');
    const uuid = (await declared.get()).status?.uuid ?? assert.fail('it has no UUID');
    assert.equal(backend.objectsWith(TEXT).length, 1);
    const bucket = `/${backend.name}`;

    const wiping = await store.hold({ method: 'POST', begins: bucket, query: 'delete' });
    await declared.wipeAndEncrypt(uuid);
    await until('the wipe', async () => wiping() && (await declared.readyReason()) === 'Wiping', PATIENCE_MS);
    assert.equal(backend.sql(LOCKED).trim(), '1');
    assert.equal(backend.objectsWith(TEXT).length, 1);
    await operator.kill();
    await store.heal();

    const sealing = await store.hold({ method: 'PUT', begins: bucket, ends: '/juicefs_uuid' });
    await until('the switch', async () => sealing() && (await declared.readyReason()) === 'Switching', PATIENCE_MS);
    const { status } = await declared.get();
    assert.ok(status?.wipe?.finishedAt !== undefined);
    assert.notEqual(status.encrypted, true);
    assert.equal(backend.sql(LOCKED).trim(), '1');
    await operator.kill();
    await store.heal();

    await cluster.system.condition('filesystem', declared.name, 'EncryptionReady', 'True', { boundMs: PATIENCE_MS });
    await cluster.system.condition('filesystem', declared.name, 'Ready');
    const { status: done } = await declared.get();
    assert.equal(done?.encrypted, true);
    assert.equal(done.wipe?.confirmed, uuid);
    const now = done.uuid ?? assert.fail('it has no UUID');
    assert.notEqual(now, uuid);
    assert.deepEqual(backend.objects(), ['declared/juicefs_uuid']);
    assert.deepEqual(
      [uuid, now, TEXT].flatMap((text) => backend.objectsWith(text)),
      [],
    );
    assert.equal(backend.sql('SELECT COUNT(*) FROM pageseal_lock').trim(), '0');
    await operator.cameBack();
  });
});
