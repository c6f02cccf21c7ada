// Rows that operations on a file's data leave, against the format's worked example and vectors.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ErrorCode, hasCode } from '../../../src/base/errors.ts';
import type { LedgerEntry } from '../../../src/base/words.ts';
import { readChunk } from '../../../src/filesystem/meta/chunk-view.ts';
import type { SliceCommit } from '../../../src/filesystem/meta/meta.ts';
import type { OpenedMeta } from '../../../src/filesystem/meta/open-meta.ts';
import { encodeSlices } from '../../../src/filesystem/meta/slices.ts';
import { CHUNK_SIZE, MAX_LENGTH, ROOT } from '../../../src/filesystem/meta/types.ts';
import type { Flight } from '../../../src/filesystem/sql/op.ts';
import { until } from '../../harness/program.ts';
import { makeTemp } from '../../harness/temp.ts';
import { root, TestVolume } from './volume.ts';

const temp = makeTemp();
const is = (code: ErrorCode) => (thrown: unknown) => hasCode(thrown, code);
const MIB = 1 << 20;

const whole = (id: bigint, size: number, pos = 0, indx = 0, ledger: readonly LedgerEntry[] = []): SliceCommit => ({
  indx,
  slice: { pos, id, size, off: 0, len: size },
  ledger,
  mtime: 1_700_000_000_123_456_789n,
});

async function file(meta: OpenedMeta, name = 'a.txt'): Promise<bigint> {
  const { attr } = await meta.create(root, ROOT, Buffer.from(name), 0o644, true);
  meta.opened(attr.ino);
  return attr.ino;
}

test('the worked example of the format: create, write 10 MiB, remove', async () => {
  const volume = await TestVolume.make(temp);
  const meta = await volume.open();
  const ino = await file(meta);
  const id = await meta.newSliceId();
  const attr = await meta.commitSlices(root, ino, [whole(id, 10 * MIB)]);
  assert.equal(attr.length, BigInt(10 * MIB));
  assert.deepEqual(await meta.getattr(ino), attr);
  await meta.closed(ino);
  await meta.close();
  assert.deepEqual(volume.counters(), {
    nextInode: 1026n,
    nextChunk: 4097n,
    nextSession: 1n,
    usedSpace: 10485760n,
    totalInodes: 1n,
    nextCleanupSlices: 0n,
  });
  assert.deepEqual(
    volume.rows(
      'SELECT inode, type, nlink, length, parent, mtime, mtimensec, typeof(inode) FROM jfs_node WHERE inode = 2',
    ),
    [[2n, 1n, 1n, 10485760n, 1n, 1_700_000_000_123_456n, 789n, 'integer']],
  );
  assert.deepEqual(volume.rows('SELECT parent, CAST(name AS TEXT), inode, type, typeof(name) FROM jfs_edge'), [
    [1n, 'a.txt', 2n, 1n, 'blob'],
  ]);
  assert.deepEqual(volume.rows('jfs_dir_stats'), [[1n, 10485760n, 10485760n, 1n]]);
  assert.equal(volume.slices(2n, 0), '00000000000000000000000100a000000000000000a00000');
  assert.deepEqual(volume.rows('jfs_chunk_ref'), [[1n, 10485760n, 1n]]);
  assert.deepEqual(volume.rows('jfs_session2'), []);

  const again = await volume.open();
  await again.unlink(root, ROOT, Buffer.from('a.txt'));
  const info = volume.rows('SELECT sid, typeof(info), info FROM jfs_session2')[0];
  assert.deepEqual(info?.slice(0, 2), [2n, 'blob']);
  assert.equal(JSON.parse(Buffer.from(info?.[2] as Uint8Array).toString()).MountPoint, '/mnt');
  await again.close();
  const trash = 9223372032828243969n;
  assert.deepEqual(
    volume.rows(
      'SELECT inode, length, nlink, parent FROM jfs_node WHERE inode IN (2, 9223372032828243969) ORDER BY inode',
    ),
    [
      [2n, 10485760n, 1n, trash],
      [trash, 4096n, 2n, trash - 1n],
    ],
  );
  assert.deepEqual(volume.rows('SELECT parent, CAST(name AS TEXT) FROM jfs_edge WHERE inode = 2'), [
    [trash, '1-2-a.txt'],
  ]);
  assert.deepEqual(volume.rows('jfs_dir_stats'), [
    [1n, 0n, 0n, 0n],
    [trash, 10485760n, 10485760n, 1n],
  ]);
  const { usedSpace, totalInodes, nextTrash } = volume.counters();
  assert.deepEqual([usedSpace, totalInodes, nextTrash], [10489856n, 2n, 1n]);
});

