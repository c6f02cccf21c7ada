// Examples whose volumes PostgreSQL and S3 hold, as they are printed, to the end: pods write and read, the store sees
// ciphertext, volumes grow, groups and paths mean what they should, read-only is read-only, and deletion leaves nothing.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { V1PersistentVolume, V1PersistentVolumeClaim } from '@kubernetes/client-node';
import { until } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { Examples } from './examples.ts';
import { type Cluster, clusterNeeds, sharedCluster } from './harness/cluster.ts';
import type { Kubectl, KubeObject } from './harness/kubectl.ts';
import { pod } from './harness/objects.ts';
import { SecondNode } from './harness/second-node.ts';

const needed = needs(...clusterNeeds);

interface Secret extends KubeObject {
  readonly data: Readonly<Record<string, string>>;
}

describe('examples on PostgreSQL and S3', needed, () => {
  let cluster: Cluster;
  let examples: Examples;
  const made: string[] = [];
  // Before the folder's own hook, with which database and buckets go.
  after(async () => {
    for (const name of made) await examples.remove(name);
  });
  const temp = makeTemp();

  before(async () => {
    cluster = await sharedCluster();
    examples = await Examples.make(cluster, temp);
  });

  async function apply(name: string): Promise<void> {
    made.push(name);
    await examples.run(name);
  }

  /** Its claims deleted; everything that they had must be gone. */
  async function remove(name: string): Promise<void> {
    made.splice(made.indexOf(name), 1);
    await examples.remove(name);
  }

  const objects = (): string[] => {
    const folder = examples.bucketFolder('volumes');
    const all = readdirSync(folder, { recursive: true, withFileTypes: true });
    return all.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  };
  const objectsWith = (text: string): string[] => objects().filter((file) => readFileSync(file).includes(text));

  const volumeOf = async (kubectl: Kubectl, claim: string): Promise<V1PersistentVolume> => {
    const { spec } = await kubectl.get<V1PersistentVolumeClaim>('pvc', claim);
    return cluster.kubectl.get<V1PersistentVolume>('pv', spec?.volumeName ?? '');
  };

  /** As a kubelet gets it. */
  const secretOf = async (kubectl: Kubectl, name: string): Promise<Record<string, string>> => {
    const { data } = await kubectl.get<Secret>('secret', name);
    return Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Buffer.from(text, 'base64').toString()]));
  };

  const podsOf = async (kubectl: Kubectl, app: string): Promise<string[]> =>
    (await kubectl.list('pods', ['-l', `app=${app}`])).map(({ metadata }) => metadata?.name ?? '');

  test('postgres-s3: two pods share a volume', async () => {
    await apply('postgres-s3');
    const kubectl = examples.kubectl('team-a');
    const pods = await podsOf(kubectl, 'writers');
    assert.equal(pods.length, 2);
    for (const reader of pods)
      for (const writer of pods)
        assert.equal(await kubectl.sh(reader, `cat /data/${writer}`), `hello from ${writer}\n`);
    const [first = ''] = pods;
    assert.equal(await kubectl.sh(first, 'stat -c %g /data'), '2000\n', 'fsGroup owns the volume');
    assert.equal(await kubectl.sh(first, `stat -c "%u %g" /data/${first}`), '1000 2000\n', 'and what is made in it');
    assert.ok(objects().length > 0);
    assert.deepEqual(objectsWith('hello from'), [], 'the store sees ciphertext only');
  });

  test('the volume grows while it is used', async () => {
    const kubectl = examples.kubectl('team-a');
    const [first = ''] = await podsOf(kubectl, 'writers');
    const size = async (): Promise<string> =>
      (await kubectl.sh(first, "df -P -k /data | awk 'NR == 2 { print $2 }'")).trim();
    assert.equal(await size(), String(1 << 20));
    await kubectl.ok(['patch', 'pvc', 'data', '-p', '{"spec":{"resources":{"requests":{"storage":"3Gi"}}}}']);
    await kubectl.until<V1PersistentVolumeClaim>(
      'pvc',
      'data',
      'to have grown',
      (claim) => claim?.status?.capacity?.['storage'] === '3Gi',
    );
    await until('the pod to see it', async () => (await size()) === String(3 << 20));
  });

  test('the kubelet measures the volume', async () => {
    const { node } = cluster;
    await until('the figures of the volume', async () => {
      const summary = await cluster.kubectl.ok(['get', '--raw', `/api/v1/nodes/${node.name}/proxy/stats/summary`]);
      const { pods } = JSON.parse(summary) as Summary;
      const volumes = pods.flatMap(({ volume = [] }) => volume);
      const found = volumes.find(({ pvcRef }) => pvcRef?.namespace === 'team-a' && pvcRef.name === 'data');
      return found?.capacityBytes === 3 * 2 ** 30 && found.inodesUsed > 0;
    });
  });

  test('another node sees what was closed on this one, and the other way round', async (t) => {
    const kubectl = examples.kubectl('team-a');
    const [first = ''] = await podsOf(kubectl, 'writers');
    const volume = await volumeOf(kubectl, 'data');
    const node = await SecondNode.start(cluster, t);
    const mounted = await node.mount(volume, 'other', await secretOf(kubectl, 'pageseal'));
    assert.equal(readFileSync(join(mounted, first), 'utf8'), `hello from ${first}\n`);
    writeFileSync(join(mounted, 'from-there'), 'closed on the other node');
    await until('the pod to see it', async () => (await kubectl.exec(first, ['cat', '/data/from-there'])).code === 0);
    assert.equal(await kubectl.sh(first, 'cat /data/from-there'), 'closed on the other node');
    await kubectl.sh(first, 'echo again >/data/again');
    await until('the other node to see it', () => readdirSync(mounted).includes('again'));
    await node.unmount(volume, 'other');
  });

  test('deletion removes metadata and objects, and says so', async () => {
    const kubectl = examples.kubectl('team-a');
    const { metadata } = await volumeOf(kubectl, 'data');
    const schemas = examples.backend.schemas();
    assert.equal(schemas.length, 1);
    await remove('postgres-s3');
    assert.deepEqual(objects(), []);
    assert.deepEqual(examples.backend.schemas(), []);
    const events = await cluster.kubectl.in('default').events('PersistentVolume', metadata?.name ?? '');
    assert.match(events.join('\n'), /VolumeDeleted: removed the volume: its file system: metadata and \d+ objects/);
  });

  test('file-system-per-claim: a file system for each claim, whose key the administrator has not', async () => {
    await apply('file-system-per-claim');
    const kubectl = examples.kubectl('team-b');
    for (const name of ['database-0', 'database-1'])
      assert.equal(await kubectl.sh(name, 'cat /data/rows'), `rows of ${name}\n`);
    assert.equal(examples.backend.schemas().length, 2);
    assert.deepEqual(objectsWith('rows of'), []);
    // A claim for one pod: the scheduler gives it to no other.
    await kubectl.apply(pod('second', { claims: { '/data': 'data-database-0' } }));
    await until('the second pod to be refused', async () =>
      (await kubectl.events('Pod', 'second')).some((event) => event.includes('ReadWriteOncePod')),
    );
    await remove('file-system-per-claim');
    assert.deepEqual(examples.backend.schemas(), []);
    assert.deepEqual(objects(), []);
  });

  test('shared-file-system: directories of one file system, a path in a claim, and a reader', async () => {
    await apply('shared-file-system');
    const kubectl = examples.kubectl('team-c');
    assert.equal(await kubectl.sh('reader', 'cat /photos/one'), 'a photo\n');
    const refused = await kubectl.exec('reader', ['touch', '/photos/two']);
    assert.notEqual(refused.code, 0);
    assert.match(refused.stderr, /Read-only file system/);
    const { spec } = await volumeOf(kubectl, 'letters');
    assert.equal(spec?.csi?.volumeAttributes?.['directory'], '/team-c/letters');
    assert.equal(await kubectl.sh('writer', 'cat /letters/first'), 'a letter\n');
    await kubectl.apply(pod('whole', { claims: { '/whole': 'letters' } }));
    await kubectl.podReady('whole');
    assert.equal(await kubectl.sh('whole', 'cd /whole && find . -type f'), './2026/first\n', 'subPath is a directory');
    assert.deepEqual(objectsWith('a photo'), []);
    await kubectl.delete('pod', 'reader');
    await kubectl.delete('pod', 'writer');
    await kubectl.delete('pvc', 'photos');
    assert.equal(await kubectl.sh('whole', 'cat /whole/2026/first'), 'a letter\n', 'the other claim stays');
  });
});

interface Summary {
  readonly pods: readonly {
    readonly volume?: readonly {
      readonly capacityBytes: number;
      readonly inodesUsed: number;
      readonly pvcRef?: { readonly namespace: string; readonly name: string };
    }[];
  }[];
}
