// Volumes that the original client made show what their manifests say: through the original client (so the manifests
// and the comparison itself are right) and through our mount.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Juicefs } from '../harness/juicefs.ts';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { readTree, treeDifferences } from '../harness/tree.ts';
import { copyVolume } from '../harness/volumes.ts';

test('the comparison sees what the original client shows', needs(...interopNeeds), async (t) => {
  const temp = makeTemp(t);
  const volume = copyVolume(temp, 'aes-none');
  const mountPoint = temp.folder('mnt');
  const juicefs = new Juicefs(temp, volume.passphrase);
  await juicefs.mount(volume.metaUrl, mountPoint, ['--read-only']);
  assert.deepEqual(treeDifferences(volume.manifest.entries, await readTree(mountPoint)), []);
  await juicefs.umount(mountPoint);
});
