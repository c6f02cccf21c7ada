// Values of Secrets as canaries, in the life of a volume and on the ways on which it fails: they are in no log, Event, status
// or metric, in no file that the driver writes on the node, and in no argument or environment of any of its processes.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { Canaries } from '../security/canaries.ts';
import { Backend } from './harness/backend.ts';
import { type Cluster, clusterNeeds, sharedCluster, type TestNamespace } from './harness/cluster.ts';
import { claim, DATA, pod } from './harness/objects.ts';
import { suiteOwner } from './harness/suite-owner.ts';
import { allProcesses, commandOf, contentsOf, type DriverPod } from './processes.ts';
import { giveSecret, type Key, makeClass, newKey, secretOf } from './sealed-class.ts';
import { SERVERS_ADDRESS } from './testbed/machine.ts';

const LOOK_EVERY_MS = 100;
const PORTS: Readonly<Record<string, number>> = { controller: 9808, node: 9809, keeper: 9810, operator: 9811 };
const KINDS =
  'pods,events,persistentvolumes,persistentvolumeclaims,storageclasses,filesystems,leases,nodes,csinodes,csidrivers,configmaps,services,serviceaccounts,deployments,daemonsets,jobs,volumeattachments';
const canary = (name: string): string => `${name}-${randomBytes(12).toString('hex')}`;

