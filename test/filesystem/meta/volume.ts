// A volume for tests of metadata operations: formatted on memory storage, opened, its rows at hand. In SQLite or in
// PostgreSQL, as the environment says.
import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import type { Log } from '../../../src/base/log.ts';
import type { Caller, SliceId } from '../../../src/base/words.ts';
import { formatVolume } from '../../../src/filesystem/format.ts';
import { type OpenedMeta, openMeta } from '../../../src/filesystem/meta/open-meta.ts';
import type { SessionOptions } from '../../../src/filesystem/meta/session.ts';
import { openEngine } from '../../../src/filesystem/sql/open-engine.ts';
import { EmbeddedPlace, newPlace, type Place } from '../../harness/place.ts';
import { inItsWords, psql } from '../../harness/psql.ts';
import type { Temp } from '../../harness/temp.ts';
import { placeViolations } from '../../model/invariants.ts';

export const quiet: Log = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
  child: () => quiet,
};

export const root: Caller = { uid: 0, gid: 0, pid: 1, umask: 0o022 };

let volumes = 0;

export class TestVolume {
  readonly place: Place;
  /** Slices whose objects would have been deleted. */
  readonly removed: SliceId[] = [];

  private constructor(place: Place) {
    this.place = place;
  }

  /** A place where there is no volume yet. */
  static async empty(temp: Temp): Promise<TestVolume> {
    return new TestVolume(await newPlace(temp, `volume-${++volumes}`));
  }

  static async make(
    temp: Temp,
    settings: { trashDays?: number; capacity?: bigint; inodes?: bigint } = {},
  ): Promise<TestVolume> {
    const volume = await TestVolume.empty(temp);
    const name = `volume-${volumes}`;
    const store = { storage: 'mem', bucket: name };
    await formatVolume({ metaUrl: volume.url, name, store, key: { kind: 'none' }, ...settings });
    return volume;
  }

  get url(): string {
    return this.place.metaUrl;
  }

  /** For tests that are about SQLite. */
  get file(): string {
    assert.ok(this.place instanceof EmbeddedPlace);
    return this.place.database;
  }

  async open(session: SessionOptions = { mountPoint: '/mnt' }): Promise<OpenedMeta> {
    return openMeta({
      engine: await openEngine(this.url),
      log: quiet,
      session,
      removeSlice: async (id) => {
        this.removed.push(id);
      },
    });
  }

  /** Rows of a table, or of any query in SQLite's words, as arrays. */
  rows(sql: string): unknown[][] {
    const database = this.#copy(sql);
    try {
      const text = /^\w+$/.test(sql) ? `SELECT * FROM ${sql}` : sql;
      const statement = database.prepare(text);
      statement.setReadBigInts(true);
      statement.setReturnArrays(true);
      return statement.all() as unknown as unknown[][];
    } finally {
      database.close();
    }
  }

  /** Changes behind the client's back, as another client would. In SQLite's words, of which bytes are translated. */
  change(sql: string): void {
    if (this.place instanceof EmbeddedPlace) {
      const database = new DatabaseSync(this.place.database);
      database.exec(`PRAGMA busy_timeout=5000; ${sql}`);
      database.close();
    } else psql(this.url, inItsWords(sql));
  }

  /** A field of the record. */
  set(field: string, value: boolean | number): void {
    const [[text] = []] = this.rows("SELECT value FROM jfs_setting WHERE name = 'format'");
    const record = JSON.stringify({ ...JSON.parse(String(text)), [field]: value });
    this.change(`UPDATE jfs_setting SET value = '${record}' WHERE name = 'format'`);
  }

  violations(): Promise<string[]> {
    return placeViolations(this.place);
  }

  /** The database, or the tables that a query names, as they are in PostgreSQL. */
  #copy(sql: string): DatabaseSync {
    if (this.place instanceof EmbeddedPlace) return new DatabaseSync(this.place.database);
    const database = new DatabaseSync(':memory:');
    for (const [table] of sql.matchAll(/(?:jfs|pageseal)_\w+/g)) {
      const rows = psql(this.url, `SELECT row_to_json(t) FROM ${table} t`)
        .split('\n')
        .filter((line) => line !== '');
      const columns = psql(
        this.url,
        `SELECT attname FROM pg_attribute WHERE attrelid = '${table}'::regclass AND attnum > 0 ORDER BY attnum`,
      )
        .trim()
        .split('\n');
      database.exec(`CREATE TABLE IF NOT EXISTS ${table} (${columns.map((name) => `"${name}"`).join()})`);
      const insert = database.prepare(`INSERT INTO ${table} VALUES (${columns.map(() => '?').join()})`);
      for (const row of rows) insert.run(...Object.values(JSON.parse(row, exact) as Record<string, null>));
    }
    return database;
  }

  counters(): Record<string, bigint> {
    return Object.fromEntries(this.rows('jfs_counter').map(([name, value]) => [String(name), value as bigint]));
  }

  slices(ino: bigint, indx: number): string {
    return String(
      this.rows(`SELECT hex(CAST(slices AS BLOB)) FROM jfs_chunk WHERE inode = ${ino} AND indx = ${indx}`)[0]?.[0],
    ).toLowerCase();
  }
}

/** Whole numbers as they are, bytes from their hexadecimal form. */
function exact(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value === 'number') return BigInt(context?.source ?? value);
  if (typeof value === 'string' && value.startsWith('\\x')) return Buffer.from(value.slice(2), 'hex');
  return value;
}
