// Every volume that the original client made opens by library, read-only, and shows what its own mount showed.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { openFileSystem } from '../src/filesystem/open.ts';
import type { KeySource } from '../src/filesystem/options.ts';
import { readLibraryTree } from './harness/library-tree.ts';
import { makeTemp } from './harness/temp.ts';
import { treeDifferences } from './harness/tree.ts';
import { type TestVolume, volumeAt, volumeNames } from './harness/volumes.ts';

const temp = makeTemp();
const caller = { uid: 0, gid: 0, pid: 1, umask: 0 };

/** The key as the user has it, and as the record has it. */
function keysOf(volume: TestVolume): (KeySource | undefined)[] {
  const { keyFile, passphrase } = volume;
  if (keyFile === undefined) return [undefined];
  const phrase = () => (passphrase === undefined ? {} : { passphrase: Buffer.from(passphrase) });
  return [
    { kind: 'in-metadata', ...phrase() },
    { kind: 'pem', pem: readFileSync(keyFile), ...phrase() },
  ];
}

for (const name of volumeNames)
  test(`${name}: everything is as its manifest has it`, async () => {
    const volume = await volumeAt(temp, name);
    for (const key of keysOf(volume)) {
      const { metaUrl, place } = volume;
      const fs = await openFileSystem({ metaUrl, readOnly: true, store: place.store, ...(key && { key }) });
      try {
        assert.equal(fs.encrypted, key !== undefined);
        const tree = await readLibraryTree(fs.vfs, fs.vfs.root);
        assert.deepEqual(treeDifferences(volume.manifest.entries, tree), []);
        const { attr } = await fs.vfs.lookup(caller, fs.vfs.root, Buffer.from('.trash'));
        const trash = { ...(await readLibraryTree(fs.vfs, attr.ino, '/.trash')) };
        delete trash['/.trash'];
        assert.deepEqual(treeDifferences(volume.manifest.trash ?? {}, trash), []);
      } finally {
        await fs.close();
      }
    }
  });
