// What a Secret of a tenant may not name, each way tried through the API on a real cluster: at the controller, which would make
// a volume there, and at the node, which would mount one. Both refuse with an Event that names the key of the Secret.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { until } from '../harness/program.ts';
import { needs } from '../harness/tools.ts';
import { Backend } from './harness/backend.ts';
import { type Cluster, clusterNeeds, sharedCluster, type TestNamespace } from './harness/cluster.ts';
import type { KubeObject } from './harness/kubectl.ts';
import { claim, pod, secret } from './harness/objects.ts';
import { LOOPBACK_NAME, METADATA_NAME } from './testbed/servers.ts';

const needed = needs(...clusterNeeds);
const CALLS = ['provisioner', 'node-stage', 'node-publish'];

interface Way {
  readonly what: string;
  /** Keys of the Secret that differ from a good one's. */
  readonly keys: Readonly<Record<string, string>>;
  readonly refusal: RegExp;
  /** Not tried at a node: it reads the record in the database before it opens the store, and here there is none. */
  readonly onlyMade?: boolean;
}

const endpoint = (what: string, host: string, refusal: RegExp): Way[] => [
  { what: `a store at ${what}`, keys: { bucket: `https://${host}/volumes` }, refusal },
  { what: `a database at ${what}`, keys: { metaurl: `postgres://canary:canary@${host}:5432/d` }, refusal },
];
const ours = /endpoint rule refuses this machine, its link and its metadata service/;
/** Allowed by their names. */
const lookedUp = (host: string, address: string): Way[] => {
  const leadsTo = new RegExp(`${ours.source}, and it leads to ${address.replaceAll('.', '\\.')}`);
  const both = endpoint(`${host}, which leads to ${address}`, host, leadsTo);
  return both.map((way) => ({ ...way, onlyMade: 'bucket' in way.keys }));
};
const spelled = /not spelled as a plain name or address|wanted postgres:|refuses this machine/;