test('records and ledger rows of one commit come together, in order, and a repeated commit changes nothing', async () => {
  const volume = await TestVolume.make(temp);
  const meta = await volume.open();
  const ino = await file(meta);
  const entry = (sliceId: bigint, indx: number): LedgerEntry => ({
    sliceId,
    indx,
    tag: Buffer.alloc(16, indx),
    pageKey: Buffer.alloc(61, 7),
  });
  const commits = [
    whole(5n, 100, 0, 0, [entry(5n, 0)]),
    whole(6n, 50, 10, 0, [entry(6n, 0), entry(6n, 1)]),
    whole(7n, 9, 0, 2),
  ];
  const first = await meta.commitSlices(root, ino, commits);
  assert.equal(first.length, BigInt(2 * CHUNK_SIZE + 9));
  assert.deepEqual(await meta.commitSlices(root, ino, commits), first);
  const view = await meta.readChunk(ino, 0);
  assert.deepEqual(
    view.slices.map(({ id }) => id),
    [5n, 6n],
  );
  assert.deepEqual(view.ledger, [entry(5n, 0), entry(6n, 0), entry(6n, 1)]);
  assert.deepEqual(await meta.readChunk(ino, 1), { slices: [], ledger: [] });
  assert.deepEqual(await meta.chunkIndexes(ino, 0, 9), [0, 2]);
  // As the original client appends: the value becomes TEXT.
  volume.change(
    `UPDATE jfs_chunk SET slices = slices || x'${'00000001000000000000000500000064000000000000000a'}' WHERE inode = ${ino} AND indx = 0`,
  );
  assert.deepEqual(
    (await meta.readChunk(ino, 0)).slices.map(({ id }) => id),
    [5n, 6n, 5n],
  );
  await assert.rejects(meta.readChunk(999n, 0), is('ENOENT'));
  await assert.rejects(meta.commitSlices(root, 999n, [whole(8n, 1)]), is('ENOENT'));
  await assert.rejects(meta.commitSlices(root, ROOT, [whole(8n, 1)]), is('EPERM'));
  await assert.rejects(meta.commitSlices(root, ino, [whole(8n, 1, 0, 2 ** 31)]), is('EFBIG'));
  assert.deepEqual(volume.rows('SELECT chunkid FROM jfs_chunk_ref ORDER BY chunkid'), [[5n], [6n], [7n]]);
  await meta.close();
});

test('truncate: the vector of the format, over chunk borders, growth, what is refused', async () => {
  const volume = await TestVolume.make(temp);
  const meta = await volume.open();
  const ino = await file(meta);
  await meta.commitSlices(root, ino, [whole(1n, 10 * MIB)]);
  await meta.truncate(root, ino, 5000n);
  assert.equal(volume.slices(ino, 0).slice(48), '00001388000000000000000000000000000000' + '00009fec78');
  assert.deepEqual(volume.rows('SELECT DISTINCT typeof(slices) FROM jfs_chunk'), [['blob']]);
  const before = await meta.getattr(ino);
  assert.deepEqual(await meta.truncate(root, ino, 5000n), before);
  await meta.commitSlices(root, ino, [whole(2n, 100, 0, 1), whole(3n, 100, 0, 2)]);
  await meta.truncate(root, ino, BigInt(3 * CHUNK_SIZE + 7));
  assert.equal(volume.rows(`SELECT indx FROM jfs_chunk WHERE inode = ${ino} AND indx = 3`).length, 1);
  await meta.truncate(root, ino, 10n);
  const last = (indx: number): string => volume.slices(ino, indx).slice(-48);
  assert.equal(last(0), `0000000a${'0'.repeat(32)}${(CHUNK_SIZE - 10).toString(16).padStart(8, '0')}`);
  assert.equal(last(1), `${'0'.repeat(40)}04000000`);
  assert.equal(last(2), `${'0'.repeat(40)}04000000`);
  assert.equal(last(3), `${'0'.repeat(40)}00000007`);
  assert.equal((await meta.truncate(root, ino, MAX_LENGTH)).length, MAX_LENGTH);
  await assert.rejects(meta.truncate(root, ino, MAX_LENGTH + 1n), is('EFBIG'));
  await assert.rejects(meta.truncate(root, ino, -1n), is('EINVAL'));
  await assert.rejects(meta.truncate(root, ROOT, 1n), is('EPERM'));
  await assert.rejects(meta.truncate(root, 999n, 1n), is('ENOENT'));
  volume.change(`UPDATE jfs_node SET length = ${MAX_LENGTH + 1n} WHERE inode = ${ino}`);
  await assert.rejects(meta.getattr(ino), is('metadata-damaged'));
  volume.change(`UPDATE jfs_node SET length = 10, flags = 2 WHERE inode = ${ino}`);
  await assert.rejects(meta.truncate(root, ino, 1n), is('EPERM'));
  await meta.close();
});

