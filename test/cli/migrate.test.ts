// `pageseal migrate pv` on files: what it prints, what it leaves out and tells, and what it refuses with which reason.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse, stringify } from 'yaml';
import { parseMountOptions } from '../../src/config/mount-options.ts';
import { parseVolumeContext } from '../../src/config/volume-context.ts';
import { pagesealProgram } from '../harness/pageseal.ts';
import { makeTemp } from '../harness/temp.ts';

const secretRef = { name: 'juicefs-secret', namespace: 'default' };

/** As the documentation of the JuiceFS CSI driver has it; `csi` and `spec` change it. */
function volume(csi: object = {}, spec: object = {}): object {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: 'juicefs-pv', labels: { 'juicefs-name': 'ten-pb-fs' } },
    spec: {
      capacity: { storage: '10Pi' },
      volumeMode: 'Filesystem',
      accessModes: ['ReadWriteMany'],
      persistentVolumeReclaimPolicy: 'Retain',
      ...spec,
      csi: {
        driver: 'csi.juicefs.com',
        volumeHandle: 'juicefs-pv',
        fsType: 'juicefs',
        nodePublishSecretRef: secretRef,
        ...csi,
      },
    },
  };
}

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const migrate = (input: string, ...args: readonly string[]): Ran =>
  spawnSync(pagesealProgram, ['migrate', 'pv', '-f', '-', ...args], { input, encoding: 'utf8' });

function migrated(object: object, ...args: readonly string[]): { text: string; pv: ReturnType<typeof parse> } {
  const { status, stdout, stderr } = migrate(stringify(object), ...args);
  assert.equal(status, 0, stderr);
  return { text: stdout, pv: parse(stdout) };
}

test('a static volume: the root of its file system, its Secret unchanged, and never deleted', () => {
  const { pv } = migrated(volume());
  assert.deepEqual(pv, {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: 'juicefs-pv-pageseal', labels: { 'juicefs-name': 'ten-pb-fs' } },
    spec: {
      capacity: { storage: '10Pi' },
      volumeMode: 'Filesystem',
      accessModes: ['ReadWriteMany'],
      persistentVolumeReclaimPolicy: 'Retain',
      storageClassName: '',
      csi: {
        driver: 'csi.pageseal.dev',
        volumeHandle: 'juicefs-pv',
        nodeStageSecretRef: secretRef,
        nodePublishSecretRef: secretRef,
        volumeAttributes: { directory: '/', encryption: 'required' },
      },
    },
  });
});

test('a volume that was provisioned: its directory, its claim, and a warning where its policy would delete the data', () => {
  const volumeAttributes = {
    subPath: 'default-data',
    pathPattern: '$'.concat('{.PVC.namespace}-', '$', '{.PVC.name}'),
    capacity: '1073741824',
    'juicefs/mount-cpu-limit': '5000m',
    'csi.storage.k8s.io/provisioner-secret-name': 'juicefs-secret',
    'storage.kubernetes.io/csiProvisionerIdentity': '1-8081-csi.juicefs.com',
  };
  const { text, pv } = migrated(
    volume(
      { volumeAttributes },
      {
        persistentVolumeReclaimPolicy: 'Delete',
        storageClassName: 'juicefs-sc',
        mountOptions: ['cache-size=2048,buffer-size=64', 'subdir=base', 'ro'],
        claimRef: { namespace: 'apps', name: 'data', uid: 'of the old claim', resourceVersion: '7' },
      },
    ),
  );
  assert.equal(pv.spec.persistentVolumeReclaimPolicy, 'Retain');
  assert.equal(pv.spec.storageClassName, 'juicefs-sc');
  assert.deepEqual(pv.spec.claimRef, {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    namespace: 'apps',
    name: 'data',
  });
  assert.deepEqual(pv.spec.mountOptions, ['cache-size=2048', 'buffer-size=64', 'ro']);
  assert.deepEqual(pv.spec.csi.volumeAttributes, { directory: '/base/default-data', encryption: 'required' });
  assert.match(text, /WITH ITS DATA/);
  assert.match(text, /Left out.*juicefs\/mount-cpu-limit/);
  assert.match(text, /without effect here: cache-size/);
  // What is printed is what a node takes.
  assert.equal(parseVolumeContext(pv.spec.csi.volumeAttributes).directory, '/base/default-data');
  assert.equal(parseMountOptions(pv.spec.mountOptions).readOnly, true);
});

