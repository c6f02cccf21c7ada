// The check of a whole file system: sound volumes are sound, and each kind of damage is found and named.
import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { readStatus } from '../../../src/filesystem/describe.ts';
import { readInfo } from '../../../src/filesystem/file-info.ts';
import { fsck } from '../../../src/filesystem/fsck/fsck.ts';
import { makeTemp } from '../../harness/temp.ts';
import { copyVolume, volumeNames } from '../../harness/volumes.ts';

test('volumes of the original client are sound', async (t) => {
  const temp = makeTemp(t);
  for (const name of volumeNames) {
    const report = await fsck({ metaUrl: copyVolume(temp, name).metaUrl });
    assert.deepEqual(report.findings, [], name);
    assert.ok(report.pages > 0);
  }
});

const damages: readonly (readonly [what: string, sql: string, finding: RegExp])[] = [
  ['a node is gone', 'DELETE FROM jfs_node WHERE inode = 4', /entry for inode 4, which does not exist/],
  ['an entry is gone', 'DELETE FROM jfs_edge WHERE inode = 4', /inode 4 has no entry/],
  ['a wrong type', 'UPDATE jfs_edge SET type = 2 WHERE inode = 4', /inode 4 is of type 1, its entry says 2/],
  ['a wrong link count', 'UPDATE jfs_node SET nlink = 5 WHERE inode = 4', /inode 4 has link count 5, and 1 entries/],
  ['a wrong directory link count', 'UPDATE jfs_node SET nlink = 9 WHERE inode = 1', /directory 1 has link count 9/],
  ['a lost link target', 'DELETE FROM jfs_symlink', /symbolic link \d+ has no target/],
  ['a stray attribute', "INSERT INTO jfs_xattr VALUES (99, 999, 'user.a', 'b')", /attribute is kept for inode 999/],
  ['a stray chunk', "INSERT INTO jfs_chunk VALUES (999, 999, 0, x'')", /inode 999 has data, and is no file/],
  ['half a record', "UPDATE jfs_chunk SET slices = x'00' WHERE inode = 4", /chunk 0 of inode 4: 1 bytes/],
  ['a wrong count', 'UPDATE jfs_chunk_ref SET refs = 7 WHERE chunkid = 1', /slice 1 is used 1 times and counted 7/],
  ['a wrong size', 'UPDATE jfs_chunk_ref SET size = 7 WHERE chunkid = 1', /slice 1 has \d+ bytes in chunks and 7/],
  ['a lost count', 'DELETE FROM jfs_chunk_ref WHERE chunkid = 1', /slice 1 is used 1 times and counted 0/],
  ['reused inodes', "UPDATE jfs_counter SET value = 3 WHERE name = 'nextInode'", /the next to be given out is 3/],
  ['reused slices', "UPDATE jfs_counter SET value = 1 WHERE name = 'nextChunk'", /the next to be given out is 1/],
  ['a wrong total', "UPDATE jfs_counter SET value = 1 WHERE name = 'usedSpace'", /1 bytes are counted as used/],
];

for (const [what, sql, finding] of damages)
  test(`damage is found: ${what}`, async (t) => {
    const volume = copyVolume(makeTemp(t), 'aes-openkey');
    const database = new DatabaseSync(volume.database);
    database.exec(sql);
    database.close();
    const { findings } = await fsck({ metaUrl: volume.metaUrl });
    assert.match(findings.join('\n'), finding);
  });

test('a missing object is found, by its key', async (t) => {
  const volume = copyVolume(makeTemp(t), 'aes-openkey');
  rmSync(join(volume.bucket, 'aes-openkey/chunks/0/0/1_0_50001'));
  assert.deepEqual((await fsck({ metaUrl: volume.metaUrl })).findings, [
    'object aes-openkey/chunks/0/0/1_0_50001 is missing',
  ]);
});

test('totals are not compared while somebody is at work', async (t) => {
  const volume = copyVolume(makeTemp(t), 'aes-openkey');
  const database = new DatabaseSync(volume.database);
  database.exec(
    "UPDATE jfs_counter SET value = 1 WHERE name = 'usedSpace'; INSERT INTO jfs_session2 VALUES (1, 1, x'')",
  );
  database.close();
  const { findings, notes } = await fsck({ metaUrl: volume.metaUrl });
  assert.deepEqual(findings, []);
  assert.match(notes.join(), /1 sessions are open/);
});

test('status shows no key', async (t) => {
  const volume = copyVolume(makeTemp(t), 'aes-none');
  const status = await readStatus(volume.metaUrl);
  assert.equal(status.custody, 'in-metadata');
  assert.match(status.record, /"EncryptKey": "removed"/);
});

test('info names the objects of a file', async (t) => {
  const volume = copyVolume(makeTemp(t), 'aes-openkey');
  const info = await readInfo(volume.metaUrl, '/d/random');
  assert.equal(info.attr.length, 50001n);
  assert.deepEqual(
    info.slices.map((slice) => slice.objects),
    [['aes-openkey/chunks/0/0/1_0_50001']],
  );
  await assert.rejects(readInfo(volume.metaUrl, '/d/none'), { code: 'not-found' });
});

test('a deep check opens every page, and names the one that does not open', async (t) => {
  const volume = copyVolume(makeTemp(t), 'aes-rsa4096');
  const deep = () => ({ key: { kind: 'in-metadata' as const, passphrase: Buffer.from(volume.passphrase ?? '') } });
  assert.deepEqual((await fsck({ metaUrl: volume.metaUrl, deep: deep() })).findings, []);
  const object = join(volume.bucket, 'aes-rsa4096/chunks/0/0/1_0_50001');
  const bytes = readFileSync(object);
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 20) ^ 1, bytes.length - 20);
  writeFileSync(object, bytes);
  const { findings } = await fsck({ metaUrl: volume.metaUrl, deep: deep() });
  assert.equal(findings.length, 1);
  assert.match(findings[0] ?? '', /1_0_50001/);
});

test('a deep check without the key is refused, not half done', async (t) => {
  const volume = copyVolume(makeTemp(t), 'aes-none');
  await assert.rejects(fsck({ metaUrl: volume.metaUrl, deep: {} }), { code: 'key-required' });
});
