// A volume for tests of metadata operations: formatted on memory storage, opened, its rows at hand.
import { DatabaseSync } from 'node:sqlite';
import type { Log } from '../../../src/base/log.ts';
import type { Caller, SliceId } from '../../../src/base/words.ts';
import { formatVolume } from '../../../src/filesystem/format.ts';
import { type OpenedMeta, openMeta } from '../../../src/filesystem/meta/open-meta.ts';
import type { SessionOptions } from '../../../src/filesystem/meta/session.ts';
import { openEngine } from '../../../src/filesystem/sql/open-engine.ts';
import type { Temp } from '../../harness/temp.ts';

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
  readonly file: string;
  readonly url: string;
  /** Slices whose objects would have been deleted. */
  readonly removed: SliceId[] = [];
  readonly #name: string;

  constructor(temp: Temp) {
    this.#name = `volume-${++volumes}`;
    this.file = temp.at(`${this.#name}.db`);
    this.url = `sqlite3://${this.file}`;
  }

  static async make(
    temp: Temp,
    settings: { trashDays?: number; capacity?: bigint; inodes?: bigint } = {},
  ): Promise<TestVolume> {
    const volume = new TestVolume(temp);
    const store = { storage: 'mem', bucket: volume.#name };
    await formatVolume({ metaUrl: volume.url, name: volume.#name, store, key: { kind: 'none' }, ...settings });
    return volume;
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

  /** Rows of a table, or of any query, as arrays. */
  rows(sql: string): unknown[][] {
    const database = new DatabaseSync(this.file, { readBigInts: true, returnArrays: true });
    try {
      const text = /^\w+$/.test(sql) ? `SELECT * FROM ${sql}` : sql;
      return database.prepare(text).all() as unknown as unknown[][];
    } finally {
      database.close();
    }
  }

  /** Changes behind the client's back, as another client would. */
  change(sql: string): void {
    const database = new DatabaseSync(this.file);
    database.exec(`PRAGMA busy_timeout=5000; ${sql}`);
    database.close();
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