test('the name, the claim and the encryption are to be chosen', () => {
  const { pv } = migrated(volume(), '--as', 'other', '--claim', 'apps/new', '--encryption', 'none');
  assert.equal(pv.metadata.name, 'other');
  assert.deepEqual(pv.spec.claimRef.name, 'new');
  assert.equal(pv.spec.csi.volumeAttributes.encryption, 'none');
  const bound = volume({}, { claimRef: { namespace: 'apps', name: 'data' } });
  assert.equal(migrated(bound, '--no-claim').pv.spec.claimRef, undefined);
});

test('a list of kubectl, one volume of it by name, with its Secret looked at and never printed', () => {
  const data = {
    metaurl: 'postgres://jfs:canary@db.example.com/jfs',
    storage: 's3',
    bucket: 'https://s3.example.com/b',
  };
  const secret = {
    kind: 'Secret',
    metadata: secretRef,
    stringData: { ...data, 'access-key': 'canary', 'secret-key': 'canary' },
  };
  const other = { ...volume(), metadata: { name: 'other' } };
  const list = (...items: object[]): string => stringify({ kind: 'List', items });
  const ran = migrate(list(other, volume(), secret), 'juicefs-pv');
  assert.equal(ran.status, 0, ran.stderr);
  assert.doesNotMatch(ran.stdout, /canary|not looked at/);
  assert.match(migrate(list(other, volume())).stderr, /several/);
  assert.match(migrate(list(other)).stdout, /not looked at/);
  assert.match(migrate(list(other), 'juicefs-pv').stderr, /not in the file/);
  for (const [changed, reason] of [
    [{ metaurl: 'redis://:canary@redis.example.com/1' }, /engine redis is not supported/],
    [{ metaurl: undefined, token: 'canary' }, /Cloud Service/],
    [{ configs: '{gc-secret: /root/.config}' }, /configs/],
    [{ bucket: 'http://s3.example.com/b' }, /https/],
  ] as const) {
    const refused = migrate(list(volume(), { ...secret, stringData: { ...secret.stringData, ...changed } }));
    assert.notEqual(refused.status, 0);
    assert.match(refused.stderr, reason);
    assert.doesNotMatch(refused.stdout + refused.stderr, /canary/);
  }
});

test('what cannot be mapped is refused with its reason', () => {
  for (const [object, reason] of [
    [volume({ driver: 'ebs.csi.aws.com' }), /driver ebs.csi.aws.com/],
    [{ ...volume(), spec: { capacity: {}, accessModes: [], hostPath: { path: '/x' } } }, /not of a CSI driver/],
    [volume({ nodePublishSecretRef: undefined }), /names no Secret/],
    [volume({}, { volumeMode: 'Block' }), /block/],
    [volume({}, { mountOptions: ['writeback'] }), /writeback/],
    [volume({}, { mountOptions: ['made-up'] }), /made-up/],
    [volume({ volumeAttributes: { subPath: '../other' } }), /directory/],
    [volume({ volumeAttributes: { 'something-else': '1' } }), /something-else/],
    [{ kind: 'Secret' }, /not in the file/],
  ] as const) {
    const { status, stdout, stderr } = migrate(stringify(object));
    assert.notEqual(status, 0);
    assert.equal(stdout, '');
    assert.match(stderr, reason);
  }
});

test('without a way to the cluster it says what is missing', (t) => {
  const run = (env: NodeJS.ProcessEnv): Ran =>
    spawnSync(pagesealProgram, ['migrate', 'pv', 'some-pv'], {
      env: { PATH: process.env['PATH'], HOME: '/nonexistent', ...env },
      encoding: 'utf8',
    });
  const none = run({});
  assert.equal(none.status, 2);
  assert.match(none.stderr, /kubeconfig: wanted a file .* found none\nhint: set KUBECONFIG/);
  const temp = makeTemp(t);
  const clear = {
    clusters: [{ name: 'c', cluster: { server: 'http://api.example.com' } }],
    contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
    users: [{ name: 'u', user: {} }],
    'current-context': 'c',
  };
  writeFileSync(temp.at('config'), stringify(clear));
  const refused = run({ KUBECONFIG: temp.at('config') });
  assert.equal(refused.status, 8);
  assert.match(refused.stderr, /transport rule wants https:\/\/ .* found http:\/\/api.example.com\n/);
  const missing = run({ KUBECONFIG: temp.at('elsewhere') });
  assert.equal(missing.status, 2);
  assert.match(missing.stderr, /cannot be read/);
});
