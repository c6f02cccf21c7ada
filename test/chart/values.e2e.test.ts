// Values as an administrator writes them: right ones pass `helm lint`, wrong ones are refused with words that say what is
// wanted; and whatever is generated from the code is what the code says.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { chartValues } from '../../src/config/chart-values.ts';
import { parseEndpoints } from '../../src/config/endpoints.ts';
import { run } from '../harness/program.ts';
import { needs, root } from '../harness/tools.ts';
import { chartFolder, corners, helmWith, lint, template, type Values } from './chart.ts';

const needed = needs('helm');

test('schema, definitions, table and manifests are what setup/chart.mjs writes', needed, async () => {
  const outcome = await run(process.execPath, [join(root, 'setup/chart.mjs'), '--check']);
  assert.equal(outcome.code, 0, outcome.stderr);
});

test('the defaults are what the code takes, and the chart has the version of the program', () => {
  chartValues.parse(parse(readFileSync(join(chartFolder, 'values.yaml'), 'utf8')));
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const chart = parse(readFileSync(join(chartFolder, 'Chart.yaml'), 'utf8')) as Record<string, string>;
  assert.deepEqual([chart['version'], chart['appVersion']], [version, version]);
});

test('helm lint finds nothing in any corner of the values', needed, async () => {
  for (const [name, values] of Object.entries(corners)) {
    const outcome = await lint(values);
    assert.equal(outcome.code, 0, `${name}: ${outcome.stdout}${outcome.stderr}`);
  }
});

test('an endpoint that the schema takes is one that the flag takes', () => {
  const { allowedEndpoints } = corners['endpoints and names'] as { allowedEndpoints: string[] };
  assert.equal(parseEndpoints(allowedEndpoints.join()).patterns.length, allowedEndpoints.length);
});

const class_ = (fields: Values): Values => ({ storageClasses: [{ name: 'a', ...fields }] });
const embedded = (fields: Values): Values => ({
  embedded: { enabled: true, node: 'node-1', directory: '/srv/pageseal', ...fields },
});

