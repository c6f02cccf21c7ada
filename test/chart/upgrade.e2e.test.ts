// From the chart of an earlier commit to this one: a real API server takes the upgrade, names under which volumes are known
// stay, and the keeper's pods go on.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { before, test } from 'node:test';
import type { Outcome } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs, root } from '../harness/tools.ts';
import { ApiServer } from '../kube/api-server.ts';
import {
  at,
  chartFolder,
  corners,
  helm,
  helmWith,
  NAMESPACE,
  pagesealOf,
  podTemplates,
  render,
  type Values,
} from './chart.ts';

/** As it was when keepers first handed their mounts over. */
const earlier = join(root, 'test/chart/earlier/pageseal-0.1.0.tgz');
const needed = needs('helm', 'kube-apiserver', 'openssl');
const temp = makeTemp();
let server: ApiServer;

before(async () => {
  if (needed.skip !== undefined) return;
  server = await ApiServer.start(temp);
  await server.kubectl('delete', 'crd', 'filesystems.pageseal.dev'); // the test's, not the chart's
});

/** What may never change for the sake of volumes and nodes that are there. */
const kept: readonly (readonly [string, string])[] = [
  ['Deployment', 'spec.selector'],
  ['DaemonSet', 'spec.selector'],
  ['DaemonSet', 'metadata.name'],
  ['CSIDriver', 'metadata.name'],
  ['CSIDriver', 'spec.attachRequired'],
  ['CSIDriver', 'spec.volumeLifecycleModes'],
  ['StorageClass', 'provisioner'],
  ['StorageClass', 'parameters'],
  ['CustomResourceDefinition', 'spec.names'],
  ['CustomResourceDefinition', 'spec.scope'],
];
/** Sockets, state and mounts are found there by the next release. */
const keptFlags =
  /^--(endpoint|node-id|keeper-socket|state-directory|kubelet-directory|run-directory|embedded-directory|hand-over)/;

/** Corners that it does not know. */
const newer: ReadonlySet<string> = new Set([
  'no label',
  'authorities of our own',
  'Secrets that stay',
  'Secrets that stay in named namespaces',
]);

test('selectors, names, classes and places are those of the earlier chart', needed, async () => {
  for (const [name, values] of Object.entries(corners).filter(([corner]) => !newer.has(corner))) {
    const [old, now] = await Promise.all([render(values, earlier), render(values)]);
    for (const object of old) {
      const same = now.find(({ kind, metadata }) => kind === object.kind && metadata.name === object.metadata.name);
      for (const [kind, path] of kept)
        if (object.kind === kind) assert.deepEqual(at(same, path), at(object, path), `${name}: ${kind} ${path}`);
    }
    for (const [pod, template] of podTemplates(old)) {
      const same = podTemplates(now).get(pod);
      assert.ok(same !== undefined, `${name}: ${pod}`);
      const places = (each: typeof template): readonly string[] =>
        pagesealOf(each).args.filter((arg) => keptFlags.test(arg));
      assert.deepEqual(places(same), places(template), `${name}: ${pod}`);
    }
  }
});

function helmAt(command: readonly string[], values?: Values): Promise<Outcome> {
  const args = [...command, '--kubeconfig', server.kubeconfig, '--namespace', NAMESPACE];
  if (values === undefined) return helm(...args);
  return helmWith(values, ...args, '--create-namespace', '--values', '-');
}

for (const corner of ['defaults', 'embedded', 'classes', 'several replicas', 'endpoints and names'])
  test(`the server takes an upgrade: ${corner}`, needed, async () => {
    const values = corners[corner] ?? {};
    const installed = await helmAt(['install', 'pageseal', earlier], values);
    assert.equal(installed.code, 0, installed.stderr);
    const upgraded = await helmAt(['upgrade', 'pageseal', chartFolder, '--reset-then-reuse-values']);
    assert.equal(upgraded.code, 0, upgraded.stderr);
    const definition = await server.kubectl('get', 'crd', 'filesystems.pageseal.dev', '-o', 'name');
    assert.match(definition, /filesystems\.pageseal\.dev/);
    // Back again, as after an upgrade that did not go well.
    const back = await helmAt(['rollback', 'pageseal', '1']);
    assert.equal(back.code, 0, back.stderr);
    const gone = await helmAt(['uninstall', 'pageseal', '--no-hooks']);
    assert.equal(gone.code, 0, gone.stderr);
  });
