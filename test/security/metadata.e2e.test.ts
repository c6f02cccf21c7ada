// Metadata that cannot be read: as a whole (the mount is refused, and the file is as it was), or in single rows (EIO for
// the file concerned, and nothing else).
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { before, describe, test } from 'node:test';
import { makeKey } from '../harness/keys.ts';
import { runOk } from '../harness/program.ts';
import { makeTemp } from '../harness/temp.ts';
import { needs } from '../harness/tools.ts';
import { AttackedVolume, errnoOf, isAlive, PAGE_BYTES } from './attacked-volume.ts';
import { mustRefuse, type Refusal } from './refused-mount.ts';

const PASSPHRASE = 'the passphrase';

/** What stands in the database's place. The file goes from a sound volume's to what the case makes of it. */
const files: readonly (readonly [what: string, make: (file: string) => unknown, refusal: Refusal])[] = [
  ['garbage', (file) => writeFileSync(file, randomBytes(20_000)), { exitCode: 7, says: /file is not a database$/m }],
  ['text', (file) => writeFileSync(file, 'no database\n'), { exitCode: 7, says: /file is not a database$/m }],
  ['an empty file', (file) => truncateSync(file, 0), { exitCode: 4, says: /holds no file system|no such table: jfs_setting/ }],
  ['cut in half', (file) => truncateSync(file, Math.floor(statSync(file).size / 2)), { exitCode: 1, says: /malformed/ }],
  ['cut inside the header', (file) => truncateSync(file, 60), { exitCode: 1, says: /malformed/ }],
  ['another schema', (file) => schema(file, 'CREATE TABLE other (id INTEGER)'), { exitCode: 4, says: /no such table: jfs_setting$/m }],
  ['a table missing', (file) => edit(file, 'DROP TABLE pageseal_setting'), { exitCode: 1, says: /no such table: pageseal_setting$/m }],
  ['a column missing', (file) => edit(file, 'ALTER TABLE jfs_setting RENAME COLUMN value TO worth'), { exitCode: 1, says: /no such column: value$/m }],
  ['a folder', (file) => { rmSync(file); mkdirSync(file); }, { exitCode: 7, says: /not a file$/m }],
  ['a fifo', async (file) => { rmSync(file); await runOk('mkfifo', [file]); }, { exitCode: 7, says: /not a file$/m }],
  ['nothing', (file) => rmSync(file), { exitCode: 7, says: /no such file$/m }],
  ['no folder', (file) => rmSync(dirname(file), { recursive: true }), { exitCode: 7, says: /folder .* cannot be reached$/m }],
]; // biome-ignore format: a table

function edit(file: string, text: string): void {
  const db = new DatabaseSync(file);
  db.exec(text);
  db.close();
}

function schema(file: string, text: string): void {
  rmSync(file);
  edit(file, text);
}

/** One file each: what its rows become. `$ino` stands for its inode. */
const rows: readonly (readonly [what: string, text: string])[] = [
  ['a chunk row of 25 bytes', "UPDATE jfs_chunk SET slices = CAST(slices || x'00' AS BLOB) WHERE inode = $ino"],
  ['a chunk row of 23 bytes', 'UPDATE jfs_chunk SET slices = CAST(substr(slices, 1, 23) AS BLOB) WHERE inode = $ino'],
  ['a record beyond its slice', "UPDATE jfs_chunk SET slices = CAST(substr(slices, 1, 16) || x'00000001' || substr(slices, 21) AS BLOB) WHERE inode = $ino"],
  ['a record beyond its chunk', "UPDATE jfs_chunk SET slices = CAST(x'FFFFFF00' || substr(slices, 5) AS BLOB) WHERE inode = $ino"],
  ['a slice of 4 GiB', "UPDATE jfs_chunk SET slices = CAST(substr(slices, 1, 12) || x'FFFFFFFF' || substr(slices, 17) AS BLOB) WHERE inode = $ino"],
  ['a slice that is nowhere', "UPDATE jfs_chunk SET slices = CAST(substr(slices, 1, 4) || x'00000000FFFFFFFF' || substr(slices, 13) AS BLOB) WHERE inode = $ino"],
  ['a chunk row that is a number', 'UPDATE jfs_chunk SET slices = 7 WHERE inode = $ino'],
  ['a node of an unknown type', 'UPDATE jfs_node SET type = 99 WHERE inode = $ino'],
  ['a negative length', 'UPDATE jfs_node SET length = -1 WHERE inode = $ino'],
]; // biome-ignore format: a table

describe('unreadable metadata', needs('root', 'fuse', 'openssl', 'the addon'), () => {
  const temp = makeTemp();
  const bytes = randomBytes(PAGE_BYTES);
  let volume: AttackedVolume;
  let copies = 0;

  before(async () => {
    const key = await makeKey(temp, 2048, 'pkcs8', PASSPHRASE);
    volume = new AttackedVolume(temp, 'vol', key, '--rsa-key');
    await volume.format();
    await volume.mount();
    for (const name of [...rows.keys(), 'good']) writeFileSync(volume.path(`file-${name}`), bytes);
    await volume.umount();
  });

  for (const [what, make, refusal] of files)
    test(`${what} in place of the database: refused`, async () => {
      const copy = new AttackedVolume(temp, `copy-${++copies}`, volume.key, '--rsa-key');
      copyFileSync(volume.database, copy.database);
      await make(copy.database);
      const isFile = statSync(copy.database, { throwIfNoEntry: false })?.isFile() === true;
      const { metaUrl, keyFlags: flags, key, database } = copy;
      const untouched = isFile ? [database] : [];
      await mustRefuse(temp, { metaUrl, flags, passphrase: key.passphrase, untouched }, refusal);
      if (!isFile) assert.notEqual(statSync(copy.database, { throwIfNoEntry: false })?.isFile(), true);
      for (const command of ['status', 'fsck']) {
        const { code, stderr } = await copy.pageseal.run([command, metaUrl]);
        assert.equal(code, refusal.exitCode, stderr);
        assert.match(stderr, refusal.says);
      }
    });

  test('damaged rows: EIO for their file, the others read, the same worker serves on', async () => {
    const inode = (at: number): unknown =>
      volume.rows(`SELECT inode FROM jfs_edge WHERE CAST(name AS TEXT) = 'file-${at}'`)[0]?.['inode'];
    rows.forEach(([, text], at) => {
      volume.sql(text.replace('$ino', String(inode(at))));
    });
    const damaged = volume.contents();
    await volume.mount();
    const worker = await volume.worker();
    rows.forEach(([what], at) => {
      assert.equal(
        errnoOf(() => readFileSync(volume.path(`file-${at}`)).length),
        'EIO',
        what,
      );
    });
    assert(readFileSync(volume.path('file-good')).equals(bytes));
    assert(isAlive(worker));
    const codes = new Set(volume.log().match(/"code":"[a-z-]+"/g));
    assert.deepEqual([...codes].sort(), ['"code":"metadata-damaged"', '"code":"page-unledgered"']);
    assert(!volume.log().includes('unexpected exception'), volume.log());
    await volume.umount();
    assert.deepEqual(volume.contents(), damaged);
  });
});
