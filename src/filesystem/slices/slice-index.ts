// What every slice of a volume is used for, gathered from the rows that name it. Lies in a temporary database that SQLite
// keeps in memory while it is small and on disk beyond that, so that checks of millions of slices need bounded memory.
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { SliceId } from '../../base/words.ts';
import { pageLength } from '../page/geometry.ts';
import type { PagePlace } from '../page/page-store.ts';

/** Pages of the temporary database in memory. */
const CACHE_KIB = 16_384;

export interface SliceUse {
  readonly id: SliceId;
  /** Stored length, as the first record or count said. */
  readonly size: number;
  /** Records in chunks. */
  readonly records: number;
  /** Entries of delslices. */
  readonly delayed: number;
  /** Records or entries that say another size. */
  readonly odd: number;
  /** The row of jfs_chunk_ref. */
  readonly counted: { readonly refs: number; readonly size: number } | undefined;
}

export interface SliceTotals {
  /** Slices that something uses, and their bytes. */
  readonly used: number;
  readonly bytes: number;
  readonly pending: number;
  /** Of any row. */
  readonly highest: SliceId;
}

type IndexRow = [bigint, bigint, bigint, bigint, bigint, bigint | null, bigint | null];

const USED = 'records + delayed > 0';
const pagesOf = (pageSize: number): string => `((size + ${pageSize - 1}) / ${pageSize})`;
const COLUMNS = 'id, size, records, delayed, odd, refs, counted';

export class SliceIndex {
  readonly #database: DatabaseSync;
  readonly #record: StatementSync;
  readonly #delayed: StatementSync;
  readonly #counted: StatementSync;
  readonly #find: StatementSync;
  readonly #object: StatementSync;
  readonly #hasObject: StatementSync;
  #last: SliceUse | undefined;

