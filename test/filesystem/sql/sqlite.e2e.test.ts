// The database under other processes: writers at the same time, a kill in the middle of commits, a place that is
// read-only for root too.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { query, read } from '../../../src/filesystem/sql/op.ts';
import { openEngine } from '../../../src/filesystem/sql/open-engine.ts';
import { run, runOk } from '../../harness/program.ts';
import { makeTemp } from '../../harness/temp.ts';

const temp = makeTemp();
const writerFile = fileURLToPath(new URL('writer.ts', import.meta.url));
const ROWS = 400;

async function makeDatabase(name: string): Promise<string> {
  const url = `sqlite3://${temp.at(name)}`;
  const engine = await openEngine(url, { create: true });
  await engine.execute(
    'CREATE TABLE jfs_total (value INTEGER NOT NULL); INSERT INTO jfs_total VALUES (0); CREATE TABLE jfs_thing (writer INTEGER NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (writer, n));',
  );
  await engine.close();
  return url;
}

function totals(name: string): { total: number; rows: number; check: unknown } {
  const database = new DatabaseSync(temp.at(name));
  const one = (sql: string): unknown => Object.values(database.prepare(sql).get() ?? {})[0];
  const found = {
    total: Number(one('SELECT value FROM jfs_total')),
    rows: Number(one('SELECT COUNT(*) FROM jfs_thing')),
    check: one('PRAGMA integrity_check'),
  };
  database.close();
  return found;
}

test('two processes write at the same time and lose nothing', async () => {
  const url = await makeDatabase('two.db');
  const args = (writer: string): string[] => [writerFile, url, writer, String(ROWS)];
  const outcomes = await Promise.all(
    ['1', '2'].map((writer) => run(process.execPath, args(writer), { env: temp.env })),
  );
  for (const outcome of outcomes) assert.equal(outcome.code, 0, outcome.stderr);
  assert.deepEqual(totals('two.db'), { total: 2 * ROWS, rows: 2 * ROWS, check: 'ok' });
});

test('kill -9 in the middle of commits: every answered commit is there, whole', async () => {
  const url = await makeDatabase('killed.db');
  let rows = 0;
  for (let round = 1; round <= 3; round += 1) {
    const child = spawn(process.execPath, [writerFile, url, String(round), '1000000', 'durable'], {
      env: temp.env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (more: string) => {
      text += more;
      if (text.length > 1500 * round) child.kill('SIGKILL');
    });
    await once(child, 'close');
    const answered = text.split('\n').length - 1;
    const found = totals('killed.db');
    assert.equal(found.check, 'ok');
    assert.equal(found.total, found.rows);
    assert.ok(found.rows - rows >= answered, `${answered} commits were answered, ${found.rows - rows} are there`);
    rows = found.rows;
  }
});

test('a read-only mount: both journal modes open; commits that only lie in the -wal file are never passed over', async () => {
  await makeDatabase('source-wal.db');
  const pending = new DatabaseSync(temp.at('source-pending.db'));
  pending.exec('PRAGMA journal_mode=WAL; CREATE TABLE jfs_total (value INTEGER NOT NULL)');
  const place = temp.folder('place');
  const plain = new DatabaseSync(temp.at('place', 'delete.db'));
  plain.exec('CREATE TABLE jfs_total (value INTEGER NOT NULL); INSERT INTO jfs_total VALUES (0)');
  plain.close();
  cpSync(temp.at('source-wal.db'), temp.at('place', 'wal.db'));
  cpSync(temp.at('source-pending.db'), temp.at('place', 'pending.db'));
  cpSync(temp.at('source-pending.db-wal'), temp.at('place', 'pending.db-wal'));
  pending.close();
  await runOk('mount', ['--bind', place, place]);
  await runOk('mount', ['-o', 'remount,bind,ro', place]);
  for (const name of ['delete.db', 'wal.db']) {
    const engine = await openEngine(`sqlite3://${temp.at('place', name)}`, { readOnly: true });
    const value = await engine.view(function* () {
      const [[found]] = yield* read(query('SELECT value FROM jfs_total', [], (row) => row[0]));
      return found;
    });
    assert.equal(value, 0n);
    await engine.close();
  }
  await assert.rejects(openEngine(`sqlite3://${temp.at('place', 'pending.db')}`, { readOnly: true }), {
    code: 'metadata-unavailable',
  });
});
