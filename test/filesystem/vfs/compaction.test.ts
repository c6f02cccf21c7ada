// Compaction of mounted volumes: real metadata and sealed pages, strict ledger, objects in memory.
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import { after, test } from 'node:test';
import { hasCode } from '../../../src/base/errors.ts';
import { compactVolume } from '../../../src/filesystem/compact.ts';
import { formatVolume } from '../../../src/filesystem/format.ts';
import { fsck } from '../../../src/filesystem/fsck/fsck.ts';
import { openFileSystem, openVolume } from '../../../src/filesystem/open.ts';
import type { FileSystem } from '../../../src/filesystem/options.ts';
import { dropMemBucket, memBucket } from '../../../src/filesystem/store/mem-store.ts';
import { compactChunk } from '../../../src/filesystem/vfs/compact-chunk.ts';
import { until } from '../../harness/program.ts';
import { makeTemp } from '../../harness/temp.ts';
import { violations } from '../../model/invariants.ts';
import { caller } from './doubles.ts';

const temp = makeTemp();
const pem = Buffer.from(
  generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }),
);
const key = () => ({ kind: 'pem', pem: Buffer.from(pem) }) as const;
const never = new AbortController().signal;
const PAGE = 65_536;
const RDWR = 2;

let volumes = 0;

async function make(trashDays: number) {
  const bucket = `compaction-${++volumes}`;
  const file = temp.at(`${bucket}.db`);
  const metaUrl = `sqlite3://${file}`;
  after(() => dropMemBucket(bucket));
  const store = { storage: 'mem', bucket };
  await formatVolume({ metaUrl, name: 'demo', store, key: { kind: 'self-managed' }, pageSize: PAGE, trashDays });
  return {
    metaUrl,
    bucket: memBucket(bucket),
    serve: (options = {}) => openFileSystem({ metaUrl, key: key(), ...options }),
    open: () => openVolume({ metaUrl, key: key(), backgroundJobs: false }),
    count: (sql: string): number => {
      const database = new DatabaseSync(file);
      const row = database.prepare(`SELECT ${sql} AS n`).get();
      database.close();
      return Number(row?.['n']);
    },
    change(sql: string): void {
      const database = new DatabaseSync(file);
      database.exec(sql);
      database.close();
    },
    /** Nothing wrong, and nothing in the store that nobody refers to. */
    async check(): Promise<void> {
      assert.deepEqual(violations(file), []);
      const report = await fsck({ metaUrl, deep: { key: key() } });
      assert.deepEqual(report.findings, []);
      assert.equal([...this.bucket.objects.keys()].filter((name) => name.includes('/chunks/')).length, report.pages);
    },
  };
}

type Volume = Awaited<ReturnType<typeof make>>;

const records = (volume: Volume, what = 'MAX'): number =>
  volume.count(`(SELECT ${what}(length(CAST(slices AS BLOB)) / 24) FROM jfs_chunk)`);

async function create(fs: FileSystem, name = 'file') {
  const [{ attr }, { handle }] = await fs.vfs.create(caller, fs.vfs.root, Buffer.from(name), 0o644, RDWR);
  return { ino: attr.ino, handle };
}

async function contents(fs: FileSystem, ino: bigint): Promise<Buffer> {
  const { handle } = await fs.vfs.open(caller, ino, 0);
  try {
    return Buffer.concat(await fs.vfs.read(caller, ino, handle, 0n, 1 << 20));
  } finally {
    await fs.vfs.release(caller, ino, handle);
  }
}

/** Pieces at random places, each committed by itself. */
async function scribble(fs: FileSystem, file: { ino: bigint; handle: bigint }, model: Buffer, times: number) {
  for (let i = 0; i < times; i++) {
    const at = Math.floor(Math.random() * (model.length - 5000));
    const data = randomBytes(1 + Math.floor(Math.random() * 5000));
    data.copy(model, at);
    await fs.vfs.write(caller, file.ino, file.handle, BigInt(at), data);
    await fs.vfs.fsync(caller, file.ino, file.handle);
  }
}

for (const trashDays of [0, 1])
  test(`a file that is synced after every few bytes keeps a short row, trash ${trashDays}`, async () => {
    const volume = await make(trashDays);
    const fs = await volume.serve();
    const file = await create(fs);
    const model = Buffer.alloc(200_000);
    await fs.vfs.write(caller, file.ino, file.handle, 0n, model);
    let longest = 0;
    for (let round = 0; round < 4; round++) {
      await scribble(fs, file, model, 60);
      longest = Math.max(longest, records(volume));
      assert.deepEqual(await contents(fs, file.ino), model);
    }
    assert.ok(longest < 240, `${longest} records`);
    await fs.vfs.release(caller, file.ino, file.handle);
    await fs.close();
    assert.equal(volume.count('(SELECT COUNT(*) FROM jfs_delslices)') > 0, trashDays > 0);
    await volume.check();
  });

test('a read of many records has them compacted, unless the mount is read-only or does no jobs', async () => {
  const volume = await make(0);
  const model = Buffer.alloc(20_000);
  for (const how of ['no-bgjob', 'read-only', ''] as const) {
    if (how !== 'read-only') {
      const fs = await volume.serve({ backgroundJobs: false });
      const file = await create(fs, how || 'last');
      await fs.vfs.write(caller, file.ino, file.handle, 0n, model);
      await scribble(fs, file, model, 6);
      await fs.vfs.release(caller, file.ino, file.handle);
      await fs.close();
    }
    const before = records(volume, 'SUM');
    const fs = await volume.serve({ backgroundJobs: how !== 'no-bgjob', readOnly: how === 'read-only' });
    const { attr } = await fs.vfs.lookup(caller, fs.vfs.root, Buffer.from(how === '' ? 'last' : 'no-bgjob'));
    await contents(fs, attr.ino);
    if (how === '') await until('the chunk is compacted', () => records(volume, 'SUM') < before);
    else for (let i = 0; i < 20; i++) await new Promise(setImmediate);
    if (how === '') assert.deepEqual(await contents(fs, attr.ino), model);
    await fs.close();
    if (how !== '') assert.equal(records(volume, 'SUM'), before);
  }
  await volume.check();
});