  constructor() {
    // The empty name is SQLite's for a database that nobody else sees and that goes with the connection.
    this.#database = new DatabaseSync('', { readBigInts: true, returnArrays: true });
    this.#database.exec(`PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -${CACHE_KIB};
      CREATE TABLE slice (id INTEGER PRIMARY KEY, size INTEGER NOT NULL, records INTEGER NOT NULL,
        delayed INTEGER NOT NULL, odd INTEGER NOT NULL, refs INTEGER, counted INTEGER, ledger INTEGER NOT NULL DEFAULT 0);
      CREATE TABLE page (id INTEGER NOT NULL, indx INTEGER NOT NULL, length INTEGER NOT NULL,
        PRIMARY KEY (id, indx, length)) WITHOUT ROWID;
      BEGIN`);
    const use = (column: string, values: string): StatementSync =>
      this.#database.prepare(`INSERT INTO slice (id, size, records, delayed, odd) VALUES (?, ?, ${values}, 0)
        ON CONFLICT (id) DO UPDATE SET ${column} = ${column} + 1, odd = odd + (size <> excluded.size)`);
    this.#record = use('records', '1, 0');
    this.#delayed = use('delayed', '0, 1');
    this.#counted = this.#database.prepare(`INSERT INTO slice (id, size, records, delayed, odd, refs, counted)
      VALUES (?1, ?2, 0, 0, 0, ?3, ?2) ON CONFLICT (id) DO UPDATE SET refs = excluded.refs, counted = excluded.counted`);
    this.#object = this.#database.prepare('INSERT INTO page VALUES (?, ?, ?) ON CONFLICT DO NOTHING');
    this.#hasObject = this.#database.prepare('SELECT 1 FROM page WHERE id = ? AND indx = ? AND length = ?');
    this.#find = this.#database.prepare(`SELECT ${COLUMNS} FROM slice WHERE id = ?`);
  }

  /** A view of the metadata may be begun again. */
  clear(): void {
    this.#last = undefined;
    this.#database.exec('DELETE FROM slice; DELETE FROM page');
  }

  addRecord(id: SliceId, size: number): void {
    this.#record.run(signed(id), BigInt(size));
  }

  addDelayed(id: SliceId, size: number): void {
    this.#delayed.run(signed(id), BigInt(size));
  }

  addCount(id: SliceId, size: number, refs: number): void {
    this.#counted.run(signed(id), BigInt(size), BigInt(refs));
  }

  /** Pages of the slice that have a ledger row. */
  addLedger(id: SliceId, pages: number): void {
    this.#database.prepare('UPDATE slice SET ledger = ? WHERE id = ?').run(BigInt(pages), signed(id));
  }

  /** A page that has its object. */
  addObject({ sliceId, indx, length }: PagePlace): void {
    this.#object.run(signed(sliceId), BigInt(indx), BigInt(length));
  }

  hasObject({ sliceId, indx, length }: PagePlace): boolean {
    return this.#hasObject.get(signed(sliceId), BigInt(indx), BigInt(length)) !== undefined;
  }

  /** Objects come in the order of names, which is not that of ids. */
  highestObject(): SliceId {
    const row = this.#database.prepare('SELECT COALESCE(MAX(id), 0) FROM page').get() as unknown as [bigint];
    return row[0];
  }

  /** Every page of every slice that something uses; those without a ledger row alone, too, by whole slices. */
  *places(pageSize: number, unledgered = false): Generator<PagePlace> {
    const where = unledgered ? `WHERE ${USED} AND ledger < ${pagesOf(pageSize)}` : `WHERE ${USED}`;
    for (const { id: sliceId, size } of this.#rows(where))
      for (let indx = 0; indx * pageSize < size; indx++)
        yield { sliceId, indx, length: pageLength(size, indx, pageSize) };
  }

  /** How many those are, and how many have no ledger row. */
  pageTotals(pageSize: number): { readonly pages: number; readonly unledgered: number } {
    const row = this.#database
      .prepare(
        `SELECT COALESCE(SUM(${pagesOf(pageSize)}), 0), COALESCE(SUM(${pagesOf(pageSize)} - ledger), 0) FROM slice WHERE ${USED}`,
      )
      .get() as unknown as [bigint, bigint];
    return { pages: Number(row[0]), unledgered: Number(row[1]) };
  }

  /** Objects of one slice come one after the other: the last answer is kept. */
  find(id: SliceId): SliceUse | undefined {
    if (this.#last?.id === id) return this.#last;
    const row = this.#find.get(signed(id)) as unknown as IndexRow | undefined;
    if (row === undefined) return undefined;
    this.#last = decode(row);
    return this.#last;
  }

  /** In order of ids. */
  *all(): Generator<SliceUse> {
    yield* this.#rows('');
  }

  /** Slices whose count is not what the rows say; a row without references may stay until it is cleaned up. */
  *miscounted(): Generator<SliceUse> {
    yield* this.#rows(`WHERE COALESCE(refs, 0) <> records + delayed AND (refs > 0 OR records + delayed > 0)`);
  }

  /** Slices of whose size two rows disagree. */
  *missized(): Generator<SliceUse> {
    yield* this.#rows('WHERE odd > 0 OR (counted IS NOT NULL AND records + delayed > 0 AND counted <> size)');
  }

  /** Slices that lost their last reference, and that nothing names. */
  *pending(): Generator<SliceUse> {
    yield* this.#rows('WHERE refs <= 0 AND records = 0 AND delayed = 0');
  }

  *#rows(where: string): Generator<SliceUse> {
    const rows = this.#database.prepare(`SELECT ${COLUMNS} FROM slice ${where} ORDER BY id`).iterate();
    for (const row of rows) yield decode(row as unknown as IndexRow);
  }

  totals(): SliceTotals {
    const row = this.#database
      .prepare(
        `SELECT COALESCE(SUM(records + delayed > 0), 0), COALESCE(SUM(CASE WHEN records + delayed > 0 THEN size END), 0),
           COALESCE(SUM(refs <= 0 AND records = 0 AND delayed = 0), 0), COALESCE(MAX(id), 0) FROM slice`,
      )
      .get() as unknown as [bigint, bigint, bigint, bigint];
    return { used: Number(row[0]), bytes: Number(row[1]), pending: Number(row[2]), highest: row[3] };
  }

  close(): void {
    this.#database.close();
  }
}

/** Ids are unsigned in records; no client gives out one beyond 2^63, a damaged row may hold any. */
const signed = (id: SliceId): bigint => BigInt.asIntN(64, id);

const decode = ([id, size, records, delayed, odd, refs, counted]: IndexRow): SliceUse => ({
  id: BigInt.asUintN(64, id),
  size: Number(size),
  records: Number(records),
  delayed: Number(delayed),
  odd: Number(odd),
  counted: refs === null ? undefined : { refs: Number(refs), size: Number(counted) },
});