test('fallocate: the length only, holes chunk by chunk, modes that are not offered', async () => {
  const volume = await TestVolume.make(temp);
  const meta = await volume.open();
  const ino = await file(meta);
  assert.equal((await meta.fallocate(root, ino, 0, 10n, 100n)).length, 110n);
  assert.equal((await meta.fallocate(root, ino, 1, 10n, 1000n)).length, 110n);
  assert.deepEqual(await meta.chunkIndexes(ino, 0, 9), []);
  await meta.fallocate(root, ino, 0, 0n, BigInt(CHUNK_SIZE + 50));
  await meta.fallocate(root, ino, 3, BigInt(CHUNK_SIZE - 4), 1000n);
  assert.deepEqual((await meta.readChunk(ino, 0)).slices.at(-1), {
    pos: CHUNK_SIZE - 4,
    id: 0n,
    size: 0,
    off: 0,
    len: 4,
  });
  assert.deepEqual((await meta.readChunk(ino, 1)).slices, [{ pos: 0, id: 0n, size: 0, off: 0, len: 50 }]);
  const cases: [number, bigint, bigint, ErrorCode][] = [
    [8, 0n, 1n, 'ENOTSUP'], [0x20, 0n, 1n, 'ENOTSUP'], [9, 0n, 1n, 'EINVAL'], [2, 0n, 1n, 'EINVAL'], [0, 0n, 0n, 'EINVAL'],
    [0, -1n, 1n, 'EINVAL'], [0, MAX_LENGTH, 1n, 'EFBIG'], [0x40, 0n, 1n, 'ENOTSUP'],
  ]; // biome-ignore format: a table
  for (const [mode, offset, size, code] of cases)
    await assert.rejects(meta.fallocate(root, ino, mode, offset, size), is(code));
  await assert.rejects(meta.fallocate(root, ROOT, 0, 0n, 1n), is('EPERM'));
  await meta.close();
});

test('capacity, inode limit and directory quotas', async () => {
  const volume = await TestVolume.make(temp, { capacity: BigInt(MIB), inodes: 3n });
  const meta = await volume.open();
  const ino = await file(meta);
  const usage = await meta.statfs(ROOT);
  assert.deepEqual(usage, { totalBytes: BigInt(MIB), usedBytes: 4096n, totalInodes: 3n, usedInodes: 1n });
  await assert.rejects(meta.commitSlices(root, ino, [whole(1n, MIB + 1)]), is('ENOSPC'));
  await assert.rejects(meta.truncate(root, ino, BigInt(MIB + 1)), is('ENOSPC'));
  await meta.commitSlices(root, ino, [whole(1n, MIB)]);
  assert.equal((await meta.statfs(ROOT)).usedBytes, BigInt(MIB));
  await meta.close();

  const limited = await TestVolume.make(temp);
  const first = await limited.open();
  const dir = await first.mkdir(root, ROOT, Buffer.from('d'), 0o755);
  const sub = await first.mkdir(root, dir.ino, Buffer.from('s'), 0o755);
  await first.close();
  limited.change(`INSERT INTO jfs_dir_quota VALUES (${dir.ino}, ${MIB}, 0, 4096, 1)`);
  const second = await limited.open();
  const { attr } = await second.create(root, sub.ino, Buffer.from('f'), 0o644, true);
  await assert.rejects(second.truncate(root, attr.ino, BigInt(2 * MIB)), is('EDQUOT'));
  await second.truncate(root, attr.ino, BigInt(MIB / 2));
  const inside = await second.statfs(dir.ino);
  assert.equal(inside.totalBytes - inside.usedBytes, BigInt(MIB / 2) - 4096n, 'what is pending counts');
  await second.close();
  assert.deepEqual(limited.rows('SELECT used_space, used_inodes FROM jfs_dir_quota'), [[4096n + BigInt(MIB / 2), 2n]]);
  const third = await limited.open();
  const half = await third.statfs(sub.ino);
  assert.deepEqual([half.totalBytes, half.usedBytes, half.usedInodes], [BigInt(MIB), 4096n + BigInt(MIB / 2), 2n]);
  await third.close();
});

