// Clean-up of what nobody came to: expired trash, deleted files, lost and delayed slices.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { treeUsage } from '../../../src/filesystem/meta/namespace-statements.ts';
import { hourName } from '../../../src/filesystem/meta/trash.ts';
import { hourOf } from '../../../src/filesystem/meta/trash-expiry.ts';
import { ROOT, TRASH } from '../../../src/filesystem/meta/types.ts';
import { read } from '../../../src/filesystem/sql/op.ts';
import { openEngine } from '../../../src/filesystem/sql/open-engine.ts';
import { until } from '../../harness/program.ts';
import { makeTemp } from '../../harness/temp.ts';
import { root, TestVolume } from './volume.ts';

const temp = makeTemp();
const name = (text: string): Buffer => Buffer.from(text);

test('an hour is the name that its directory gets', () => {
  const ms = Date.UTC(2026, 0, 2, 3);
  assert.equal(hourOf(name(hourName(BigInt(ms + 1_800_000) * 1_000_000n))), ms);
  for (const odd of ['x', '2026-01-02', '2026-01-02-03x', '.']) assert.equal(hourOf(name(odd)), undefined);
});

test('expired hours go with all below them, others stay; totals and references follow', async () => {
  const volume = await TestVolume.make(temp);
  const meta = await volume.open();
  const dir = await meta.mkdir(root, ROOT, name('d'), 0o755);
  const { attr } = await meta.create(root, dir.ino, name('f'), 0o644, true);
  await meta.commitSlices(root, attr.ino, [
    { indx: 0, slice: { pos: 0, id: 9n, size: 10, off: 0, len: 10 }, ledger: [], mtime: 1n },
  ]);
  await meta.unlink(root, dir.ino, name('f'));
  await meta.rmdir(root, ROOT, name('d'));
  const young = await meta.readdir(TRASH, undefined, 10, false);
  await meta.runJobs();
  assert.deepEqual(await meta.readdir(TRASH, undefined, 10, false), young);
  const old = hourName(BigInt(Date.now() - 27 * 3_600_000) * 1_000_000n);
  volume.change(
    `UPDATE jfs_edge SET name = CAST('${old}' AS BLOB) WHERE parent = ${TRASH}; UPDATE jfs_counter SET value = 0 WHERE name = 'lastCleanupTrash'`,
  );
  await meta.runJobs();
  assert.deepEqual(await meta.readdir(TRASH, undefined, 10, false), []);
  await until('the data is deleted', () => volume.rows('jfs_delfile').length === 0);
  await meta.close();
  assert.deepEqual(volume.removed, [9n]);
  assert.deepEqual(volume.rows('SELECT inode FROM jfs_node ORDER BY inode'), [[ROOT], [TRASH]]);
  for (const table of ['jfs_edge', 'jfs_chunk', 'jfs_chunk_ref']) assert.deepEqual(volume.rows(table), [], table);
  assert.deepEqual(volume.rows('SELECT inode FROM jfs_dir_stats'), [[ROOT]]);
  assert.deepEqual([volume.counters()['usedSpace'], volume.counters()['totalInodes']], [0n, 0n]);
});

test('directories of the trash that contain themselves end nothing but their own removal', async () => {
  const volume = await TestVolume.make(temp);
  const meta = await volume.open();
  for (const each of ['a', 'b', 'c']) await meta.mkdir(root, ROOT, name(each), 0o755);
  for (const each of ['a', 'b', 'c']) await meta.rmdir(root, ROOT, name(each));
  const inodes = volume.rows('SELECT inode FROM jfs_node WHERE type = 2 AND inode BETWEEN 2 AND 1000 ORDER BY inode');
  const [[a] = [], [b] = []] = inodes;
  const old = hourName(BigInt(Date.now() - 27 * 3_600_000) * 1_000_000n);
  volume.change(
    `UPDATE jfs_edge SET name = CAST('${old}' AS BLOB) WHERE parent = ${TRASH};
     INSERT INTO jfs_edge (parent, name, inode, type) VALUES (${a}, x'78', ${b}, 2), (${b}, x'79', ${a}, 2)`,
  );
  await meta.collect(() => undefined);
  await meta.close();
  assert.deepEqual(
    volume.rows('SELECT inode FROM jfs_node WHERE type = 2 AND inode BETWEEN 2 AND 1000 ORDER BY inode'),
    [[a], [b]],
  );
  const engine = await openEngine(volume.url);
  const [[usage]] = await engine.view(() => read(treeUsage(a as bigint)));
  await engine.close();
  assert.equal(usage?.inodes, 2n);
});

test('deleted files an hour old, slices without references, and delayed slices', async () => {
  const volume = await TestVolume.make(temp);
  const meta = await volume.open();
  const now = Math.floor(Date.now() / 1000);
  const record = (id: number): string => `x'00000000${id.toString(16).padStart(16, '0')}0000000a000000000000000a'`;
  volume.change(`
    INSERT INTO jfs_delfile VALUES (50, 10, 1), (51, 10, ${now});
    INSERT INTO jfs_chunk (inode, indx, slices) VALUES (50, 0, ${record(1)}), (51, 0, ${record(2)});
    INSERT INTO jfs_chunk_ref VALUES (0, 0, -3), (1, 10, 1), (2, 10, 1), (3, 10, 0), (4, 10, 1), (5, 10, 2);
    INSERT INTO jfs_delslices VALUES (99, 1, x'00000000000000040000000a00000000000000050000000a'), (98, ${now}, x'00000000000000050000000a');
  `);
  await meta.runJobs();
  await until('the data is deleted', () => volume.rows('SELECT 1 FROM jfs_delfile WHERE inode = 50').length === 0);
  await meta.close();
  // Two jobs may come to the same slice at once; removing its objects twice is fine (spec 5.9: both steps idempotent).
  assert.deepEqual([...new Set(volume.removed)].sort(), [1n, 3n, 4n]);
  assert.deepEqual(volume.rows('jfs_chunk_ref'), [
    [0n, 0n, -3n],
    [2n, 10n, 1n],
    [5n, 10n, 1n],
  ]);
  assert.deepEqual(volume.rows('SELECT chunkid FROM jfs_delslices'), [[98n]]);
  assert.deepEqual(volume.rows('SELECT inode FROM jfs_delfile'), [[51n]]);
});

test('a job goes on until nothing is left that is due, however much it is', async () => {
  const volume = await TestVolume.make(temp, { trashDays: 0 });
  const meta = await volume.open();
  const MANY = 1100;
  const count = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${MANY})`;
  const slices = (i: number): string => `x'${(20_000 + i).toString(16).padStart(16, '0')}0000000a'`;
  const delayed = Array.from({ length: MANY }, (_, i) => `(${10_001 + i}, 1, ${slices(i + 1)})`);
  volume.change(`
    ${count} INSERT INTO jfs_delfile SELECT 100 + i, 0, 1 FROM n;
    INSERT INTO jfs_delslices VALUES ${delayed.join()};
    ${count} INSERT INTO jfs_chunk_ref SELECT 20000 + i, 10, 1 FROM n;
    ${count} INSERT INTO jfs_chunk_ref SELECT 30000 + i, 10, 0 FROM n;
  `);
  await meta.runJobs();
  for (const table of ['jfs_delfile', 'jfs_delslices', 'jfs_chunk_ref'])
    assert.deepEqual(volume.rows(table), [], table);
  await meta.close();
  assert.equal(new Set(volume.removed).size, 2 * MANY);
});