const ways: readonly Way[] = [
  { what: 'a database file', keys: { metaurl: 'sqlite3:///var/lib/kubelet/canary.db' }, refusal: /sqlite3 databases are paths of a node/ },
  { what: 'a folder', keys: { storage: 'file', bucket: '/var/lib/kubelet/canary' }, refusal: /file buckets are paths of a node/ },
  { what: 'a unix socket', keys: { metaurl: 'postgres://canary@/d?host=/var/run/postgresql' }, refusal: /wanted postgres:/ },
  { what: 'an escaped unix socket', keys: { metaurl: 'postgres://canary@%2Fvar%2Frun/d' }, refusal: /wanted postgres:/ },
  {
    what: 'a file of certificates',
    keys: { metaurl: 'postgres://canary:canary@postgres.example.com/d?sslrootcert=/var/lib/kubelet/pki/kubelet.crt' },
    refusal: /names a file, and a Secret can name none of a node/,
  },
  {
    what: 'a file as the key of a client',
    keys: { metaurl: 'postgres://canary:canary@postgres.example.com/d?sslkey=/var/lib/kubelet/pki/kubelet.key' },
    refusal: /names a file, and a Secret can name none of a node/,
  },
  { what: 'a file as authorities', keys: { 'ca-bundle': '/etc/ssl/certs/ca-certificates.crt' }, refusal: /ca-bundle: wanted certificates as PEM/ },
  { what: 'clear text', keys: { bucket: 'http://s3.example.com/volumes' }, refusal: /wants https:\/\// },
  { what: 'a database in clear text', keys: { metaurl: 'postgres://canary:canary@postgres.example.com/d?sslmode=disable' }, refusal: /verify-full/ },
  ...endpoint('the loopback', '127.0.0.1', ours),
  ...endpoint('the loopback by name', 'localhost', ours),
  ...endpoint('the loopback of IPv6', '[::1]', ours),
  ...endpoint('the loopback as a number', '2130706433', spelled),
  ...endpoint('the metadata service', '169.254.169.254', ours),
  ...endpoint('the link of IPv6', '[fe80::1]', ours),
  ...lookedUp(LOOPBACK_NAME, '127.0.0.1'),
  ...lookedUp(METADATA_NAME, '169.254.169.254'),
  ...endpoint('another host', 'elsewhere.example.com', /is not among the endpoints that this driver allows/),
  ...endpoint('the API server', '10.96.0.1', /is not among the endpoints that this driver allows/),
]; // biome-ignore format: a table reads better than a column

describe('what a Secret of a tenant may not name', needed, () => {
  let cluster: Cluster;
  let namespace: TestNamespace;

  before(async () => {
    cluster = await sharedCluster();
  });

  /** Until Events of all these objects say what was refused; one look at all of them at a time. */
  async function refused(expected: readonly Expected[]): Promise<void> {
    let left = expected;
    let all: readonly Event[] = [];
    await until('everything to be refused', async () => {
      all = await namespace.kubectl.list<Event>('events');
      left = left.filter(({ kind, name, way }) => !messagesOf(all, kind, name).some((said) => way.refusal.test(said)));
      return left.length === 0;
    }).catch((cause: unknown) => {
      const said = left.map(
        ({ kind, name, way }) => `${kind}, ${way.what}: ${messagesOf(all, kind, name).join(' | ')}`,
      );
      throw new Error(`not refused:\n${said.join('\n')}`, { cause });
    });
    assert.doesNotMatch(JSON.stringify(all), /canary:canary/);
  }

  test('at the controller and at the node', async (t) => {
    namespace = await cluster.namespace(t);
    const { name, kubectl } = namespace;
    const backend = Backend.make(cluster);
    const classes = ways.map((_way, index) => `tenant-${name}-${index}`);
    t.after(() => kubectl.ok(['delete', 'storageclass', ...classes]));
    t.after(() => kubectl.ok(['delete', 'pv', ...classes, '--wait=false']));
    const objects = ways.flatMap(({ keys }, index) => {
      const own = `way-${index}`;
      const refs = CALLS.flatMap((call) => [
        [`csi.storage.k8s.io/${call}-secret-name`, own],
        [`csi.storage.k8s.io/${call}-secret-namespace`, name],
      ]);
      const reference = { name: own, namespace: name };
      const capacity = { storage: '1Gi' };
      return [
        secret(own, { ...backend.secret('tenant'), ...keys }),
        {
          apiVersion: 'storage.k8s.io/v1',
          kind: 'StorageClass',
          metadata: { name: classes[index] },
          provisioner: 'csi.pageseal.dev',
          parameters: { encryption: 'none', ...Object.fromEntries(refs) },
        },
        claim(`made-${index}`, classes[index] ?? ''),
        {
          apiVersion: 'v1',
          kind: 'PersistentVolume',
          metadata: { name: classes[index] },
          spec: {
            capacity,
            accessModes: ['ReadWriteMany'],
            storageClassName: '',
            claimRef: { namespace: name, name: `static-${index}` },
            csi: {
              driver: 'csi.pageseal.dev',
              volumeHandle: classes[index],
              nodeStageSecretRef: reference,
              nodePublishSecretRef: reference,
              volumeAttributes: { encryption: 'none' },
            },
          },
        },
        claim(`static-${index}`, '', { volumeName: classes[index] ?? '' }),
        pod(`user-${index}`, { claims: { '/data': `static-${index}` } }),
      ];
    });
    await kubectl.apply(...objects);
    await refused(
      ways.flatMap((way, index) => [
        { kind: 'PersistentVolumeClaim', name: `made-${index}`, way },
        ...(way.onlyMade === true ? [] : [{ kind: 'Pod', name: `user-${index}`, way }]),
      ]),
    );
    assert.deepEqual(backend.objects(), [], 'nothing was made');
  });
});

interface Expected {
  readonly kind: string;
  readonly name: string;
  readonly way: Way;
}

interface Event extends KubeObject {
  readonly involvedObject: { readonly kind: string; readonly name: string };
  readonly message: string;
}

const messagesOf = (all: readonly Event[], kind: string, name: string): string[] =>
  all
    .filter(({ involvedObject }) => involvedObject.kind === kind && involvedObject.name === name)
    .map(({ message }) => message);
