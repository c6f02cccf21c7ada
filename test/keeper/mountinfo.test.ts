// Reading mountinfo, whose order is not the order of stacking.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mounts, topMount } from '../../src/keeper/mountinfo.ts';

const text = `27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
50 49 0:42 / /k/pods/a\\040b ro,nosuid - fuse.pageseal pageseal:vol rw,user_id=0
49 27 0:43 / /k/pods/a\\040b ro,nosuid shared:3 master:1 - tmpfs pageseal-empty ro
51 27 0:44 / /k/pods/a rw - tmpfs x rw
`;

test('entries are taken apart, with their octal escapes and optional fields', () => {
  const [, volume, floor] = mounts(text);
  assert.deepEqual(
    [volume?.path, volume?.device, volume?.readOnly, volume?.type, volume?.source],
    ['/k/pods/a b', '0:42', true, 'fuse.pageseal', 'pageseal:vol'],
  );
  assert.deepEqual([floor?.type, floor?.source, floor?.parent], ['tmpfs', 'pageseal-empty', 27]);
});

test('on top is what no other mount of the path stands on', () => {
  assert.equal(topMount('/k/pods/a b', mounts(text))?.id, 50);
  assert.equal(topMount('/k/pods/a', mounts(text))?.id, 51);
  assert.equal(topMount('/k/pods', mounts(text)), undefined);
});