/** What is wrong, and what has to be in the refusal. */
const refused: readonly (readonly [string, Values, RegExp])[] = [
  ['an unknown value', { loglevel: 'debug' }, /additional properties 'loglevel' not allowed/],
  ['an unknown value inside', { controller: { replica: 2 } }, /'\/controller': additional properties 'replica'/],
  ['an unknown level', { logLevel: 'loud' }, /'\/logLevel': value must be one of 'error', 'warn', 'info', 'debug'/],
  ['a relative directory', { kubeletDir: 'var/lib/kubelet' }, /'\/kubeletDir'.*wanted an absolute directory/],
  ['a slash at the end', { kubeletDir: '/var/lib/kubelet/' }, /without a slash at its end/],
  ['a way up', { kubeletDir: '/var/lib/../kubelet' }, /wanted an absolute directory/],
  [
    'a directory too long for sockets',
    { kubeletDir: `/${'k'.repeat(64)}` },
    /'\/kubeletDir': maxLength: got 65, want 64/,
  ],
  ['an endpoint with a scheme', { allowedEndpoints: ['https://s3'] }, /allowedEndpoints\/0.*wanted a host, \*\.domain/],
  ['endpoints as text', { allowedEndpoints: 'a,b' }, /'\/allowedEndpoints': got string, want array/],
  ['authorities as text', { trustedAuthorities: '-----BEGIN' }, /'\/trustedAuthorities': got string, want object/],
  ['a key with a way up', { trustedAuthorities: { key: '../ca' } }, /wanted a key of a ConfigMap/],
  ['a tag within the repository', { image: { repository: 'a/b:1' } }, /wanted a repository without its tag/],
  ['half a digest', { image: { digest: 'sha256:ab' } }, /wanted sha256: and 64 hexadecimal digits/],
  ['a registry with a scheme', { image: { registry: 'https://m' } }, /wanted the host of a registry/],
  ['a policy of pulling', { image: { pullPolicy: 'Sometimes' } }, /'Always', 'IfNotPresent', 'Never'/],
  ['no controller', { controller: { replicas: 0 } }, /'\/controller\/replicas': minimum: got 0, want 1/],
  ['replicas as text', { controller: { replicas: 'two' } }, /got string, want integer/],
  ['a finalizer as text', { controller: { secretFinalizer: 'often' } }, /'\/controller\/secretFinalizer': got string/],
  ['a namespace in upper case', { operator: { namespaces: ['Team'] } }, /wanted a namespace, or \* for all/],
  ['all namespaces and one', { operator: { namespaces: ['*', 'a'] } }, /operator\.namespaces: .* stands alone/],
  ['a memory limit of the keeper', { keeper: { resources: { limits: { memory: '1Gi' } } } }, /'memory' not allowed/],
  ['another way to update keepers', { keeper: { updateStrategy: { type: 'RollingUpdate' } } }, /'updateStrategy' not/],
  ['a way to update', { node: { updateStrategy: { type: 'Recreate' } } }, /'RollingUpdate', 'OnDelete'/],
  ['a label that is no text', { node: { nodeSelector: { fast: true } } }, /got boolean, want string/],
  ['a port', { node: { port: 70_000 } }, /maximum: got 70,000, want 65,535/],
  ['no port of its own', { hostNetwork: true, node: { port: 9808 } }, /hostNetwork: controller\.port.* must differ/],
  [
    'half a label',
    { csiDriver: { seLinuxLabel: 'container_file_t' } },
    /wanted an SELinux label, user:role:type:level/,
  ],
  ['a level that logs Secrets', { sidecars: { verbosity: 8 } }, /'\/sidecars\/verbosity': maximum: got 8, want 7/],
  ['a duration without a unit', { sidecars: { timeout: '60' } }, /wanted a duration such as 30s/],
  ['a name to listen at', { metrics: { host: 'localhost' } }, /wanted an address such as 0\.0\.0\.0/],
  ['embedded mode without a node', embedded({ node: '' }), /embedded\.node: is missing; name the one node/],
  ['embedded mode without a directory', embedded({ directory: '' }), /embedded\.directory: is missing/],
  ['embedded mode in the kubelet', embedded({ directory: '/var/lib/kubelet/x' }), /lies below kubeletDir/],
  ['a node name', embedded({ node: 'a/b' }), /wanted the name of a node/],
  ['the root directory', embedded({ directory: '/' }), /wanted an absolute directory/],
  ['a class without a name', { storageClasses: [{}] }, /missing property 'name'/],
  ['a class twice', { storageClasses: [{ name: 'a' }, { name: 'a' }] }, /storageClasses: a is there twice/],
  ['a parameter', class_({ parameters: { compresion: 'zstd' } }), /additional properties 'compresion' not allowed/],
  ['a key as a parameter', class_({ parameters: { passphrase: 'x' } }), /additional properties 'passphrase'/],
  ['a parameter that is no text', class_({ parameters: { trashDays: 1 } }), /got number, want string/],
  ['a compression', class_({ parameters: { compression: 'gzip' } }), /must be one of 'none', 'lz4', 'zstd'/],
  ['half a Secret', class_({ nodeSecret: { name: 'a' } }), /missing property 'namespace'/],
  ['nothing where something is needed', { image: null }, /missing property 'image'/],
];

for (const [name, values, words] of refused)
  test(`refused: ${name}`, needed, async () => {
    const outcome = await template(values);
    assert.notEqual(outcome.code, 0, 'was taken');
    assert.match(outcome.stderr, words);
  });

test('without admission policies there is no finalizer on Secrets', needed, async () => {
  const values = { controller: { secretFinalizer: true } };
  const outcome = await helmWith(
    values,
    'template',
    'pageseal',
    chartFolder,
    '--kube-version',
    '1.29.4',
    '--values',
    '-',
  );
  assert.notEqual(outcome.code, 0, 'was taken');
  assert.match(outcome.stderr, /controller\.secretFinalizer: wanted Kubernetes 1\.30 or later.*found v1\.29\.4/);
});
