// A volume under attack: what those who hold its store or its metadata see of it, and whether anything in it was altered.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type SQLOutputValue } from 'node:sqlite';
import { readRecord } from '../../src/cli/mount/record.ts';
import { pageObjectKey } from '../../src/filesystem/page/object-key.ts';
import type { PagePlace } from '../../src/filesystem/page/page-store.ts';
import type { TestKey } from '../harness/keys.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { until } from '../harness/program.ts';
import type { Temp } from '../harness/temp.ts';

/** Small pages, stored as they are: then two pages of one length have objects of one length. */
export const PAGE_BYTES = 65_536;
const FORMAT = ['--block-size', '64K', '--compress', 'none', '--trash-days', '0'];
/** Change with every mount, whatever is done on it. */
const SESSION_TABLES = /^(jfs_session2|jfs_counter|pageseal_request)$/;

export interface StoredPage extends PagePlace {
  /** Path of the object. */
  readonly file: string;
}

/** Digests of every table and every object. */
export interface Contents {
  readonly tables: Readonly<Record<string, string>>;
  readonly objects: readonly string[];
}

export class AttackedVolume {
  readonly name = 'vol';
  readonly metaUrl: string;
  readonly database: string;
  readonly bucket: string;
  readonly mountPoint: string;
  readonly logFile: string;
  readonly key: TestKey;
  readonly pageseal: Pageseal;
  readonly custody: '--rsa-key' | '--encrypt-rsa-key';

  constructor(temp: Temp, id: string, key: TestKey, custody: '--rsa-key' | '--encrypt-rsa-key') {
    this.database = join(temp.folder(`${id}-meta`), 'meta.db');
    this.metaUrl = `sqlite3://${this.database}`;
    this.bucket = `${temp.folder(`${id}-objects`)}/`;
    this.mountPoint = temp.at(`${id}-mnt`);
    this.logFile = `${this.mountPoint}.log`;
    this.key = key;
    this.custody = custody;
    this.pageseal = new Pageseal(temp, key.passphrase);
  }

  format(flags: readonly string[] = []): Promise<string> {
    const { metaUrl, name, bucket, custody, key } = this;
    return this.pageseal.format(metaUrl, name, bucket, [...FORMAT, custody, key.file, ...flags]);
  }

  /** What a mount of it takes to have the key. */
  get keyFlags(): readonly string[] {
    return this.custody === '--rsa-key' ? ['--rsa-key', this.key.file] : [];
  }

  mount(flags: readonly string[] = []): Promise<void> {
    return this.pageseal.mount(this.metaUrl, this.mountPoint, [...this.keyFlags, ...flags]);
  }

  umount(): Promise<string> {
    return this.pageseal.umount(this.mountPoint);
  }

  path(name: string): string {
    return join(this.mountPoint, name);
  }

  log(): string {
    return existsSync(this.logFile) ? readFileSync(this.logFile, 'utf8') : '';
  }

  /** The process that serves the mount. */
  async worker(): Promise<number> {
    const keeper = readRecord(this.mountPoint)?.pid ?? 0;
    let found: number | undefined;
    await until('the mount has a worker', () => {
      found = Number(readFileSync(`/proc/${keeper}/task/${keeper}/children`, 'utf8').trim().split(' ')[0]);
      return found > 0;
    });
    return found ?? 0;
  }

  /** Runs statements as the metadata's operator would. */
  sql(text: string): void {
    withDatabase(this.database, (db) => db.exec(text));
  }

  rows(text: string): Record<string, SQLOutputValue>[] {
    return withDatabase(this.database, (db) => db.prepare(text).all());
  }

  /** Pages of a file in the root directory that was written in one go. */
  pages(name: string): StoredPage[] {
    const found = this.rows(
      `SELECT c.slices FROM jfs_edge e JOIN jfs_chunk c ON c.inode = e.inode WHERE CAST(e.name AS TEXT) = '${name}'`,
    );
    const record = Buffer.from(found[0]?.['slices'] as Uint8Array);
    const [sliceId, size] = [record.readBigUInt64BE(4), record.readUInt32BE(12)];
    return Array.from({ length: Math.ceil(size / PAGE_BYTES) }, (_, indx) => {
      const place = { sliceId, indx, length: Math.min(PAGE_BYTES, size - indx * PAGE_BYTES) };
      const layout = { volumeName: this.name, hashPrefix: false };
      return { ...place, file: this.bucket + pageObjectKey(layout, place) };
    });
  }

  page(name: string, indx = 0): StoredPage {
    const page = this.pages(name)[indx];
    if (page === undefined) throw new Error(`${name} has no page ${indx}`);
    return page;
  }

  contents(): Contents {
    return { tables: tableDigests(this.database), objects: objectDigests(this.bucket) };
  }
}

function withDatabase<T>(file: string, work: (db: DatabaseSync) => T): T {
  const db = new DatabaseSync(file);
  try {
    return work(db);
  } finally {
    db.close();
  }
}

/** Of every table but those that each mount changes. */
export function tableDigests(file: string): Record<string, string> {
  return withDatabase(file, (db) => {
    const tables = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").all();
    const names = tables.map(({ name }) => String(name)).filter((name) => !SESSION_TABLES.test(name));
    return Object.fromEntries(
      names.map((name) => {
        const rows = db.prepare(`SELECT * FROM "${name}"`);
        rows.setReadBigInts(true);
        const text = JSON.stringify(rows.all(), (_, value: unknown) =>
          typeof value === 'bigint' ? `${value}n` : value,
        );
        return [name, digest(text)];
      }),
    );
  });
}

const objectDigests = (bucket: string): string[] =>
  readdirSync(bucket, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(bucket, name)).isFile())
    .map((name) => `${name} ${digest(readFileSync(join(bucket, name)))}`)
    .sort();

export const digest = (bytes: string | Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** The name of what went wrong, or what the work answered. */
export function errnoOf<T>(work: () => T): T | string {
  try {
    return work();
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

/** Whether a process runs (a zombie does not). */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