test('at 2500 records the next write waits until they are fewer, also on a mount that does no jobs', async () => {
  const volume = await make(0);
  const first = await volume.serve({ backgroundJobs: false });
  const { ino, handle } = await create(first);
  await first.vfs.write(caller, ino, handle, 0n, Buffer.from('0123456789'));
  await first.vfs.release(caller, ino, handle);
  await first.close();
  // The same bytes as often as it takes, as copied ranges would leave them.
  const times = 2499;
  volume.change(`UPDATE jfs_chunk SET slices = (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${times})
    SELECT unhex(group_concat(hex(c.slices), '')) FROM n, jfs_chunk c); UPDATE jfs_chunk_ref SET refs = ${times}`);
  assert.equal(records(volume), times);
  const fs = await volume.serve({ backgroundJobs: false });
  const again = await fs.vfs.open(caller, ino, RDWR);
  for (const [at, text] of [
    [3n, 'abc'],
    [8n, 'def'],
  ] as const) {
    await fs.vfs.write(caller, ino, again.handle, at, Buffer.from(text));
    await fs.vfs.fsync(caller, ino, again.handle);
  }
  assert.equal(records(volume), 2);
  assert.equal((await contents(fs, ino)).toString(), '012abc67def');
  await fs.vfs.release(caller, ino, again.handle);
  await fs.close();
  await volume.check();
});

test('a mount reads on when another client has compacted a chunk and deleted its old pages', async () => {
  const volume = await make(0);
  const fs = await volume.serve({ backgroundJobs: false, cacheBytes: 0 });
  const file = await create(fs);
  const model = Buffer.alloc(100_000);
  await fs.vfs.write(caller, file.ino, file.handle, 0n, model);
  await scribble(fs, file, model, 10);
  assert.deepEqual(await contents(fs, file.ino), model);
  const other = await volume.open();
  const report = await compactVolume({ volume: other });
  assert.deepEqual([report.chunks, report.compacted, report.failed], [1, 1, 0]);
  assert.equal(records(volume), 1);
  assert.deepEqual(Buffer.concat(await fs.vfs.read(caller, file.ino, file.handle, 0n, 1 << 20)), model);
  await other.close();
  await fs.vfs.release(caller, file.ino, file.handle);
  await fs.close();
  await volume.check();
});

test('two clients that compact the same chunk: one wins, nothing is left of the other', async () => {
  const volume = await make(0);
  const fs = await volume.serve({ backgroundJobs: false });
  const file = await create(fs);
  const model = Buffer.alloc(3 * PAGE);
  await fs.vfs.write(caller, file.ino, file.handle, 0n, model);
  await scribble(fs, file, model, 5);
  const [a, b] = [await volume.open(), await volume.open()];
  const both = await Promise.all([a, b].map((client) => compactChunk(client, file.ino, 0, never)));
  assert.deepEqual(both.map(({ kind }) => kind).sort(), ['changed', 'done']);
  await Promise.all([a.close(), b.close()]);
  assert.deepEqual(await contents(fs, file.ino), model);
  await fs.vfs.release(caller, file.ino, file.handle);
  await fs.close();
  await volume.check();
});

test('what is cancelled, or meets a full store or a damaged page, leaves the chunk as it was and nothing behind', async () => {
  const volume = await make(0);
  const fs = await volume.serve({ backgroundJobs: false });
  const file = await create(fs);
  const model = Buffer.alloc(3 * PAGE);
  await fs.vfs.write(caller, file.ino, file.handle, 0n, model);
  await scribble(fs, file, model, 5);
  await fs.vfs.release(caller, file.ino, file.handle);
  await fs.close();
  const other = await volume.open();
  const before = records(volume);
  const cut = new AbortController();
  const write = other.pages.write.bind(other.pages);
  let written = 0;
  other.pages.write = (place, plain, signal) => {
    if (++written === 2) cut.abort();
    return write(place, plain, signal);
  };
  await assert.rejects(compactChunk(other, file.ino, 0, cut.signal), (thrown) => hasCode(thrown, 'cancelled'));
  other.pages.write = write;
  volume.bucket.capacity = 1;
  assert.equal((await compactVolume({ volume: other })).failed, 1);
  volume.bucket.capacity = Number.POSITIVE_INFINITY;
  assert.equal(records(volume), before);
  await volume.check();

  const [name, object] = [...volume.bucket.objects].find(([name]) => name.includes('/chunks/')) ?? [];
  assert.ok(name !== undefined && object !== undefined);
  const sound = Buffer.from(object.bytes);
  object.bytes[object.bytes.length - 20] = (object.bytes[object.bytes.length - 20] ?? 0) ^ 1;
  await other.close();
  const again = await volume.open();
  const report = await compactVolume({ volume: again });
  assert.deepEqual([report.failed, report.compacted], [1, 0]);
  assert.match(report.failures[0] ?? '', /chunks/);
  sound.copy(object.bytes);
  assert.equal((await compactVolume({ volume: again, below: [file.ino] })).compacted, 1);
  await again.close();
  await volume.check();
});
