// Volumes that the original client made show what their manifests say: through the original client (so that manifests and
// comparison are right) and through our mount.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Juicefs } from '../harness/juicefs.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { readTree, treeDifferences } from '../harness/tree.ts';
import { volumeAt, volumeNames } from '../harness/volumes.ts';

test('the comparison sees what the original client shows', needs(...interopNeeds), async (t) => {
  const temp = makeTemp(t);
  const volume = await volumeAt(temp, 'aes-none');
  const mountPoint = temp.folder('mnt');
  const juicefs = new Juicefs(temp, volume.passphrase);
  await juicefs.mount(volume.metaUrl, mountPoint, ['--read-only']);
  assert.deepEqual(treeDifferences(volume.manifest.entries, await readTree(mountPoint)), []);
  await juicefs.umount(mountPoint);
});

for (const name of volumeNames)
  test(`volume ${name} through our mount`, needs(...interopNeeds), async (t) => {
    const temp = makeTemp(t);
    const volume = await volumeAt(temp, name);
    const mountPoint = temp.folder('mnt');
    const pageseal = new Pageseal(temp, volume.passphrase);
    await pageseal.mount(volume.metaUrl, mountPoint, ['--read-only']);
    const shown = await readTree(mountPoint);
    assert.deepEqual(treeDifferences(volume.manifest.entries, shown), []);
    if (volume.manifest.trash !== undefined) {
      const trash = await readTree(`${mountPoint}/.trash`);
      const prefixed = Object.entries(trash).map(
        ([path, entry]) => [`/.trash${path === '/' ? '' : path}`, entry] as const,
      );
      const { '/.trash': top, ...below } = Object.fromEntries(prefixed);
      assert.equal(top?.mode, 0o555);
      assert.deepEqual(treeDifferences(volume.manifest.trash, below), []);
    }
    await pageseal.umount(mountPoint);
  });