test('what an unlinked file grows by counts in the volume only', async () => {
  const volume = await TestVolume.make(temp, { trashDays: 0 });
  volume.change('INSERT INTO jfs_dir_quota VALUES (1, 1 << 30, 0, 0, 0)');
  const meta = await volume.open();
  const ino = await file(meta);
  await meta.unlink(root, ROOT, Buffer.from('a.txt'));
  await meta.commitSlices(root, ino, [whole(await meta.newSliceId(), MIB)]);
  await meta.truncate(root, ino, BigInt(2 * MIB));
  await meta.fallocate(root, ino, 0, 0n, BigInt(3 * MIB));
  await meta.closed(ino);
  await meta.close();
  assert.deepEqual(volume.rows('SELECT data_length, used_space, used_inodes FROM jfs_dir_stats WHERE inode = 1'), [
    [0n, 0n, 0n],
  ]);
  assert.deepEqual(volume.rows('SELECT used_space, used_inodes FROM jfs_dir_quota'), [[0n, 0n]]);
  assert.equal(volume.counters()['usedSpace'], 0n);
});

test('data of a removed file goes: references, objects, rows; shared and damaged things stay', async () => {
  const volume = await TestVolume.make(temp, { trashDays: 0 });
  const meta = await volume.open();
  const ino = await file(meta);
  await meta.commitSlices(root, ino, [
    whole(1n, 100, 0, 0, [{ sliceId: 1n, indx: 0, tag: Buffer.alloc(16), pageKey: Buffer.alloc(61) }]),
    whole(2n, 100, 0, 1),
  ]);
  const other = await file(meta, 'b');
  // Another file shares slice 2, as after copy_file_range of the original client.
  volume.change(
    `INSERT INTO jfs_chunk (inode, indx, slices) SELECT ${other}, 0, slices FROM jfs_chunk WHERE inode = ${ino} AND indx = 1; UPDATE jfs_chunk_ref SET refs = 2 WHERE chunkid = 2`,
  );
  await meta.unlink(root, ROOT, Buffer.from('a.txt'));
  assert.deepEqual(volume.rows('SELECT inode FROM jfs_sustained'), [[ino]]);
  assert.equal((await meta.getattr(ino)).nlink, 0);
  await meta.closed(ino);
  await until('the data is deleted', () => volume.rows('jfs_delfile').length === 0);
  assert.deepEqual(volume.removed, [1n]);
  assert.deepEqual(volume.rows('jfs_chunk_ref'), [[2n, 100n, 1n]]);
  assert.deepEqual(volume.rows('SELECT slice_id FROM pageseal_page'), []);
  assert.deepEqual(volume.rows('SELECT inode FROM jfs_chunk'), [[other]]);
  assert.deepEqual(volume.rows('SELECT inode FROM jfs_sustained'), []);
  // A delfile row of an inode that lives must not cost it its data.
  volume.change(`INSERT INTO jfs_delfile VALUES (${other}, 0, 0)`);
  await meta.closed(other);
  await meta.unlink(root, ROOT, Buffer.from('b')).catch(() => undefined);
  await meta.close();
  assert.deepEqual(volume.counters()['totalInodes'], 1n, 'the clash left the file alone');
});

test('the ledger of a chunk of a thousand slices takes three statements, not a thousand', () => {
  const ids = Array.from({ length: 1100 }, (_, i) => BigInt(i + 1));
  const bytes = encodeSlices(ids.map((id) => ({ pos: 0, id, size: 1, off: 0, len: 1 })));
  const op = readChunk(2n, 0, true, 'sqlite');
  op.next();
  const flight = op.next([[bytes], [2n]]).value as Flight;
  assert.ok(flight.kind === 'read');
  assert.deepEqual(
    flight.queries.map(({ params }) => params.length),
    [512, 512, 128],
  );
  assert.equal(new Set(flight.queries.flatMap(({ params }) => params)).size, 1100);
});
