// Mount flags of a PV: what goes to the worker, what is passed over, what is refused.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMountOptions } from '../../src/config/mount-options.ts';
import { parseMountOptions as parseOfWorker } from '../../src/fuse/mount-options.ts';

const label = 'system_u:object_r:container_file_t:s0:c1,c22';

test('a label in quotes, as the kubelet writes it, goes to the mount whole', () => {
  const { worker, readOnly } = parseMountOptions([`ro,context="${label}",ledger=strict`]);
  assert.deepEqual(worker, [`context="${label}"`, 'ledger=strict']);
  assert.equal(readOnly, true);
  assert.deepEqual(parseOfWorker([worker[0] ?? '']).contexts, [`context="${label}"`]);
});

test('a label without quotes gets them', () => {
  assert.deepEqual(parseMountOptions(['context=system_u:object_r:container_file_t:s0']).worker, [
    'context="system_u:object_r:container_file_t:s0"',
  ]);
});

for (const wrong of [
  'context=',
  'context="a:b"',
  'context="a:b:c:s0",rootcontext=a:b:c',
  'context="a:b:c:s0',
  'context=a b:c:d',
])
  test(`refused: ${wrong}`, () => {
    assert.throws(() => parseMountOptions([wrong]), /mount option (context: wanted an SELinux label|rootcontext: not)/);
  });

test('flags may be lists, with empty parts', () => {
  assert.deepEqual(parseMountOptions(['', 'rw,,noatime', '--buffer-size=64']).worker, ['buffer-size=64']);
});
