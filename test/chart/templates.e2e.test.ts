// What the chart makes of its values: each switch does what it says, and nothing else.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { needs } from '../harness/tools.ts';
import {
  at,
  corners,
  embedded,
  find,
  NAMESPACE,
  ofKind,
  pagesealOf,
  podOf,
  podTemplates,
  type Rendered,
  render,
} from './chart.ts';

const needed = needs('helm');
const PODS = ['pageseal-controller', 'pageseal-node', 'pageseal-keeper', 'pageseal-operator'];

const imagesOf = (objects: readonly Rendered[]): string[] =>
  [...podTemplates(objects).values()].flatMap(({ spec }) => spec.containers.map(({ image }) => image));

test('every object has a name of its own and says whose it is', needed, async () => {
  for (const [name, values] of Object.entries(corners)) {
    const objects = await render(values);
    const keys = objects.map(({ kind, metadata }) => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`);
    assert.deepEqual(keys, [...new Set(keys)], name);
    for (const { kind, metadata } of objects)
      if (kind !== 'CustomResourceDefinition')
        assert.equal(metadata.labels?.['app.kubernetes.io/name'], 'pageseal', `${name}: ${kind} ${metadata.name}`);
  }
});

test('no image escapes the mirror', needed, async () => {
  const objects = await render({ image: { registry: 'mirror.example.com/k8s' } });
  assert.deepEqual([...new Set(imagesOf(objects))].sort(), [
    'mirror.example.com/k8s/pageseal/pageseal:0.1.0',
    'mirror.example.com/k8s/sig-storage/csi-node-driver-registrar:v2.17.0',
    'mirror.example.com/k8s/sig-storage/csi-provisioner:v6.3.0',
    'mirror.example.com/k8s/sig-storage/csi-resizer:v2.2.0',
  ]);
  // Whatever names an image anywhere in the text, not only where pods have it.
  assert.doesNotMatch(JSON.stringify(objects), /ghcr\.io|registry\.k8s\.io|docker\.io/);
});

test('images by tag, by digest, from a registry with a port, and without any', needed, async () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  const ours = async (image: Readonly<Record<string, string>>): Promise<string> =>
    pagesealOf(podOf(await render({ image }), 'pageseal-operator')).image;
  assert.equal(
    await ours({ repository: 'localhost/pageseal/pageseal', tag: 'test' }),
    'localhost/pageseal/pageseal:test',
  );
  assert.equal(await ours({ tag: 'test', digest }), `ghcr.io/pageseal/pageseal@${digest}`);
  assert.equal(await ours({ repository: 'pageseal', registry: 'm:5000' }), 'm:5000/pageseal:0.1.0');
  assert.equal(await ours({ repository: 'team/pageseal', registry: 'm' }), 'm/team/pageseal:0.1.0');
});

test('host names, pull secrets and the network of the node reach every pod', needed, async () => {
  const hostAliases = [{ ip: '10.77.0.9', hostnames: ['db.example.com'] }];
  const imagePullSecrets = [{ name: 'registry' }];
  const objects = await render({ hostAliases, imagePullSecrets, hostNetwork: true });
  for (const [name, { spec }] of podTemplates(objects)) {
    assert.deepEqual(spec['hostAliases'], hostAliases, name);
    assert.deepEqual(spec['imagePullSecrets'], imagePullSecrets, name);
    assert.deepEqual([spec['hostNetwork'], spec['dnsPolicy']], [true, 'ClusterFirstWithHostNet'], name);
  }
});

test('embedded mode: one node, one directory at one path, and topology', needed, async () => {
  const objects = await render(embedded);
  const fields = [{ key: 'metadata.name', operator: 'In', values: ['node-1'] }];
  for (const name of PODS.slice(0, 3)) {
    const { spec } = podOf(objects, name);
    const terms = at(spec, 'affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms');
    assert.deepEqual(terms, [{ matchFields: fields }], name);
    const mount = pagesealOf({ metadata: { labels: {} }, spec }).volumeMounts?.find((each) => each.name === 'embedded');
    assert.equal(mount?.mountPath, '/srv/pageseal', name);
  }
  assert.equal(podOf(objects, 'pageseal-operator').spec['affinity'], undefined);
  const { containers } = podOf(objects, 'pageseal-controller').spec;
  assert.ok(containers.find(({ name }) => name === 'csi-provisioner')?.args.includes('--feature-gates=Topology=true'));
  assert.ok(pagesealOf(podOf(objects, 'pageseal-node')).args.includes('--embedded-directory=/srv/pageseal'));
});

test('authorities reach every process that leads to databases and stores, and only read-only', needed, async () => {
  const objects = await render({ trustedAuthorities: { configMap: 'ours', key: 'bundle.pem' } });
  const mount = { name: 'authorities', mountPath: '/etc/pageseal/authorities', readOnly: true };
  const configMap = { name: 'ours', items: [{ key: 'bundle.pem', path: 'ca.crt' }] };
  for (const name of ['pageseal-controller', 'pageseal-keeper', 'pageseal-operator']) {
    const pod = podOf(objects, name);
    const { args, volumeMounts = [] } = pagesealOf(pod);
    assert.ok(args.includes('--ca-file=/etc/pageseal/authorities/ca.crt'), name);
    assert.deepEqual(
      volumeMounts.filter((each) => each.name === mount.name),
      [mount],
      name,
    );
    const volumes = pod.spec['volumes'] as readonly { readonly name: string }[];
    assert.deepEqual(
      volumes.filter((each) => each.name === mount.name),
      [{ name: mount.name, configMap }],
      name,
    );
  }
  assert.doesNotMatch(JSON.stringify(await render({})), /authorities|--ca-file/);
});

test('a disruption budget and spread pods where there are several', needed, async () => {
  assert.equal(ofKind(await render({}), 'PodDisruptionBudget').length, 0);
  const objects = await render({ controller: { replicas: 2 } });
  assert.deepEqual(
    ofKind(objects, 'PodDisruptionBudget').map(({ metadata }) => metadata.name),
    ['pageseal-controller'],
  );
  assert.equal(at(find(objects, 'Deployment', 'pageseal-controller'), 'spec.replicas'), 2);
  for (const { name, args } of podOf(objects, 'pageseal-controller').spec.containers)
    if (name !== 'pageseal') assert.ok(args.includes('--leader-election'), name);
});

test('metrics: a Service for each component, a ServiceMonitor and policies where asked for', needed, async () => {
  const plain = await render({});
  assert.deepEqual(
    ofKind(plain, 'Service').map(({ metadata }) => metadata.name),
    ['controller', 'node', 'keeper', 'operator'].map((name) => `pageseal-${name}-metrics`),
  );
  assert.equal(ofKind(plain, 'ServiceMonitor').length, 0);
  for (const policy of ofKind(plain, 'NetworkPolicy')) {
    assert.deepEqual(at(policy, 'spec.policyTypes'), ['Ingress']);
    assert.deepEqual(at(policy, 'spec.ingress'), [{ ports: [{ port: 'metrics', protocol: 'TCP' }] }]);
  }
  const none = await render(corners['no metrics'] ?? {});
  assert.deepEqual([ofKind(none, 'Service').length, ofKind(none, 'NetworkPolicy').length], [0, 0]);
  const collected = await render(corners['collected metrics'] ?? {});
  assert.equal(ofKind(collected, 'ServiceMonitor').length, 1);
  for (const policy of ofKind(collected, 'NetworkPolicy')) {
    assert.deepEqual(at(policy, 'spec.policyTypes'), ['Ingress', 'Egress']);
    assert.deepEqual(at(policy, 'spec.egress'), [{ ports: [{ port: 443, protocol: 'TCP' }] }]);
  }
});

test('classes name their Secrets in every pair, and bind late in embedded mode', needed, async () => {
  const [first, second] = ofKind(await render({ ...embedded, ...corners['classes'] }), 'StorageClass');
  const pair = (call: string, name: string, namespace: string): object => ({
    [`csi.storage.k8s.io/${call}-secret-name`]: name,
    [`csi.storage.k8s.io/${call}-secret-namespace`]: namespace,
  });
  const claims = '$' + '{pvc.namespace}';
  assert.deepEqual(at(first, 'parameters'), {
    compression: 'zstd',
    pageSize: '1MiB',
    trashDays: '0',
    ...pair('provisioner', 'pageseal', NAMESPACE),
    ...pair('controller-expand', 'pageseal', NAMESPACE),
    ...pair('node-stage', 'pageseal-key', claims),
    ...pair('node-publish', 'pageseal-key', claims),
  });
  assert.equal(first?.metadata.annotations?.['storageclass.kubernetes.io/is-default-class'], 'true');
  assert.deepEqual(
    [at(first, 'reclaimPolicy'), at(first, 'allowVolumeExpansion'), at(first, 'volumeBindingMode')],
    ['Retain', false, 'WaitForFirstConsumer'],
  );
  assert.deepEqual([at(second, 'reclaimPolicy'), at(second, 'allowVolumeExpansion')], ['Delete', true]);
});

test('the definitions stay when the chart goes, and can be left out', needed, async () => {
  const definitions = ofKind(await render({}), 'CustomResourceDefinition');
  assert.deepEqual(
    definitions.map(({ metadata }) => metadata.name),
    ['filesystems.pageseal.dev'],
  );
  for (const { metadata } of definitions) assert.equal(metadata.annotations?.['helm.sh/resource-policy'], 'keep');
  assert.equal(ofKind(await render({ crds: { install: false } }), 'CustomResourceDefinition').length, 0);
});

test('the CSIDriver says what the driver does', needed, async () => {
  const driver = find(await render({}), 'CSIDriver', 'csi.pageseal.dev');
  assert.deepEqual(at(driver, 'spec'), {
    attachRequired: false,
    podInfoOnMount: true,
    fsGroupPolicy: 'File',
    volumeLifecycleModes: ['Persistent'],
    storageCapacity: false,
    requiresRepublish: false,
    seLinuxMount: false,
  });
});

test('nothing but the taint of a fresh node is tolerated by what may run anywhere', needed, async () => {
  const objects = await render({});
  const taint = { key: 'csi.pageseal.dev/not-ready', operator: 'Exists' };
  for (const name of ['pageseal-controller', 'pageseal-operator'])
    assert.deepEqual(podOf(objects, name).spec['tolerations'], [taint], name);
  for (const name of ['pageseal-node', 'pageseal-keeper']) {
    assert.deepEqual(podOf(objects, name).spec['tolerations'], [taint, { operator: 'Exists' }], name);
    assert.equal(podOf(objects, name).spec['priorityClassName'], 'system-node-critical', name);
  }
});

test(
  'mounts have an SELinux label where nodes know them, the kubelet one of its own where it is let',
  needed,
  async () => {
    const label = (objects: readonly Rendered[]): string | undefined =>
      pagesealOf(podOf(objects, 'pageseal-node')).args.find((arg) => arg.startsWith('--selinux-label'));
    assert.equal(label(await render({})), '--selinux-label=system_u:object_r:container_file_t:s0');
    const objects = await render({ csiDriver: { seLinuxLabel: '', seLinuxMount: true } });
    assert.equal(label(objects), undefined);
    assert.equal(at(find(objects, 'CSIDriver', 'csi.pageseal.dev'), 'spec.seLinuxMount'), true);
  },
);
