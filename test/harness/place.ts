// Where a test's volume is: a SQLite file and a folder, or a database of a PostgreSQL server and a bucket of an S3 server,
// both over TLS. PAGESEAL_BACKEND says which, so that one test shows the same of both.
import { cpSync, existsSync, rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import type { StoreSettings } from '../../src/filesystem/store/store.ts';
import { ScaledPlace } from './scaled-place.ts';
import { sharedServers } from './servers.ts';
import type { Temp } from './temp.ts';

export type Value = null | bigint | string | Buffer;
export type Row = Readonly<Record<string, bigint & string & Uint8Array & null>>;

export interface Place {
  /** For both clients. */
  readonly metaUrl: string;
  /** What `format` of both clients needs to know of the store. */
  readonly storeFlags: readonly string[];
  readonly store: StoreSettings;
  /** A folder, with a slash at its end, in which each object is a file. */
  readonly objects: string;
  /** The tables as they are now, for reading; of PostgreSQL a copy, so that tests ask both in SQLite's words. Close it. */
  snapshot(): Promise<DatabaseSync>;
  /** One statement that changes rows, `?` for values; in words that both databases know. */
  change(statement: string, ...values: readonly Value[]): Promise<void>;
  /**
   * While another client has run this statement and not ended its transaction; nothing of it is kept. `stuck` resolves when
   * somebody waits for it, as far as the database tells.
   */
  whileLocked<T>(statement: string, work: (stuck: () => Promise<void>) => Promise<T>): Promise<T>;
  /** Keeps the present state, which no client may be changing, as the one to go back to. */
  keep(): Promise<void>;
  goBack(): Promise<void>;
  /** Resolves when the servers are done with whatever clients asked for before they died, who had these ports. */
  quiet(ports: ReadonlySet<number>): Promise<void>;
}

/** Tests that only one kind of place can show say so by it. */
export const isScaled = process.env['PAGESEAL_BACKEND'] === 'scaled';

/** `name` tells the places of one test apart. What is started through `temp` from here on trusts the servers' CA. */
export async function newPlace(temp: Temp, name = 'meta'): Promise<Place> {
  return isScaled ? await ScaledPlace.make(temp, await sharedServers()) : new EmbeddedPlace(temp, name);
}

/** All rows that a query of SQLite's finds, numbers as BigInt. */
export async function rows(place: Place, query: string, ...values: readonly Value[]): Promise<Row[]> {
  const database = await place.snapshot();
  try {
    const statement = database.prepare(query);
    statement.setReadBigInts(true);
    return statement.all(...values) as unknown as Row[];
  } finally {
    database.close();
  }
}

/** The place of tests that are about SQLite, a folder, or what is the same everywhere. */
export class EmbeddedPlace implements Place {
  readonly database: string;
  readonly metaUrl: string;
  readonly objects: string;

  constructor(temp: Temp, name = 'meta') {
    this.database = temp.at(`${name}.db`);
    this.metaUrl = `sqlite3://${this.database}`;
    this.objects = `${temp.folder(`${name}-objects`)}/`;
  }

  get store(): StoreSettings {
    return { storage: 'file', bucket: this.objects };
  }

  get storeFlags(): readonly string[] {
    return ['--storage', 'file', '--bucket', this.objects];
  }

  async snapshot(): Promise<DatabaseSync> {
    return new DatabaseSync(this.database, { readOnly: true });
  }

  async change(statement: string, ...values: readonly Value[]): Promise<void> {
    const database = new DatabaseSync(this.database, { timeout: BUSY_MS });
    try {
      database.prepare(statement).run(...values);
    } finally {
      database.close();
    }
  }

  async whileLocked<T>(statement: string, work: (stuck: () => Promise<void>) => Promise<T>): Promise<T> {
    const database = new DatabaseSync(this.database, { timeout: BUSY_MS });
    try {
      database.exec(`BEGIN IMMEDIATE; ${statement}`);
      return await work(async () => undefined);
    } finally {
      database.close();
    }
  }

  async keep(): Promise<void> {
    this.#copy('', KEPT);
  }

  async goBack(): Promise<void> {
    this.#copy(KEPT, '');
  }

  /** What a client had begun here died with it. */
  async quiet(): Promise<void> {}

  #copy(from: string, to: string): void {
    for (const path of [...['', '-wal', '-shm'].map((part) => this.database + part), this.objects.slice(0, -1)]) {
      rmSync(path + to, { recursive: true, force: true });
      if (existsSync(path + from)) cpSync(path + from, path + to, { recursive: true, preserveTimestamps: true });
    }
  }
}

/** At the end of the names of what is kept. */
const KEPT = '.kept';
/** A client that writes meanwhile holds the database for moments. */
const BUSY_MS = 5000;
