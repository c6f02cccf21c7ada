// Garbage collection: each kind of garbage is counted as what it is, goes with --delete, and nothing else does.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { fsck } from '../../../src/filesystem/fsck/fsck.ts';
import { collectGarbage, type GcReport } from '../../../src/filesystem/gc/gc.ts';
import { makeTemp, type Temp } from '../../harness/temp.ts';
import { type CopiedVolume, copyVolume } from '../../harness/volumes.ts';
import { violations } from '../../model/invariants.ts';

const HOUR_AGO = Date.now() / 1000 - 3700;

/** Pages of 64 KiB, no trash. */
function volumeOf(
  temp: Temp,
): CopiedVolume & { object(name: string, bytes?: number): string; sql(text: string): void } {
  const volume = copyVolume(temp, 'trash0');
  return {
    ...volume,
    object(name, bytes = 10) {
      const path = join(volume.bucket, 'trash0/chunks/0/0', name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, Buffer.alloc(bytes));
      utimesSync(path, HOUR_AGO, HOUR_AGO);
      return path;
    },
    sql(text) {
      const database = new DatabaseSync(volume.database);
      database.exec(text);
      database.close();
    },
  };
}

const counts = (report: GcReport): Record<string, number> =>
  Object.fromEntries(
    Object.entries(report.objects)
      .filter(([, { count }]) => count > 0)
      .map(([kind, { count }]) => [kind, count]),
  );

const now = (): number => Math.floor(Date.now() / 1000);

test('a volume without garbage has none', async (t) => {
  const volume = volumeOf(makeTemp(t));
  const report = await collectGarbage({ metaUrl: volume.metaUrl, olderThanSeconds: 0 });
  assert.deepEqual(counts(report), { valid: 7, scanned: 7 });
  assert.equal(report.rows.pendingSlices + report.rows.ledgerRows, 0);
});

test('objects are told apart, and only garbage goes', async (t) => {
  const volume = volumeOf(makeTemp(t));
  const leaked = [volume.object('999_0_10'), volume.object('1_0_7'), volume.object('2_2_5')];
  const temporary = volume.object('.jfs.1_0_10.tmp.123-1');
  const pending = volume.object('50_0_10');
  const kept = [volume.object('notes.txt'), volume.object('51_0_10'), volume.object('52_0_10')];
  volume.sql(
    `INSERT INTO jfs_chunk_ref VALUES (50, 10, 0), (51, 10, 2), (52, 10, 1);
     INSERT INTO jfs_delslices VALUES (60, ${now() + 1000}, x'00000000000000340000000a')`,
  );
  const young = join(volume.bucket, 'trash0/chunks/0/0/998_0_10');
  writeFileSync(young, 'young');
  const others = ['trash0/meta/dump.json.gz', 'trash0/testing/abc', 'other/chunks/0/0/9_0_1'].map((name) => {
    const path = join(volume.bucket, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, 'x');
    utimesSync(path, HOUR_AGO, HOUR_AGO);
    return path;
  });
  // The volume's own objects were copied just now.
  for (const name of readdirSync(join(volume.bucket, 'trash0/chunks/0/0')))
    if (/^[1-7]_/.test(name)) utimesSync(join(volume.bucket, 'trash0/chunks/0/0', name), HOUR_AGO, HOUR_AGO);
  const dry = await collectGarbage({ metaUrl: volume.metaUrl });
  assert.deepEqual(counts(dry), {
    scanned: 15,
    valid: 7,
    delayed: 1,
    pending: 1,
    unreferenced: 1,
    leaked: 3,
    temporary: 1,
    skipped: 1,
    foreign: 1,
  });
  assert.match(dry.notes.join(), /1 slices are counted more often/);
  for (const path of [...leaked, temporary, pending]) assert.ok(existsSync(path), path);

  const done = await collectGarbage({ metaUrl: volume.metaUrl, delete: true });
  assert.equal(done.deletedObjects, 4);
  assert.equal(done.rows.pendingSlices, 1);
  for (const path of [...leaked, temporary, pending]) assert.ok(!existsSync(path), path);
  for (const path of [...kept, ...others, young]) assert.ok(existsSync(path), path);
  const after = await collectGarbage({ metaUrl: volume.metaUrl });
  assert.deepEqual(counts(after), { scanned: 10, valid: 7, delayed: 1, unreferenced: 1, skipped: 1, foreign: 1 });
});

