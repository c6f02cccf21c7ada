// What load makes of dumps that no client wrote: one clear error, and a database that holds nothing; and of figures that a
// dump only claims.
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { hasCode } from '../../../src/base/errors.ts';
import type { LoadSummary } from '../../../src/filesystem/load/load.ts';
import { dumpOf, loadText } from '../../harness/dumps.ts';
import { makeTemp } from '../../harness/temp.ts';
import { violations } from '../../model/invariants.ts';
import { sizes } from '../../sizes.ts';

type Json = Record<string, unknown>;

const temp = makeTemp();
const bucket = `${temp.folder('bucket')}/`;
let count = 0;

const attr = (inode: number | bigint, type: string, more: Json = {}): Json => ({
  inode: Number(inode),
  type,
  mode: 0o644,
  uid: 0,
  gid: 0,
  atime: 1,
  mtime: 2,
  ctime: 3,
  nlink: 1,
  length: 0,
  ...more,
});
const file = (inode: number, ids: readonly number[] = [], more: Json = {}): Json => ({
  attr: attr(inode, 'regular', { length: ids.length * 10, ...more }),
  ...(ids.length > 0 && {
    chunks: [{ index: 0, slices: ids.map((id, i) => ({ id, pos: i * 10, size: id === 0 ? 0 : 10, len: 10 })) }],
  }),
});
const directory = (inode: number, entries: Json = {}): Json => ({ attr: attr(inode, 'directory'), entries });

const setting = {
  Name: 'loaded',
  UUID: 'd01a7f58-5fed-41c6-b259-f5c9e7628d98',
  Storage: 'file',
  Bucket: bucket,
  BlockSize: 64,
  TrashDays: 0,
  MetaVersion: 1,
  DirStats: true,
};
const dump = (entries: Json, more: Json = {}): Json => ({
  Setting: setting,
  Counters: {},
  FSTree: directory(1, entries),
  ...more,
});

interface Loaded {
  readonly file: string;
  readonly metaUrl: string;
  readonly summary: LoadSummary;
}

async function load(content: Json | string | Buffer, options: Parameters<typeof loadText>[2] = {}): Promise<Loaded> {
  const path = temp.at(`${++count}.db`);
  const text = typeof content === 'string' || Buffer.isBuffer(content) ? content : JSON.stringify(content);
  const metaUrl = `sqlite3://${path}`;
  return { file: path, metaUrl, summary: await loadText(metaUrl, text, options) };
}

const rows = (path: string, sql: string): unknown[] => {
  const database = new DatabaseSync(path, { readOnly: true, readBigInts: true, returnArrays: true });
  try {
    return database.prepare(sql).all();
  } finally {
    database.close();
  }
};

async function refused(content: Json | string | Buffer, message: RegExp): Promise<void> {
  const at = `${count + 1}.db`;
  await assert.rejects(load(content), (error: Error) => {
    assert.match(error.message, message);
    assert.ok(hasCode(error, 'bad-input', 'newer-format'), error.message);
    return true;
  });
  assert.deepEqual(rows(temp.at(at), "SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite%'"), []);
}

