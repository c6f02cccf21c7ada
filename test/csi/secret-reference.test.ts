// Names of Secrets, as the external provisioner finds them: its own cases (getSecretReference), each with what it answers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { secretOfClaim, secretOfVolume } from '../../src/csi/secret-finalizer/reference.ts';

const PV = 'pvc-6f0c1a52';
const claim = {
  metadata: { name: 'data', namespace: 'team', annotations: { 'team.example.com/key': 'annotated', empty: '' } },
};
const pair = (name: string, namespace: string, which = 'provisioner-secret'): Readonly<Record<string, string>> => ({
  [`csi.storage.k8s.io/${which}-name`]: name,
  [`csi.storage.k8s.io/${which}-namespace`]: namespace,
});
const found = (parameters: Readonly<Record<string, string>> | undefined): string =>
  secretOfClaim(
    { metadata: { name: 'class' }, provisioner: 'csi.pageseal.dev', ...(parameters && { parameters }) },
    claim,
    PV,
  );

test('templates are filled in as the provisioner does', () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['pageseal', 'pageseal-system', 'pageseal-system/pageseal'],
    ['pageseal', '$' + '{pvc.namespace}', 'team/pageseal'],
    ['pageseal', '$' + '{pv.name}', `${PV}/pageseal`],
    ['$' + '{pv.name}', 'keys', `keys/${PV}`],
    ['$' + '{pvc.namespace}.$' + '{pvc.name}', 'keys', 'keys/team.data'],
    ['x-$' + "{pvc.annotations['team.example.com/key']}", 'keys', 'keys/x-annotated'],
  ];
  for (const [name, namespace, wanted] of cases) assert.equal(found(pair(name, namespace)), wanted);
});

test('the pair for all calls counts where provisioning has none', () => {
  const all = pair('all', 'keys', 'secret');
  assert.equal(found(all), 'keys/all');
  assert.equal(found({ ...all, ...pair('own', 'keys') }), 'keys/own');
});

test('what the provisioner refuses names no Secret', () => {
  const cases: readonly (readonly [Readonly<Record<string, string>> | undefined, RegExp])[] = [
    [undefined, /storage class class: names no provisioner Secret/],
    [{ encryption: 'none' }, /names no provisioner Secret/],
    // Up to whoever makes a claim, and so not for the namespace.
    [
      pair('key', '$' + '{pvc.name}'),
      /provisioner-secret-namespace: leads to no namespace of a Secret: \$\{pvc\.name\}/,
    ],
    [pair('key', '$' + "{pvc.annotations['team.example.com/key']}"), /-namespace: leads to no namespace/],
    [pair('$' + "{pvc.annotations['none']}", 'keys'), /-name: leads to no name of a Secret/],
    [pair('$' + "{pvc.annotations['empty']}", 'keys'), /-name: leads to no name of a Secret/],
    [pair('$' + '{pvc.uid}', 'keys'), /-name: leads to no name/],
    [pair('$' + '{}', 'keys'), /-name: leads to no name/],
    [pair('$' + '{toString}', 'keys'), /-name: leads to no name/],
    [pair('Key', 'keys'), /-name: leads to no name of a Secret: Key/],
    [pair('key', 'a.b'), /-namespace: leads to no namespace of a Secret: a\.b/],
    [pair('key', ''), /-namespace: leads to no namespace/],
    [pair('a'.repeat(254), 'keys'), /-name: leads to no name/],
    [pair('key', 'a'.repeat(64)), /-namespace: leads to no namespace/],
  ];
  for (const [parameters, message] of cases) assert.throws(() => found(parameters), message);
});

test('a volume names its Secret in the annotations of the provisioner, if it is ours', () => {
  const volume = (driver: string, name?: string, namespace?: string) => ({
    metadata: {
      name: PV,
      annotations: {
        ...(name !== undefined && { 'volume.kubernetes.io/provisioner-deletion-secret-name': name }),
        ...(namespace !== undefined && { 'volume.kubernetes.io/provisioner-deletion-secret-namespace': namespace }),
      },
    },
    spec: { csi: { driver, volumeHandle: 'x' } },
  });
  assert.equal(secretOfVolume(volume('csi.pageseal.dev', 'key', 'team')), 'team/key');
  assert.equal(secretOfVolume(volume('csi.example.com', 'key', 'team')), undefined);
  for (const [name, namespace] of [
    ['', ''],
    ['key', undefined],
    [undefined, 'team'],
    [undefined, undefined],
  ] as const)
    assert.equal(secretOfVolume(volume('csi.pageseal.dev', name, namespace)), undefined);
  assert.equal(secretOfVolume({ metadata: { name: PV }, spec: {} }), undefined);
});
