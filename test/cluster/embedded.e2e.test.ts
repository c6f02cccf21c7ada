// The trial on one node as its example prints it, on a release that was told to keep everything in a directory of this node:
// nobody's server takes part. Whatever comes after finds the release as it was.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { V1CSINode, V1PersistentVolumeClaim, V1StorageClass } from '@kubernetes/client-node';
import { until } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs, root } from '../harness/tools.ts';
import { Examples } from './examples.ts';
import { type Cluster, clusterNeeds, sharedCluster } from './harness/cluster.ts';
import type { KubeObject } from './harness/kubectl.ts';
import { claim } from './harness/objects.ts';
import { upgrade } from './harness/upgrade.ts';

const EXAMPLE = 'embedded-trial';
const DRIVER = 'csi.pageseal.dev';
const HOST_TOPOLOGY = 'pageseal.dev/host';
const HELLO = 'hello from a pod';

describe('the example of a trial on one node', needs(...clusterNeeds), () => {
  let cluster: Cluster;
  let examples: Examples;
  /** On the node; a path of the test's own. */
  let directory = '';
  let applied = false;
  // Before the folder's own hook, with which the files of the example go.
  after(async () => {
    try {
      if (applied) await examples.remove(EXAMPLE);
    } finally {
      await release([]);
      // The kubelet takes a label of topology never away.
      await cluster.kubectl.ok(['label', 'node', cluster.node.name, `${HOST_TOPOLOGY}-`]);
      rmSync(directory, { recursive: true, force: true });
    }
  });
  const temp = makeTemp();

  before(async () => {
    cluster = await sharedCluster();
    examples = await Examples.make(cluster, temp);
    const flags = flagsOfExample();
    directory = join(`/proc/${cluster.node.pid}/root`, settingOf(flags, 'embedded.directory'));
    await release(flags.map((flag) => flag.replace(/=NODE$/, `=${cluster.node.name}`)));
  });

  /** As the example says that the chart is to be installed. */
  function flagsOfExample(): string[] {
    const text = readFileSync(join(root, 'deploy/examples', `${EXAMPLE}.yaml`), 'utf8');
    const flags = /^# {3}(--set .*)$/m.exec(text)?.[1]?.split(' ') ?? [];
    assert.equal(flags.length, 6, 'the example says with which values the chart is to be installed');
    return flags;
  }

  const settingOf = (flags: readonly string[], name: string): string =>
    flags.find((flag) => flag.startsWith(`${name}=`))?.slice(name.length + 1) ?? assert.fail(`${name} is not there`);

  /** With these values; the kubelet has taken up where volumes are when it resolves. */
  async function release(flags: readonly string[]): Promise<void> {
    await upgrade(cluster, flags);
    const wanted = flags.length === 0 ? '' : HOST_TOPOLOGY;
    await cluster.kubectl.until<V1CSINode>('csinode', cluster.node.name, `topology '${wanted}'`, (found) => {
      // Null while no plugin is registered: it has just been replaced.
      const drivers: V1CSINode['spec']['drivers'] | null = found?.spec.drivers ?? null;
      const driver = drivers?.find(({ name: registered }) => registered === DRIVER);
      return driver !== undefined && (driver.topologyKeys ?? []).join() === wanted;
    });
  }

  const files = (): string[] =>
    readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name));

  test('a pod writes and reads; what is in the directory is ciphertext', async () => {
    applied = true;
    assert.match(await examples.run(EXAMPLE), new RegExp(`^${HELLO}$`, 'm'));
    const kubectl = examples.kubectl('trial');
    await kubectl.sh('writer', 'head -c 300000 /dev/urandom >/data/noise && sync && cp /data/noise /tmp/noise');
    assert.equal(await kubectl.sh('writer', 'cmp /tmp/noise /data/noise && cat /data/hello'), `${HELLO}\n`);
    const all = files();
    assert.ok(
      all.some((file) => file.endsWith('/meta.db')),
      'the metadata',
    );
    assert.ok(all.filter((file) => file.includes('/objects/')).length > 1, 'objects of both files');
    assert.deepEqual(
      all.filter((file) => readFileSync(file).includes(HELLO)),
      [],
    );
  });

  test('the volume grows while it is used', async () => {
    const kubectl = examples.kubectl('trial');
    const size = async (): Promise<string> =>
      (await kubectl.sh('writer', "df -P -k /data | awk 'NR == 2 { print $2 }'")).trim();
    assert.equal(await size(), String(1 << 20));
    await kubectl.ok(['patch', 'pvc', 'data', '-p', '{"spec":{"resources":{"requests":{"storage":"2Gi"}}}}']);
    const hasGrown = (found: V1PersistentVolumeClaim | undefined): boolean =>
      found?.status?.capacity?.['storage'] === '2Gi';
    await kubectl.until<V1PersistentVolumeClaim>('pvc', 'data', 'to have grown', hasGrown);
    await until('the pod to see it', async () => (await size()) === String(2 << 20));
  });

  test('the volume says on which node it is', async () => {
    const { spec } = await examples.kubectl('trial').get<V1PersistentVolumeClaim>('pvc', 'data');
    const volume = await cluster.kubectl.get<KubeObject & { readonly spec: object }>('pv', spec?.volumeName ?? '');
    const expressions = [{ key: HOST_TOPOLOGY, operator: 'In', values: [cluster.node.name] }];
    const affinity = { required: { nodeSelectorTerms: [{ matchExpressions: expressions }] } };
    assert.deepEqual((volume.spec as { readonly nodeAffinity?: object }).nodeAffinity, affinity);
  });

  test('a claim that is to be on another node waits, and its Event says why', async (t) => {
    const kubectl = examples.kubectl('trial');
    const { metadata, ...rest } = await kubectl.get<V1StorageClass & KubeObject>('storageclass', 'pageseal-trial');
    const name = 'pageseal-elsewhere';
    const elsewhere = [{ matchLabelExpressions: [{ key: HOST_TOPOLOGY, values: ['another-node'] }] }];
    assert.equal(metadata?.name, 'pageseal-trial');
    t.after(() => kubectl.delete('storageclass', name));
    await kubectl.apply({ ...rest, metadata: { name }, volumeBindingMode: 'Immediate', allowedTopologies: elsewhere });
    const before_ = files().length;
    t.after(() => kubectl.delete('pvc', 'elsewhere'));
    await kubectl.apply(claim('elsewhere', name, { accessModes: ['ReadWriteOnce'] }));
    const says = `ProvisioningFailed: .*volumes of embedded mode exist on node ${cluster.node.name} only`;
    await until('the Event', async () =>
      new RegExp(says, 's').test((await kubectl.events('PersistentVolumeClaim', 'elsewhere')).join('\n')),
    );
    assert.equal((await kubectl.get<V1PersistentVolumeClaim>('pvc', 'elsewhere')).status?.phase, 'Pending');
    assert.equal(files().length, before_, 'nothing was made here instead');
  });

  test('deletion leaves nothing in the directory', async () => {
    await examples.remove(EXAMPLE);
    applied = false;
    assert.ok(existsSync(directory));
    assert.deepEqual(readdirSync(directory), []);
  });
});