describe('canaries in a cluster', needs(...clusterNeeds), () => {
  const temp = makeTemp();
  const canaries = new Canaries();
  /** What processes of the driver's pods showed, by their arguments. */
  const shown = new Map<string, string>();
  const owner = suiteOwner();
  let cluster: Cluster;
  let backend: Backend;
  let right: Key;
  let wrong: Key;
  let storageClass: string;
  let looking: NodeJS.Timeout;

  before(async () => {
    cluster = await sharedCluster();
    backend = Backend.make(cluster, owner);
    right = await newKey(temp, canary('passphrase'));
    wrong = await newKey(temp, canary('another'));
    for (const { pem, passphrase } of [right, wrong]) {
      canaries.addText('passphrase', passphrase);
      canaries.addPem('key', pem);
      canaries.addPrivateNumbers('key', pem, passphrase);
    }
    const { password, secretKey } = cluster.servers;
    canaries.addText('database password', password);
    canaries.addText('secret key', secretKey);
    storageClass = await makeClass(cluster, owner);
    const groups = await groupsOf(cluster);
    looking = setInterval(() => look(groups, shown), LOOK_EVERY_MS);
  });
  after(() => clearInterval(looking));

  /** Applied, and looked at until the Event says it. */
  async function fails(
    namespace: TestNamespace,
    kind: 'pod' | 'persistentvolumeclaim',
    name: string,
    says: RegExp,
  ): Promise<void> {
    let events: string[] = [];
    for (let tries = 0; tries < 200 && !events.some((event) => says.test(event)); tries++) {
      await new Promise((resolve) => setTimeout(resolve, 300));
      events = await namespace.kubectl.events(kind === 'pod' ? 'Pod' : 'PersistentVolumeClaim', name);
    }
    assert(
      events.some((event) => says.test(event)),
      events.join('\n'),
    );
  }

  const withData = (name: string) => pod(name, { claims: { [DATA]: 'data' } });

  test('a volume is made, mounted, grown and removed', async (t) => {
    const { kubectl, name } = await cluster.namespace(t);
    await giveSecret({ kubectl, name }, secretOf(backend, right));
    await kubectl.apply(claim('data', storageClass), withData('writer'));
    await kubectl.podReady('writer');
    await kubectl.sh('writer', `echo text > ${DATA}/file`);
    const grown = JSON.stringify({ spec: { resources: { requests: { storage: '2Gi' } } } });
    await kubectl.ok(['patch', 'pvc', 'data', '-p', grown]);
    await kubectl.until('pvc', 'data', 'to grow', (found) =>
      JSON.stringify(found).includes('"capacity":{"storage":"2Gi"}'),
    );
    await kubectl.delete('pod', 'writer');
    await kubectl.delete('pvc', 'data');
  });

  test('a passphrase that is wrong, a key that is, and one that is cut off', async (t) => {
    const cases: [Record<string, string>, RegExp][] = [
      [{ passphrase: wrong.passphrase }, /the passphrase does not open the key/],
      [{ 'rsa-key': wrong.pem, passphrase: wrong.passphrase }, /PermissionDenied/],
      [{ 'rsa-key': wrong.pem.slice(0, -200), passphrase: wrong.passphrase }, /InvalidArgument/],
    ];
    for (const [change, says] of cases) {
      const namespace = await cluster.namespace(t);
      await giveSecret(namespace, { ...secretOf(backend, right), ...change });
      await namespace.kubectl.apply(claim('data', storageClass), withData('writer'));
      await fails(namespace, 'pod', 'writer', says);
    }
  });

  test('a database that refuses its password, a store that refuses its key, and places that are not there', async (t) => {
    const bad = secretOf(backend, right);
    const password = canary('guess');
    const secretKey = canary('guess');
    canaries.addText('guessed password', password);
    canaries.addText('guessed secret key', secretKey);
    const cases: [Record<string, string>, RegExp][] = [
      [{ metaurl: bad['metaurl']?.replace(/:[^:@/]+@/, `:${password}@`) ?? '' }, /password authentication failed/],
      [{ 'secret-key': secretKey }, /SignatureDoesNotMatch|AccessDenied|the store answered/],
      [{ metaurl: bad['metaurl']?.replace(/@[^/]+/, `@${SERVERS_ADDRESS}:5433`) ?? '' }, /ECONNREFUSED/],
      [{ bucket: backend.bucket.replace(/[^/]+\.com/, `${SERVERS_ADDRESS}:444`) }, /ECONNREFUSED/],
      [{ bucket: backend.bucket.replace('.com/', '.com:444/') }, /not among the endpoints/],
      [{ metaurl: `${bad['metaurl']}&sslcert=${password}` }, /names a file/],
      [{ envs: `{"META_PASSWORD": "${password}"` }, /wanted a JSON object/],
      [{ 'rsa-public-key': right.pem }, /is a private key/],
    ];
    for (const [change, says] of cases) {
      const namespace = await cluster.namespace(t);
      await giveSecret(namespace, { ...bad, ...change });
      await namespace.kubectl.apply(claim('data', storageClass));
      await fails(namespace, 'persistentvolumeclaim', 'data', says);
    }
  });

  test('a database that goes away under a mount', async (t) => {
    const namespace = await cluster.namespace(t);
    const { kubectl } = namespace;
    await giveSecret(namespace, secretOf(backend, right));
    await kubectl.apply(claim('data', storageClass), withData('writer'));
    await kubectl.podReady('writer');
    backend.sqlAsRoot(`ALTER DATABASE ${backend.name} ALLOW_CONNECTIONS false`);
    try {
      backend.sqlAsRoot(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${backend.name}'`);
      const writing = kubectl.sh('writer', `echo later > ${DATA}/later`);
      await kubectl.apply(claim('more', storageClass));
      await fails(namespace, 'persistentvolumeclaim', 'more', /not currently accepting connections/);
      backend.sqlAsRoot(`ALTER DATABASE ${backend.name} ALLOW_CONNECTIONS true`);
      await writing;
    } finally {
      backend.sqlAsRoot(`ALTER DATABASE ${backend.name} ALLOW_CONNECTIONS true`);
    }
  });

  test('none of it is in an object, an Event or a status', async () => {
    for (const format of ['json', 'yaml']) {
      const text = await cluster.kubectl.ok(['get', KINDS, '-A', '-o', format]);
      assert.deepEqual(canaries.findIn(Buffer.from(text)), []);
    }
  });

  test('none of it is in a log', () => {
    const { logs } = cluster.described;
    assert(readdirSync(logs, { recursive: true }).some((name) => String(name).includes('pageseal-controller')));
    assert.deepEqual(canaries.findBelow(logs), []);
  });

  test('none of it is in a metric', async () => {
    const pods = await cluster.system.list<DriverPod>('pods', ['-l', 'app.kubernetes.io/name=pageseal']);
    for (const { metadata } of pods) {
      const port = PORTS[metadata.labels['app.kubernetes.io/component'] ?? ''];
      const path = `/api/v1/namespaces/pageseal-system/pods/${metadata.name}:${port}/proxy/metrics`;
      const text = await cluster.kubectl.ok(['get', '--raw', path]);
      assert.match(text, /^pageseal_/m, metadata.name);
      assert.deepEqual(canaries.findIn(Buffer.from(text)), [], metadata.name);
    }
  });

  test('none of it is in an argument or an environment', () => {
    assert([...shown.keys()].some((command) => command.split('\0').includes('worker')));
    for (const [command, environment] of shown) {
      assert.deepEqual(canaries.findIn(Buffer.from(command, 'latin1')), [], command);
      assert.deepEqual(canaries.findIn(Buffer.from(environment, 'latin1')), [], command);
    }
  });

  test('none of it is in a file of the driver on the node', () => {
    const node = `/proc/${cluster.node.pid}/root`;
    for (const folder of ['run/pageseal', 'var/lib/kubelet/plugins', 'var/lib/kubelet/plugins_registry']) {
      const mounted = mountsOf(cluster.node.pid).map((path) => join(node, path));
      assert.deepEqual(canaries.findBelow(join(node, folder), mounted), []);
    }
  });
});

/** Of all pods of the release: a substring of their processes' control groups. */
async function groupsOf(cluster: Cluster): Promise<string[]> {
  const pods = await cluster.system.list<DriverPod>('pods');
  return pods.map(({ metadata }) => `pod${metadata.uid}`);
}

function look(groups: readonly string[], shown: Map<string, string>): void {
  for (const pid of allProcesses()) {
    const group = contentsOf(`/proc/${pid}/cgroup`);
    if (!groups.some((name) => group.includes(name))) continue;
    const command = commandOf(pid);
    shown.set(command, `${shown.get(command) ?? ''}${contentsOf(`/proc/${pid}/environ`)}`.slice(-100_000));
  }
}

const mountsOf = (pid: number): string[] =>
  readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((path) => path.startsWith('/run/pageseal/') || path.startsWith('/var/lib/kubelet/plugins/kubernetes.io/'));
