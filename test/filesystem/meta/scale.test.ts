// What an operation on one entry costs does not depend on how many entries its directory has: no statement goes through a
// table, and as many rows are read in a directory of 20,000 entries as in one of ten.
import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { DataDeletion } from '../../../src/filesystem/meta/delete-data.ts';
import { type OpenedMeta, openMeta } from '../../../src/filesystem/meta/open-meta.ts';
import { ROOT } from '../../../src/filesystem/meta/types.ts';
import type { Engine, Flight, Op } from '../../../src/filesystem/sql/op.ts';
import { openEngine } from '../../../src/filesystem/sql/open-engine.ts';
import { isScaled } from '../../harness/place.ts';
import { makeTemp } from '../../harness/temp.ts';
import { quiet, root, TestVolume } from './volume.ts';

const temp = makeTemp();
const FEW = 10;
const MANY = 20_000;
const FIRST_INODE = 1_000_000;

/** An engine that notes what operations read and write. */
class Watched {
  readonly engine: Engine;
  statements: string[] = [];
  /** By text: how many parameters. */
  readonly all = new Map<string, number>();
  rows = 0;

  constructor(inner: Engine) {
    const watched =
      <R>(operation: () => Op<R>) =>
      () =>
        this.#watch(operation());
    this.engine = {
      dialect: inner.dialect,
      description: inner.description,
      run: (operation, options) => inner.run((attempt) => watched(() => operation(attempt))(), options),
      view: (operation) => inner.view(watched(operation)),
      execute: (script) => inner.execute(script),
      sync: () => inner.sync(),
      close: () => inner.close(),
    };
  }

  *#watch<R>(op: Op<R>): Op<R> {
    let step = op.next();
    while (!step.done) {
      const flight: Flight = step.value;
      const parts = flight.kind === 'read' ? flight.queries : flight.changes;
      for (const { sql, params } of parts) {
        this.statements.push(sql);
        this.all.set(sql, params.length);
      }
      const found = yield flight;
      if (flight.kind === 'read') for (const rows of found as unknown[][]) this.rows += rows.length;
      step = op.next(found);
    }
    return step.value;
  }
}

interface Cost {
  readonly statements: readonly string[];
  readonly rows: number;
}

/** Every operation of a program that works in a large directory, and what each took. */
async function costs(volume: TestVolume, entries: number): Promise<Map<string, Cost>> {
  fill(volume, entries);
  const watched = new Watched(await openEngine(volume.url));
  const meta = await openMeta({
    engine: watched.engine,
    log: quiet,
    session: { mountPoint: '/mnt' },
    removeSlice: async () => undefined,
  });
  watched.all.clear();
  const found = new Map<string, Cost>();
  for (const [name, work] of Object.entries(operations(entries))) {
    watched.statements = [];
    watched.rows = 0;
    await work(meta);
    found.set(name, { statements: watched.statements, rows: watched.rows });
  }
  checkPlans(volume, watched);
  await meta.close();
  return found;
}

const name = (i: number): Buffer => Buffer.from(`entry-${String(i).padStart(7, '0')}`);

function operations(entries: number): Record<string, (meta: OpenedMeta) => Promise<unknown>> {
  const middle = Math.floor(entries / 2);
  const fresh = Buffer.from('fresh');
  return {
    // The first in its hour makes the trash's directory, and fetches inode numbers.
    prepare: async (meta) => {
      await meta.mkdir(root, ROOT, Buffer.from('other'), 0o755);
      await meta.unlink(root, ROOT, name(middle + 1));
    },
    lookup: (meta) => meta.lookup(root, ROOT, name(middle)),
    missing: (meta) => meta.lookup(root, ROOT, fresh).catch(() => undefined),
    create: (meta) => meta.create(root, ROOT, fresh, 0o644, true),
    link: async (meta) => meta.link(root, BigInt(FIRST_INODE + middle), ROOT, Buffer.from('linked')),
    rename: (meta) => meta.rename(root, ROOT, fresh, ROOT, Buffer.from('renamed'), 0),
    replace: (meta) => meta.rename(root, ROOT, Buffer.from('renamed'), ROOT, name(middle + 2), 0),
    unlink: (meta) => meta.unlink(root, ROOT, name(middle)),
    mkdir: (meta) => meta.mkdir(root, ROOT, Buffer.from('dir'), 0o755),
    rmdir: (meta) => meta.rmdir(root, ROOT, Buffer.from('dir')),
    rmdirOfFull: (meta) => meta.rmdir(root, ROOT, Buffer.from('other')),
    readdir: (meta) => meta.readdir(ROOT, name(middle), 3, true),
    getattr: (meta) => meta.getattr(ROOT),
    statfs: (meta) => meta.statfs(ROOT),
  };
}

function fill(volume: TestVolume, entries: number): void {
  const database = new DatabaseSync(volume.file);
  const node = database.prepare(
    `INSERT INTO jfs_node SELECT ?, 1, flags, 420, 0, 0, atime, mtime, ctime, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0 FROM jfs_node WHERE inode = 1`,
  );
  const edge = database.prepare('INSERT INTO jfs_edge (parent, name, inode, type) VALUES (1, ?, ?, 1)');
  database.exec('BEGIN');
  for (let i = 0; i < entries; i++) {
    node.run(BigInt(FIRST_INODE + i));
    edge.run(name(i), BigInt(FIRST_INODE + i));
  }
  database.exec(`COMMIT; REPLACE INTO jfs_dir_stats VALUES (1, 0, ${entries * 4096}, ${entries})`);
  database.close();
}

/** Tables that hold a handful of rows, whatever the volume holds, may be gone through. */
const SMALL =
  /SCAN (s|u|jfs_(session2|counter|dir_quota|user_group_quota|setting|acl)|pageseal_\w+|up|down|CONSTANT ROW|\d+ CONSTANT ROWS?)\b/;

function checkPlans(volume: TestVolume, { all }: Watched): void {
  const database = new DatabaseSync(volume.file);
  for (const [sql, params] of all) {
    const text = sql.replaceAll('BYTES(', '(').replace(/ FOR UPDATE$/, '');
    const plan = database.prepare(`EXPLAIN QUERY PLAN ${text}`).all(...new Array<null>(params).fill(null));
    for (const { detail } of plan as unknown as { readonly detail: string }[])
      assert.ok(!detail.startsWith('SCAN ') || SMALL.test(detail), `${detail}: ${sql}`);
  }
  database.close();
}

test('operations in a directory of 20,000 entries read as many rows as in one of ten', { skip: isScaled }, async () => {
  const few = await costs(await TestVolume.make(temp), FEW);
  const many = await costs(await TestVolume.make(temp), MANY);
  assert.deepEqual([...many], [...few]);
});

test('of many deleted files a few wait in memory, and the others are found in the database', async () => {
  const volume = await TestVolume.make(temp);
  const engine = await openEngine(volume.url);
  const files = Array.from({ length: 1_200 }, (_, i) => BigInt(i + FIRST_INODE));
  volume.change(files.map((ino) => `INSERT INTO jfs_delfile VALUES (${ino}, 0, 1)`).join(';'));
  const deletion = new DataDeletion(engine, quiet, async () => undefined, 4);
  for (const ino of files) deletion.start(ino);
  await deletion.settled();
  assert.deepEqual(volume.rows('jfs_delfile'), []);
  await engine.close();
});
