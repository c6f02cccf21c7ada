// A real API server judges what the chart renders: every object of every corner is one that it would take, its pod security
// admission says which pods keep to which profile, and its notes come with an installation.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { ApiServer } from '../kube/api-server.ts';
import { chartFolder, corners, embedded, helm, NAMESPACE, podTemplates, type Rendered, render } from './chart.ts';

const needed = needs('helm', 'kube-apiserver', 'openssl');
const temp = makeTemp();
let server: ApiServer;

const namespace = (name: string, level: string): object => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name, labels: { 'pod-security.kubernetes.io/enforce': level } },
});

before(async () => {
  if (needed.skip !== undefined) return;
  server = await ApiServer.start(temp);
  for (const [name, level] of [
    [NAMESPACE, 'privileged'],
    ['team-a', 'restricted'],
    ['team-b', 'baseline'],
  ] as const)
    assert.equal((await server.apply(namespace(name, level))).code, 0);
});

/** Of the Prometheus operator's kinds the server knows nothing. */
const known = (objects: readonly Rendered[]): readonly Rendered[] =>
  objects.filter(({ kind }) => kind !== 'ServiceMonitor');

const list = (items: readonly object[]): string => JSON.stringify({ apiVersion: 'v1', kind: 'List', items });

test('the server takes every object, and knows every field', needed, async () => {
  for (const [name, values] of Object.entries(corners)) {
    const objects = known(await render(values));
    const args = ['apply', '--dry-run=server', '--validate=strict', '-f', '-'];
    const outcome = await server.tryKubectl(args, list(objects));
    assert.equal(outcome.code, 0, `${name}: ${outcome.stderr}`);
    assert.equal(outcome.stdout.trim().split('\n').length, objects.length, name);
    assert.equal(outcome.stderr, '', name);
  }
});

/** Whether the server lets a pod of this kind into a namespace of that profile; the refusal otherwise. */
async function admitted(objects: readonly Rendered[], name: string, place: string): Promise<string> {
  const pod = podTemplates(objects).get(name);
  assert.ok(pod !== undefined, name);
  const { serviceAccountName: _, priorityClassName: _class, ...spec } = pod.spec;
  const object = { apiVersion: 'v1', kind: 'Pod', metadata: { ...pod.metadata, name, namespace: place }, spec };
  const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace: place } };
  assert.equal((await server.apply(account)).code, 0);
  const outcome = await server.tryKubectl(['create', '--dry-run=server', '-f', '-'], JSON.stringify(object));
  return outcome.code === 0 ? 'admitted' : outcome.stderr.trim();
}

test('controller and operator keep to the restricted profile', needed, async () => {
  const objects = await render({ controller: { secretFinalizer: true } });
  const restricted = ['pageseal-controller', 'pageseal-operator', 'pageseal-release', 'pageseal-release-secrets'];
  for (const name of restricted) assert.equal(await admitted(objects, name, 'team-a'), 'admitted', name);
  // Folders of the node are all that the baseline profile has against the node plugin.
  const node = await admitted(objects, 'pageseal-node', 'team-b');
  assert.match(node, /violates PodSecurity "baseline:latest": hostPath volumes \([^)]*\)$/);
  assert.match(await admitted(objects, 'pageseal-keeper', 'team-b'), /privileged/);
  const controller = await admitted(await render(embedded), 'pageseal-controller', 'team-b');
  assert.match(controller, /violates PodSecurity "baseline:latest": hostPath volumes \([^)]*\)$/);
});

test('an installation: its notes, and a second one that finds the first', needed, async () => {
  const where = ['--kubeconfig', server.kubeconfig, '--namespace', NAMESPACE];
  await server.kubectl('delete', 'crd', 'filesystems.pageseal.dev'); // the test's, not the chart's
  const first = await helm('install', 'pageseal', chartFolder, ...where);
  assert.equal(first.code, 0, first.stderr);
  const notes = first.stdout.split('NOTES:')[1] ?? '';
  assert.deepEqual(notes.match(/^\d\. /gm), ['1. ', '2. ', '3. ']);
  for (const words of ['kubectl get csinodes', 'kubectl create secret generic', 'kubectl apply -f -', 'leaves data'])
    assert.ok(notes.includes(words), words);
  // Without its own place no claim after the first would find one that is free.
  assert.match(notes, /name='\$\{fs\}'[\s\S]*metaurl='[^']*search_path=\$\{fs\}'/);
  // The class that the notes tell to apply is one that the server takes.
  const shown = /<<'END'\n([\s\S]*?)^END$/m.exec(notes)?.[1] ?? '';
  const taken = await server.tryKubectl(['apply', '--dry-run=server', '-f', '-'], shown);
  assert.equal(taken.code, 0, taken.stderr);
  const second = await helm('upgrade', 'pageseal', chartFolder, ...where, '--set', 'logLevel=debug');
  assert.equal(second.code, 0, second.stderr);
});

test('an uninstallation leaves the definitions and the objects of users', needed, async () => {
  const object = {
    apiVersion: 'pageseal.dev/v1alpha1',
    kind: 'FileSystem',
    metadata: { name: 'mine', namespace: NAMESPACE },
    spec: { secretName: 'mine' },
  };
  assert.equal((await server.apply(object)).code, 0);
  // Nobody runs the hook's Job here.
  const flags = ['--kubeconfig', server.kubeconfig, '--namespace', NAMESPACE, '--no-hooks'];
  const outcome = await helm('uninstall', 'pageseal', ...flags);
  assert.equal(outcome.code, 0, outcome.stderr);
  assert.equal(await server.kubectl('get', 'pfs', '-n', NAMESPACE, '-o', 'name'), 'filesystem.pageseal.dev/mine');
  // Who installs it again under its name finds what stayed.
  const again = await helm('install', 'pageseal', chartFolder, ...flags.slice(0, 4));
  assert.equal(again.code, 0, again.stderr);
  assert.equal((await helm('uninstall', 'pageseal', ...flags)).code, 0);
  const kinds = [...new Set((await render({})).map(({ kind }) => kind))].filter((kind) => !/Definition/.test(kind));
  const left = await server.kubectl('get', kinds.join(), '-A', '-l', 'app.kubernetes.io/name=pageseal', '-o', 'name');
  assert.equal(left, '');
});