describe('load counts for itself', () => {
  test('links, parents, references, sums, counters', async () => {
    const { file: path, summary } = await load(
      dump({
        a: file(10, [5, 0, 6], { nlink: 9 }),
        b: file(10, [5, 0, 6], { nlink: 9 }),
        c: file(11, [6]),
        d: directory(12, { deep: directory(13), e: file(14, [1]), f: file(10, [5, 0, 6]) }),
        l: { attr: attr(15, 'symlink'), symlink: 'x%20y' },
      }),
    );
    assert.deepEqual(violations(path), []);
    assert.deepEqual(rows(path, 'SELECT nlink, parent FROM jfs_node WHERE inode = 10'), [[3n, 0n]]);
    assert.deepEqual(rows(path, 'SELECT chunkid, refs FROM jfs_chunk_ref ORDER BY chunkid'), [
      [1n, 1n],
      [5n, 1n],
      [6n, 2n],
    ]);
    assert.deepEqual(rows(path, 'SELECT length FROM jfs_node WHERE inode = 15'), [[3n]]);
    assert.equal(summary.nextSlice, 7n);
    assert.equal(summary.inodes, 6n);
  });

  test('what users and groups own, links and special files not counted, hard links once', async () => {
    const { file: path } = await load(
      dump(
        {
          a: file(10, [5], { uid: 7, gid: 8 }),
          b: file(10, [5], { uid: 7, gid: 8 }),
          l: { attr: attr(15, 'symlink', { uid: 9 }), symlink: 'x' },
          d: directory(12, { f: { attr: attr(16, 'fifo', { uid: 7 }) } }),
        },
        { Setting: { ...setting, UserGroupQuota: true }, UserQuotas: { 7: { maxSpace: 4096, maxInodes: 0 } } },
      ),
    );
    assert.deepEqual(violations(path), []);
    assert.deepEqual(rows(path, 'SELECT * FROM jfs_user_group_quota WHERE qtype = 1 ORDER BY qkey'), [
      [1n, 0n, -1n, -1n, 4096n, 1n],
      [1n, 7n, 4096n, 0n, 4096n, 1n],
      [1n, 9n, -1n, -1n, 0n, 0n],
    ]);
  });

  test('ids go on above those of the bucket, the counters and the ledger', async () => {
    mkdirSync(`${bucket}loaded/chunks/0/4`, { recursive: true });
    writeFileSync(`${bucket}loaded/chunks/0/4/4711_0_10`, '');
    assert.equal((await load(dump({}))).summary.nextSlice, 4712n);
    assert.equal((await load(dump({}, { Counters: { nextChunk: 9000 } }))).summary.nextSlice, 9000n);
    const page = Buffer.alloc(77).toString('base64');
    const own = { version: 1, setting: {}, volumes: [], snapshots: [], delslices: [], pages: [[8000, 0, page]] };
    assert.equal((await load(dump({}, { pageseal_tables: own }))).summary.nextSlice, 8001n);
    const skipped = await load(dump({}), { skipBucket: true });
    assert.ok(skipped.summary.nextSlice > 2n ** 40n);
    await assert.rejects(
      load(dump({}, { Setting: { ...setting, Bucket: temp.at('none/') } })),
      /--bucket|no such|ENOENT/,
    );
  });

  test('text in pieces of any size', async () => {
    const text = JSON.stringify(dump({ 'gr%C3%BC%C3%9Fe %22q%22': file(10, [5]), ü: directory(11) }));
    const whole = await load(text);
    for (const size of [1, 2, 7, 64])
      assert.equal(await dumpOf((await load(text, { size })).metaUrl), await dumpOf(whole.metaUrl));
  });

  test('a tree of three thousand levels', async () => {
    const depth = 3000;
    const open = (ino: number): string => `{"attr":${JSON.stringify(attr(ino, 'directory'))},"entries":{`;
    let text = `{"Setting":${JSON.stringify(setting)},"FSTree":${open(1)}`;
    for (let i = 2; i < depth; i += 1) text += `"d":${open(i)}`;
    text += `${'}}'.repeat(depth - 1)}}`;
    const { summary, metaUrl } = await load(text, { size: 65_536 });
    assert.equal(summary.entries, depth - 2);
    const again = await load(await dumpOf(metaUrl), { size: 65_536 });
    assert.equal(again.summary.entries, depth - 2);
  });
});

test('a dump with bytes changed, cut out or doubled: refused, or a sound volume', async () => {
  const good = Buffer.from(
    JSON.stringify(
      dump({
        a: file(10, [5, 0, 6]),
        b: file(10, [5, 0, 6]),
        d: directory(11, { c: file(12, [7]), e: directory(13), l: { attr: attr(14, 'symlink'), symlink: 'x' } }),
      }),
    ),
  );
  // The record before may say that there are no sums of directories, say.
  const damage = fc.record({
    at: fc.integer({ min: good.indexOf('"Counters"'), max: good.length - 1 }),
    cut: fc.nat({ max: 12 }),
    put: fc.constantFrom('', '"', '{', '}', '[', ']', ',', ':', '0', '9', '-', '\\', 'x', '\u00ff', '{"a":1}'),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 3 }), async (list) => {
      let text = good;
      for (const { at, cut, put } of list)
        text = Buffer.concat([text.subarray(0, at), Buffer.from(put), text.subarray(at + cut)]);
      const path = temp.at(`${count + 1}.db`);
      const error = await load(text, { skipBucket: true }).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      if (error === undefined) assert.deepEqual(violations(path), []);
      else if (!hasCode(error, 'bad-input', 'newer-format')) throw error;
      else assert.deepEqual(rows(path, "SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite%'"), []);
      rmSync(path);
    }),
    { numRuns: sizes.damagedDumps },
  );
});

