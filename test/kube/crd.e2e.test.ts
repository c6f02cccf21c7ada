// The FileSystem kind on a real API server: it is taken, its rules refuse what they must, in their own words.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { ApiServer } from './api-server.ts';

const needed = needs('kube-apiserver', 'openssl');
const temp = makeTemp();
let server: ApiServer;

before(async () => {
  if (needed.skip === undefined) server = await ApiServer.start(temp);
});

const fileSystem = (name: string, spec: object): object => ({
  apiVersion: 'pageseal.dev/v1alpha1',
  kind: 'FileSystem',
  metadata: { name, namespace: 'default' },
  spec,
});

test('defaults are filled in, and the columns show', needed, async () => {
  const made = await server.apply(fileSystem('plain', { secretName: 'connection' }));
  assert.equal(made.code, 0, made.stderr);
  const spec = JSON.parse(await server.kubectl('get', 'pfs', 'plain', '-o', 'jsonpath={.spec}')) as unknown;
  assert.deepEqual(spec, { secretName: 'connection', encryption: 'required', deletionPolicy: 'Retain' });
  const table = await server.kubectl('get', 'pfs', 'plain');
  assert.match(table.split('\n')[0] ?? '', /^NAME +PHASE +ENCRYPTED +UUID +OBJECTS +AGE$/);
  const status = JSON.stringify({ status: { phase: 'Ready', encrypted: true, counts: { objects: 3 } } });
  await server.kubectl('patch', 'pfs', 'plain', '--subresource=status', '--type=merge', '-p', status);
  assert.match(await server.kubectl('get', 'pfs', 'plain'), /\nplain +Ready +true +3 /);
});

/** What was there, what is wanted, and the words of the refusal. */
const refusals: readonly (readonly [string, object | undefined, object, RegExp])[] = [
  ['no-secret', undefined, {}, /spec\.secretName: Required value/],
  ['odd-encryption', undefined, { secretName: 's', encryption: 'maybe' }, /supported values: "required", "none"/],
  [
    'odd-page',
    undefined,
    { secretName: 's', pageSize: '3MiB' },
    /pageSize: wanted a power of two between 64KiB and 16MiB/,
  ],
  ['small-page', undefined, { secretName: 's', pageSize: '32K' }, /pageSize: wanted a power of two/],
  ['trash', undefined, { secretName: 's', trashDays: 36_501 }, /trashDays: Invalid value.*less than or equal to 36500/],
  ['confirm', undefined, { secretName: 's', wipe: { confirm: 'yes' } }, /wipe\.confirm: wanted the UUID/],
  ['policy', undefined, { secretName: 's', deletionPolicy: 'Maybe' }, /supported values: "Retain", "Delete"/],
  [
    'weaker',
    { secretName: 's' },
    { secretName: 's', encryption: 'none' },
    /encryption cannot go from required to none/,
  ],
  ['other-secret', { secretName: 's' }, { secretName: 't' }, /secretName cannot be changed/],
  ['page', { secretName: 's', pageSize: '1M' }, { secretName: 's', pageSize: '4M' }, /pageSize cannot be changed/],
  ['page-gone', { secretName: 's', pageSize: '1M' }, { secretName: 's' }, /pageSize cannot be changed/],
  [
    'prefix',
    { secretName: 's', hashPrefix: true },
    { secretName: 's', hashPrefix: false },
    /hashPrefix cannot be changed/,
  ],
  [
    'compressed',
    { secretName: 's', compression: 'lz4' },
    { secretName: 's', compression: 'zstd' },
    /compression cannot/,
  ],
];

for (const [name, present, wanted, words] of refusals)
  test(`refused: ${name}`, needed, async () => {
    if (present !== undefined) assert.equal((await server.apply(fileSystem(name, present))).code, 0);
    const { code, stderr } = await server.tryKubectl(
      [present === undefined ? 'create' : 'replace', '-f', '-'],
      JSON.stringify(fileSystem(name, wanted)),
    );
    assert.notEqual(code, 0);
    assert.match(stderr, words);
  });

test('allowed: encryption from none to required, and a wipe confirmed', needed, async () => {
  const spec = { secretName: 's', encryption: 'none', pageSize: '64KiB', trashDays: 0 };
  assert.equal((await server.apply(fileSystem('stronger', spec))).code, 0);
  const confirm = '0f4c0a2e-9d3a-4d5e-8f5b-1f2e3d4c5b6a';
  const changed = await server.apply(fileSystem('stronger', { ...spec, encryption: 'required', wipe: { confirm } }));
  assert.equal(changed.code, 0, changed.stderr);
});
