// Pages of ours under the original client's metadata: every page of its volumes is sealed again by our codec, and its
// own mount must still show what the manifest says.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { readPrivateKey } from '../../src/filesystem/keys/read-key.ts';
import { pageCount, pageLength } from '../../src/filesystem/page/geometry.ts';
import { Ledger } from '../../src/filesystem/page/ledger.ts';
import { openPageStore } from '../../src/filesystem/page/sealed-page-store.ts';
import { openStore } from '../../src/filesystem/store/open-store.ts';
import { collectingLog } from '../filesystem/page/collecting-log.ts';
import { Juicefs } from '../harness/juicefs.ts';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs } from '../harness/tools.ts';
import { readTree, treeDifferences } from '../harness/tree.ts';
import { type CopiedVolume, copyVolume, readRecord, type VolumeName } from '../harness/volumes.ts';

const names: readonly VolumeName[] = ['zstd', 'hashprefix', 'aes-lz4', 'aes-zstd', 'aes-rsa4096', 'chacha'];

/** Replaces every object by one of ours with the same contents; answers how many. */
async function sealAgain(volume: CopiedVolume): Promise<number> {
  const record = JSON.parse(readRecord(volume.database)) as Record<string, string & number & boolean>;
  const passphrase = volume.passphrase === undefined ? undefined : Buffer.from(volume.passphrase);
  const key = volume.keyFile === undefined ? undefined : readPrivateKey(readFileSync(volume.keyFile), passphrase);
  const store = await openStore({ storage: 'file', bucket: volume.bucket });
  const pages = openPageStore({
    store,
    volumeName: record['Name'] ?? '',
    hashPrefix: record['HashPrefix'] === true,
    pageSize: (record['BlockSize'] ?? 0) * 1024,
    compression: record['Compression'] ?? '',
    encryptAlgo: record['EncryptAlgo'] ?? '',
    key,
    ledger: key && { keys: Ledger.create(record['UUID'] ?? ''), mode: 'lenient' },
    cacheBytes: 0,
    log: collectingLog().log,
  });
  const db = new DatabaseSync(volume.database, { readOnly: true });
  const slices = db.prepare('SELECT chunkid, size FROM jfs_chunk_ref').all();
  db.close();
  let count = 0;
  for (const row of slices) {
    const [id, size] = [Number(row['chunkid']), Number(row['size'])];
    for (let indx = 0; indx < pageCount(size, pages.pageSize); indx++) {
      const place = { sliceId: BigInt(id), indx, length: pageLength(size, indx, pages.pageSize) };
      await pages.write(place, await pages.read(place, undefined));
      count++;
    }
  }
  await pages.close();
  return count;
}

for (const name of names) {
  test(`${name}: the original client reads our pages`, needs(...interopNeeds), async (t) => {
    const temp = makeTemp(t);
    const volume = copyVolume(temp, name);
    assert.ok((await sealAgain(volume)) > 0);
    const juicefs = new Juicefs(temp, volume.passphrase);
    const mountPoint = temp.folder('mnt');
    await juicefs.mount(volume.metaUrl, mountPoint, ['--read-only']);
    assert.deepEqual(treeDifferences(volume.manifest.entries, await readTree(mountPoint)), []);
    await juicefs.umount(mountPoint);
    assert.deepEqual(await juicefs.fsck(volume.metaUrl), []);
  });
}
