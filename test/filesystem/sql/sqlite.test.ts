// What is SQLite's own: places it may lie in, read-only openings, errors, a second writer in this process.
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { type ErrorCode, hasCode } from '../../../src/base/errors.ts';
import { change, query, read, write } from '../../../src/filesystem/sql/op.ts';
import { openEngine } from '../../../src/filesystem/sql/open-engine.ts';
import { parseMetaUrl } from '../../../src/filesystem/sql/url.ts';
import { until } from '../../harness/program.ts';
import { makeTemp } from '../../harness/temp.ts';

const temp = makeTemp();
const url = (name: string): string => `sqlite3://${temp.at(name)}`;
const is = (code: ErrorCode) => (thrown: unknown) => hasCode(thrown, code);
const insert = (id: bigint) => change('INSERT INTO jfs_thing (id) VALUES (?)', id);
const count = function* () {
  const [[n]] = yield* read(query('SELECT COUNT(*) FROM jfs_thing', [], (row) => row[0]));
  return n;
};

async function makeDatabase(name: string): Promise<void> {
  const engine = await openEngine(url(name), { create: true });
  await engine.execute('CREATE TABLE jfs_thing (id INTEGER PRIMARY KEY NOT NULL);');
  await engine.run(() => write(insert(1n)));
  await engine.close();
}

test('urls are read as the original client reads them', () => {
  assert.deepEqual(parseMetaUrl('sqlite3:///a/b.db'), {
    kind: 'sqlite',
    file: '/a/b.db',
    tablePrefix: '',
    description: 'sqlite3:///a/b.db',
  });
  const relative = parseMetaUrl('sqlite3://b.db?cache=shared&table_prefix=P&_timeout=1');
  assert.ok(relative.kind === 'sqlite');
  assert.equal(relative.file, `${process.cwd()}/b.db`);
  assert.equal(relative.tablePrefix, 'P');
  assert.throws(() => parseMetaUrl('redis://u:secret@h/db'), is('unsupported'));
  for (const bad of ['b.db', 'sqlite3://', 'sqlite3:///x?table_prefix=a-b'])
    assert.throws(() => parseMetaUrl(bad), is('bad-input'));
  assert.throws(
    () => parseMetaUrl('u:secret@host'),
    (thrown: unknown) => thrown instanceof Error && !thrown.message.includes('secret@host/'),
  );
});

test('a missing file, folder, a folder or something else is metadata-unavailable, and nothing is made', async () => {
  const before = readdirSync(temp.path);
  await assert.rejects(openEngine(url('none.db')), is('metadata-unavailable'));
  await assert.rejects(openEngine(url('none/x.db'), { create: true }), is('metadata-unavailable'));
  await assert.rejects(openEngine(`sqlite3://${temp.path}`), is('metadata-unavailable'));
  assert.deepEqual(readdirSync(temp.path), before);
  writeFileSync(
    temp.at('text.db'),
    'no database at all, but longer than the header of one, which has a hundred bytes'.repeat(9),
  );
  await assert.rejects(openEngine(url('text.db')), is('metadata-unavailable'));
});

test('a damaged database is metadata-damaged', async () => {
  await makeDatabase('damaged.db');
  const bytes = readFileSync(temp.at('damaged.db'));
  bytes.fill(0xaa, 100, 2000);
  bytes.fill(0xaa, 4096);
  writeFileSync(temp.at('damaged.db'), bytes);
  const opening = openEngine(url('damaged.db')).then(async (engine) => {
    try {
      await engine.view(count);
    } finally {
      await engine.close();
    }
  });
  await assert.rejects(opening, is('metadata-damaged'));
});

test('databases of both journal modes open read-only, also where nothing can be written', async () => {
  mkdirSync(temp.at('ro'));
  await makeDatabase('ro/wal.db');
  const old = new DatabaseSync(temp.at('ro/delete.db'));
  old.exec(
    'PRAGMA journal_mode=DELETE; CREATE TABLE jfs_thing (id INTEGER PRIMARY KEY NOT NULL); INSERT INTO jfs_thing VALUES (7)',
  );
  old.close();
  const before = readFileSync(temp.at('ro/delete.db'));
  chmodSync(temp.at('ro'), 0o555);
  for (const name of ['ro/wal.db', 'ro/delete.db']) {
    const engine = await openEngine(url(name), { readOnly: true });
    assert.equal(await engine.view(count), 1n);
    await assert.rejects(
      engine.run(() => write(insert(9n))),
      is('EROFS'),
    );
    await engine.close();
  }
  chmodSync(temp.at('ro'), 0o755);
  assert.deepEqual(readFileSync(temp.at('ro/delete.db')), before);
});

test('a lock of another connection is waited for from a timer', async () => {
  await makeDatabase('busy.db');
  const engine = await openEngine(url('busy.db'));
  const other = new DatabaseSync(temp.at('busy.db'));
  other.exec('BEGIN IMMEDIATE; INSERT INTO jfs_thing VALUES (2)');
  let answered = false;
  const writing = engine
    .run(() => write(insert(3n)))
    .then(() => {
      answered = true;
    });
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(answered, false);
  // Reads are not held up, and do not see what is not committed.
  assert.equal(await engine.view(count), 1n);
  other.exec('COMMIT');
  await writing;
  assert.equal(await engine.view(count), 3n);
  other.close();
  await engine.close();
});

test('a full disk is ENOSPC for the operation that hits it, and the database goes on', async () => {
  await makeDatabase('full.db');
  const engine = await openEngine(url('full.db'));
  const fill = () =>
    engine.run(function* () {
      yield* write(
        change('CREATE TABLE IF NOT EXISTS jfs_big (b BLOB)'),
        change('INSERT INTO jfs_big VALUES (zeroblob(3000000))'),
      );
    });
  // A page limit is what SQLite takes for a disk of that size.
  await engine.view(function* () {
    yield* read(query('PRAGMA max_page_count = 50', [], (row) => row[0]));
  });
  await assert.rejects(fill(), is('ENOSPC'));
  await engine.run(() => write(insert(2n)));
  assert.equal(await engine.view(count), 2n);
  await engine.close();
});

test('commits are copied into the database by a thread while it is open', async () => {
  await makeDatabase('checkpoint.db');
  const engine = await openEngine(url('checkpoint.db'));
  const before = statSync(temp.at('checkpoint.db')).size;
  let n = 10n;
  const some = async (): Promise<void> => {
    for (let i = 0; i < 100; i += 1) await engine.run(() => write(insert(n++), insert(n++), insert(n++)));
  };
  await until('the file grows', async () => {
    await some();
    return statSync(temp.at('checkpoint.db')).size > before;
  });
  await engine.close();
  const check = new DatabaseSync(temp.at('checkpoint.db'));
  assert.equal(check.prepare('SELECT COUNT(*) AS n FROM jfs_thing').get()?.['n'], Number(n) - 10 + 1);
  assert.deepEqual({ ...check.prepare('PRAGMA integrity_check').get() }, { integrity_check: 'ok' });
  check.close();
});
