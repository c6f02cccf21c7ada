// Adoption: pages of the original client get ledger rows that open them, rows that exist stay, and what does not open gets none.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { type AdoptReport, adopt } from '../../../src/filesystem/fsck/adopt.ts';
import { fsck } from '../../../src/filesystem/fsck/fsck.ts';
import { openFileSystem } from '../../../src/filesystem/open.ts';
import { makeTemp } from '../../harness/temp.ts';
import { type CopiedVolume, copyVolume } from '../../harness/volumes.ts';

const keyOf = (volume: CopiedVolume) => ({
  kind: 'in-metadata' as const,
  ...(volume.passphrase !== undefined && { passphrase: Buffer.from(volume.passphrase) }),
});

const adoptAll = (volume: CopiedVolume, strict = false): Promise<AdoptReport> =>
  adopt({ metaUrl: volume.metaUrl, key: keyOf(volume), strict });

function rows(volume: CopiedVolume): { slice_id: number; indx: number; tag: Buffer }[] {
  const database = new DatabaseSync(volume.database);
  try {
    return database
      .prepare('SELECT slice_id, indx, hex(tag) AS tag, hex(page_key) AS page_key FROM pageseal_page')
      .all() as never;
  } finally {
    database.close();
  }
}

for (const name of ['aes-lz4', 'chacha', 'trash0'] as const)
  test(`every page of ${name} gets a row that opens it, once`, async (t) => {
    const volume = copyVolume(makeTemp(t), name);
    const { metaUrl } = volume;
    const before = await fsck({ metaUrl });
    assert.equal(before.unledgered, before.pages);
    const report = await adoptAll(volume);
    assert.deepEqual(report, { adopted: before.pages, failures: [], left: 0, mode: 'lenient' });
    const made = rows(volume);
    assert.equal(made.length, before.pages);
    const after = await fsck({ metaUrl, deep: { key: keyOf(volume) } });
    assert.deepEqual([after.findings, after.notes, after.unledgered], [[], [], 0]);
    assert.equal((await adoptAll(volume)).adopted, 0);
    assert.deepEqual(rows(volume), made);
    assert.equal((await adoptAll(volume, true)).mode, 'strict');
  });

test('a page that changes afterwards is refused, and a damaged one is not adopted', async (t) => {
  const volume = copyVolume(makeTemp(t), 'trash0');
  const { metaUrl } = volume;
  const [first, second] = ['1_0_50001', '3_0_1'].map((object) => join(volume.bucket, 'trash0/chunks/0/0', object));
  const spoil = (path = ''): void => {
    const bytes = readFileSync(path);
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 17) ^ 1, bytes.length - 17);
    writeFileSync(path, bytes);
  };
  spoil(second);
  const report = await adoptAll(volume, true);
  assert.deepEqual([report.adopted, report.left, report.mode], [6, 1, 'lenient']);
  assert.match(report.failures.join(), /^adopt page trash0\/chunks\/0\/0\/3_0_1: /);
  spoil(second);
  assert.deepEqual(await adoptAll(volume, true), { adopted: 1, failures: [], left: 0, mode: 'strict' });
  // A page of the same length that the original client might have written in its place.
  writeFileSync(second ?? '', readFileSync(first ?? ''));
  const { findings } = await fsck({ metaUrl, deep: { key: keyOf(volume) } });
  assert.match(
    findings.join(),
    /read page trash0\/chunks\/0\/0\/3_0_1: (wanted an object of at most|a sealed page, but not)/,
  );
});

test('a strict volume refuses a page without a row, an adopted one opens', async (t) => {
  const volume = copyVolume(makeTemp(t), 'trash0');
  assert.equal((await adoptAll(volume, true)).mode, 'strict');
  const database = new DatabaseSync(volume.database);
  database.exec('DELETE FROM pageseal_page WHERE slice_id = 1');
  database.close();
  const strict = await fsck({ metaUrl: volume.metaUrl });
  assert.match(strict.findings.join(), /1 of 7 pages have no ledger row/);
  const opened = await openFileSystem({ metaUrl: volume.metaUrl, key: keyOf(volume), readOnly: true });
  await opened.close();
  assert.equal((await adoptAll(volume)).mode, 'strict');
  assert.deepEqual((await fsck({ metaUrl: volume.metaUrl, deep: { key: keyOf(volume) } })).findings, []);
});