describe('load refuses, and leaves nothing', () => {
  const good = JSON.stringify(dump({ a: file(10, [5]), d: directory(11, { b: file(12, [6]) }) }));

  test('a text cut anywhere', async () => {
    for (let length = 1; length < good.length; length += 37) await refused(good.slice(0, length), /read the dump/);
  });

  test('what is no JSON, or more than one', async () => {
    for (const text of ['{', '[]', '{"Setting":', `${good}x`, `${good},`, 'null', good.replace(':', ';'), '{"a" "b"}'])
      await refused(text, /read the dump/);
    await refused(Buffer.from(good.replace('"a"', '"\u00ff"'), 'latin1'), /UTF-8/);
    await refused('{}', /no Setting/);
    await refused(JSON.stringify({ Setting: setting }), /cut/);
    await refused(JSON.stringify({ FSTree: directory(1) }), /before Setting/);
  });

  test('wrong types and values that cannot be', async () => {
    const bad: [Json, RegExp][] = [
      [dump({ a: { attr: 5 } }), /wanted an object/],
      [dump({ a: { attr: { ...attr(10, 'regular'), inode: 'x' } } }), /inode: wanted an integer/],
      [dump({ a: { attr: attr(10, 'pipe') } }), /type: wanted regular/],
      [dump({ a: { attr: attr(1, 'regular') } }), /cannot stand there/],
      [dump({ a: { attr: attr(10, 'regular', { uid: -1 }) } }), /uid: wanted/],
      [dump({ a: { attr: attr(10, 'regular', { length: 1.5 }) } }), /length: wanted an integer/],
      [dump({ a: { attr: attr(10, 'symlink') } }), /target/],
      [dump({ a: { ...file(10), symlink: 'x' } }), /target/],
      [dump({ a: { entries: {}, attr: attr(10, 'directory') } }), /does not begin with its attr/],
      [dump({ a: { ...file(10), entries: {} } }), /no directory/],
      [dump({ '..': file(10) }), /name/],
      [dump({ 'a%2Fb': file(10) }), /name/],
      [dump({ ['x'.repeat(256)]: file(10) }), /name/],
      [dump({ a: { ...file(10), chunks: [{ index: 0, slices: [{ id: 5, size: 10, len: 11 }] }] } }), /record/],
      [dump({ a: { ...file(10), chunks: [{ index: -1, slices: [] }] } }), /index/],
      [
        dump({ a: file(10, [5]), b: { ...file(11), chunks: [{ index: 0, slices: [{ id: 5, size: 9, len: 9 }] }] } }),
        /two sizes/,
      ],
      [dump({}, { Setting: { ...setting, Name: '../x' } }), /leads out/],
      [dump({}, { Setting: { ...setting, MetaVersion: 7 } }), /metadata version/],
      [dump({}, { Quotas: { x: {} } }), /quota/],
      [dump({}, { pageseal_tables: { version: 2 } }), /version 1/],
      [dump({}, { pageseal_tables: { version: 1, pages: [[1, 0, 'AA==']] } }), /ledger row/],
    ];
    for (const [content, message] of bad) await refused(content, message);
  });

  test('inodes and names twice', async () => {
    await refused(dump({ d: directory(10), e: directory(10) }), /inode 10 is in it twice/);
    await refused(dump({ a: file(10), e: directory(10) }), /twice/);
    await refused(dump({ a: file(10), e: { attr: attr(10, 'fifo') } }), /twice/);
    await refused(good.replace('"d":', '"a":'), /a name of directory 1 is in it twice/);
  });

  test('hostile depth and size', async () => {
    await refused(`{"Setting":${'['.repeat(100_000)}`, /nested/);
    await refused(
      dump({ a: { ...file(10), more: JSON.parse(`${'['.repeat(70)}${']'.repeat(70)}`) as unknown } }),
      /nested/,
    );
    await refused(`{"Setting":"${'x'.repeat(17 * 1024 * 1024)}"}`, /more than/);
  });

  test('a database that holds a file system, and one that load left in the middle', async () => {
    const { file: path, metaUrl } = await load(good);
    const before = await dumpOf(metaUrl);
    await assert.rejects(loadText(metaUrl, good), (error) => hasCode(error, 'already-formatted'));
    assert.equal(await dumpOf(metaUrl), before);
    const database = new DatabaseSync(path);
    database.exec("DELETE FROM jfs_setting; INSERT INTO pageseal_lock VALUES ('load', x'', 1)");
    database.close();
    await loadText(metaUrl, good);
    assert.equal(await dumpOf(metaUrl), before);
  });
});
