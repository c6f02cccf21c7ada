// Volume ids and derived UUIDs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deriveUuid, digestOfName, fileSystemNameOf, formatVolumeId, parseVolumeId } from '../../src/csi/volume-id.ts';

test('an id is the UUID and the first half of the SHA-256 of the name, within CSI limits', () => {
  // printf pvc-1 | sha256sum
  assert.equal(digestOfName('pvc-1'), 'f2868e1aa7cab669517cd9f5ab1b7957');
  const uuid = deriveUuid(['a']);
  const id = formatVolumeId({ uuid, digest: digestOfName('x'.repeat(128)) });
  assert(id.length <= 128);
  assert.deepEqual(parseVolumeId(id), { uuid, digest: digestOfName('x'.repeat(128)) });
  assert.match(fileSystemNameOf(digestOfName('n')), /^pvc-[0-9a-f]{32}$/);
});

test('what this driver never gave out is no id', () => {
  for (const text of ['', 'reallyfakevolumeid', '../..', `${deriveUuid([])}/`, `${deriveUuid([])}/${'g'.repeat(32)}`])
    assert.equal(parseVolumeId(text), undefined, text);
});

test('UUIDs are version 8, stable, and differ when any part does', () => {
  const uuid = deriveUuid(['x', 'y']);
  assert.match(uuid, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.equal(uuid, deriveUuid(['x', 'y']));
  for (const other of [['xy'], ['x', 'y', ''], ['y', 'x'], ['x\x001\0y']]) assert.notEqual(uuid, deriveUuid(other));
});
