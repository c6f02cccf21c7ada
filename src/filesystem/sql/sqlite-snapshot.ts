// One moment of a SQLite database: a read transaction on a connection of its own. In WAL mode it stops nobody; the -wal
// file only cannot be reset as long as it lasts.
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { fail } from '../../base/errors.ts';
import type { Op, Query, Snapshot, SqlValue } from './op.ts';
import { checkPlace, openReadOnly, rewriteSql } from './sqlite.ts';
import { fromSqlite } from './sqlite-errors.ts';
import { tableInfix } from './table-names.ts';

export async function openSqliteSnapshot(file: string, tablePrefix: string): Promise<Snapshot> {
  await checkPlace(file);
  try {
    return new SqliteSnapshot(file, tableInfix(tablePrefix));
  } catch (thrown) {
    throw fromSqlite(thrown, `open metadata ${file}`);
  }
}

class SqliteSnapshot implements Snapshot {
  readonly dialect = 'sqlite';
  readonly description: string;
  readonly #file: string;
  readonly #infix: string;
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(file: string, infix: string) {
    this.#file = file;
    this.#infix = infix;
    this.description = `sqlite3://${file}`;
    this.#database = openReadOnly(file);
    this.#database.exec('BEGIN');
    // The moment is that of the first read.
    this.#database.prepare('SELECT count(*) FROM sqlite_master').get();
  }

  async view<R>(operation: () => Op<R>): Promise<R> {
    try {
      const op = operation();
      let step = op.next();
      while (!step.done) {
        if (step.value.kind !== 'read') throw fail('internal', 'a snapshot was to be written to');
        step = op.next(step.value.queries.map((query) => this.#query(query)));
      }
      return step.value;
    } catch (thrown) {
      throw fromSqlite(thrown, `read metadata ${this.#file}`);
    }
  }

  #query<T>(query: Query<T>): T[] {
    let statement = this.#statements.get(query.sql);
    if (statement === undefined) {
      statement = this.#database.prepare(rewriteSql(query.sql, this.#infix));
      this.#statements.set(query.sql, statement);
    }
    const rows = statement.all(...(query.params as SqlValue[])) as unknown as SqlValue[][];
    return rows.map((row) => query.decode(row));
  }

  async close(): Promise<void> {
    if (this.#database.isOpen) this.#database.close();
  }
}