test('rows that wait are cleaned up', async (t) => {
  const volume = volumeOf(makeTemp(t));
  // A deleted file with one slice, slices that the trash kept, half a clone, ledger rows of nothing.
  volume.sql(
    `INSERT INTO jfs_chunk (inode, indx, slices) VALUES (900, 0, x'00000000000000000000003c0000000a000000000000000a');
     INSERT INTO jfs_chunk_ref VALUES (60, 10, 1), (61, 10, 1);
     INSERT INTO jfs_delfile VALUES (900, 10, ${now()});
     INSERT INTO jfs_delslices VALUES (61, ${now() - 1000}, x'000000000000003d0000000a')`,
  );
  const objects = [volume.object('60_0_10'), volume.object('61_0_10')];
  const report = await collectGarbage({ metaUrl: volume.metaUrl, delete: true, olderThanSeconds: 0 });
  assert.deepEqual(report.rows.deletedFiles, { count: 1, bytes: 10 });
  assert.equal(report.rows.delayedDue, 1);
  volume.sql(
    `INSERT INTO pageseal_page VALUES (70, 0, x'00', x'00'), (1, 5, x'00', x'00');
     INSERT INTO jfs_node SELECT 901, type, flags, mode, uid, gid, atime, mtime, ctime, atimensec, mtimensec, ctimensec,
       2, length, rdev, 1, access_acl_id, default_acl_id, tier_id FROM jfs_node WHERE inode = 1;
     INSERT INTO jfs_node SELECT 902, type, flags, mode, uid, gid, atime, mtime, ctime, atimensec, mtimensec, ctimensec,
       1, 0, rdev, 901, access_acl_id, default_acl_id, tier_id FROM jfs_node WHERE type = 1 LIMIT 1;
     INSERT INTO jfs_edge (parent, name, inode, type) VALUES (901, x'61', 902, 1);
     INSERT INTO jfs_detached_node VALUES (901, ${now() - 90_000});
     UPDATE jfs_counter SET value = value + 8192 WHERE name = 'usedSpace';
     UPDATE jfs_counter SET value = value + 2 WHERE name = 'totalInodes';`,
  );
  const more = await collectGarbage({ metaUrl: volume.metaUrl, delete: true, olderThanSeconds: 0 });
  assert.equal(more.rows.ledgerRows, 2);
  assert.equal(more.rows.detachedTrees, 1);
  for (const path of objects) assert.ok(!existsSync(path), path);
  assert.deepEqual(violations(volume.database, { original: true }), []);
  const { rows } = await collectGarbage({ metaUrl: volume.metaUrl, olderThanSeconds: 0 });
  assert.deepEqual(
    Object.values(rows).flatMap((each) => (typeof each === 'number' ? each : each.count)),
    [0, 0, 0, 0, 0, 0, 0],
  );
  assert.deepEqual((await fsck({ metaUrl: volume.metaUrl })).findings, []);
});

test('nothing is deleted by counts that cannot be right', async (t) => {
  const volume = volumeOf(makeTemp(t));
  volume.sql('UPDATE jfs_chunk_ref SET refs = 0 WHERE chunkid = 1');
  const leaked = volume.object('999_0_10');
  const work = collectGarbage({ metaUrl: volume.metaUrl, delete: true });
  await assert.rejects(work, { code: 'metadata-damaged', message: /1 slices are counted fewer times/ });
  assert.ok(existsSync(leaked));
  assert.ok(existsSync(join(volume.bucket, 'trash0/chunks/0/0/1_0_50001')));
});

test('uploads of others have their hour', async (t) => {
  const volume = volumeOf(makeTemp(t));
  volume.sql(`INSERT INTO jfs_session2 VALUES (77, ${now() + 100}, x'7b7d')`);
  const work = collectGarbage({ metaUrl: volume.metaUrl, delete: true, olderThanSeconds: 60 });
  await assert.rejects(work, { code: 'failed-precondition', message: /1 clients have it mounted/ });
  await collectGarbage({ metaUrl: volume.metaUrl, delete: true });
});
