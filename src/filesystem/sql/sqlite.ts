// SQLite behind the Engine interface. One connection on the event loop: every statement is short, and a lock held by
// somebody else is never waited for in a statement but from a timer. Writes that are ready in one turn of the loop share
// a transaction, a SAVEPOINT each, and are answered after its COMMIT.
import { statSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { fail } from '../../base/errors.ts';
import { Checkpoints, FALLBACK_PAGES } from './checkpoint.ts';
import {
  type Attempt,
  type Change,
  type Engine,
  type Flight,
  type Op,
  type Query,
  type Row,
  type RunOptions,
  readingOnly,
  type SqlValue,
} from './op.ts';
import { busyTooLong, fromSqlite, isBusy, isCannotOpen } from './sqlite-errors.ts';
import { refuseUnsafePlace } from './sqlite-place.ts';
import { WalSync } from './sqlite-sync.ts';
import { rewriteBytes, tableInfix, withInfix, withoutRowLocks } from './table-names.ts';
import { reads, writes } from './transactions.ts';

export interface SqliteOptions {
  readonly file: string;
  readonly tablePrefix: string;
  readonly readOnly?: boolean;
  /** Make the file when it is missing (format); otherwise that is metadata-unavailable. */
  readonly create?: boolean;
}

/** How long a lock of another process is waited for: what the original client's _timeout=5000 gives. */
const BUSY_LIMIT_MS = 5000;
const BUSY_STEP_MS = 10;
/** The first tries come within one turn of the loop (0.2 ms or so): most locks are held for one commit. */
const IMMEDIATE_TRIES = 3;
/** Operations in one transaction: bounds how long the loop and the write lock are held (a few ms). */
const MAX_GROUP = 256;
/** Distinct statement texts are a few hundred; lists of ids in texts could make more. */
const MAX_STATEMENTS = 1000;

interface Pending {
  readonly operation: () => Op<unknown>;
  readonly durable: boolean;
  readonly since: number;
  readonly resolve: (value: never) => void;
  readonly reject: (reason: unknown) => void;
}

type Outcome = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly reason: unknown };

export async function openSqlite(options: SqliteOptions): Promise<SqliteEngine> {
  const { file } = options;
  await checkPlace(file, options.create);
  const deadline = performance.now() + BUSY_LIMIT_MS;
  for (let attempt = 0; ; attempt += 1) {
    try {
      return new SqliteEngine(options);
    } catch (thrown) {
      if (!isBusy(thrown)) throw fromSqlite(thrown, `open metadata ${file}`);
      if (performance.now() > deadline) throw busyTooLong(`open metadata ${file}`, BUSY_LIMIT_MS / 1000, thrown);
      await pause(attempt);
    }
  }
}

/** Before any connection to a database file: that it may lie where it lies, and is there unless it is to be made. */
export async function checkPlace(file: string, create = false): Promise<void> {
  await refuseUnsafePlace(file);
  const exists = await stat(file).catch(() => undefined);
  if (exists === undefined && !create) throw fail('metadata-unavailable', `open metadata ${file}: no such file`);
  if (exists !== undefined && !exists.isFile()) throw fail('metadata-unavailable', `open metadata ${file}: not a file`);
}

const pause = (attempt: number): Promise<void> =>
  new Promise((resolve) => {
    if (attempt < IMMEDIATE_TRIES) setImmediate(resolve);
    else setTimeout(resolve, Math.min(BUSY_STEP_MS, 2 ** (attempt - IMMEDIATE_TRIES)));
  });

/** Without a network between, a commit was answered or did not happen. */
const firstAttempt: Attempt = { ambiguous: false };

export class SqliteEngine implements Engine {
  readonly dialect = 'sqlite';
  readonly description: string;
  readonly #file: string;
  readonly #prefix: string;
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  readonly #wal: WalSync | undefined;
  readonly #checkpoints: Checkpoints | undefined;
  readonly #readOnly: boolean;
  #queue: Pending[] = [];
  #scheduled = false;
  #closed = false;
  #idle: Promise<void> = Promise.resolve();

  /** Use openSqlite: it checks the place first. */
  constructor(options: SqliteOptions) {
    this.#file = options.file;
    this.description = `sqlite3://${options.file}`;
    this.#prefix = tableInfix(options.tablePrefix);
    this.#readOnly = options.readOnly === true;
    this.#database = this.#readOnly ? openReadOnly(options.file) : connect(options.file, false);
    try {
      const wal = this.#readOnly ? false : useWal(this.#database);
      this.#wal = wal ? new WalSync(options.file) : undefined;
      this.#checkpoints = wal ? new Checkpoints(options.file) : undefined;
    } catch (thrown) {
      this.#database.close();
      throw thrown;
    }
  }

  run<R>(attempted: (attempt: Attempt) => Op<R>, options: RunOptions = {}): Promise<R> {
    if (this.#readOnly) return Promise.reject(fail('EROFS', `write to ${this.description}: opened read-only`));
    if (this.#closed) return Promise.reject(this.#closedError());
    const operation = (): Op<R> => attempted(firstAttempt);
    return new Promise<R>((resolve, reject) => {
      this.#queue.push({ operation, durable: options.durable === true, since: performance.now(), resolve, reject });
      if (this.#scheduled) return;
      this.#scheduled = true;
      setImmediate(() => {
        this.#idle = this.#drain();
      });
    });
  }

  async view<R>(operation: () => Op<R>): Promise<R> {
    if (this.#closed) throw this.#closedError();
    const since = performance.now();
    try {
      return await this.#persist('read metadata', () => this.#view(operation));
    } finally {
      reads.add(performance.now() - since);
    }
  }

  /** In one transaction, so that half a script is never left. */
  async execute(script: string): Promise<void> {
    if (this.#closed) throw this.#closedError();
    const text = this.#rewrite(script);
    await this.#persist('change the schema', () =>
      this.#transaction('BEGIN IMMEDIATE', () => {
        this.#database.exec(text);
      }),
    );
  }

  async sync(): Promise<void> {
    // Without a WAL every commit is synchronous=FULL already.
    await this.#wal?.sync();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    while (this.#scheduled) {
      await new Promise((resolve) => setImmediate(resolve));
      await this.#idle;
    }
    await this.#checkpoints?.close();
    await this.#wal?.close();
    this.#statements.clear();
    this.#database.close();
  }

  /** Runs queued operations group by group until none is left. Never rejects. */
  async #drain(): Promise<void> {
    while (this.#queue.length > 0) {
      const group = this.#queue.splice(0, MAX_GROUP);
      try {
        const outcomes = await this.#persist('write metadata', () => this.#group(group));
        this.#checkpoints?.committed();
        this.#answer(group, outcomes);
      } catch (thrown) {
        for (const pending of group) pending.reject(thrown);
      }
      // Let the loop turn: requests that came in meanwhile join the next group.
      if (this.#queue.length > 0) await new Promise((resolve) => setImmediate(resolve));
    }
    this.#scheduled = false;
  }

  #answer(group: readonly Pending[], outcomes: readonly Outcome[]): void {
    const durable = group.some((pending) => pending.durable) ? this.sync() : undefined;
    const now = performance.now();
    for (const [i, pending] of group.entries()) {
      writes.add(now - pending.since);
      const outcome = outcomes[i];
      if (outcome === undefined) pending.reject(fail('internal', 'operation without outcome'));
      else if (!outcome.ok) pending.reject(outcome.reason);
      else if (pending.durable && durable !== undefined)
        durable.then(() => pending.resolve(outcome.value as never), pending.reject);
      else pending.resolve(outcome.value as never);
    }
  }

  #group(group: readonly Pending[]): Outcome[] {
    const [first] = group;
    if (first !== undefined && group.length === 1) return [this.#alone(first.operation)];
    return this.#transaction('BEGIN IMMEDIATE', () => group.map((pending) => this.#savepoint(pending.operation)));
  }

  /** Its failure undoes the transaction: no savepoint is needed. */
  #alone(operation: () => Op<unknown>): Outcome {
    try {
      return { ok: true, value: this.#transaction('BEGIN IMMEDIATE', () => this.#perform(operation)) };
    } catch (thrown) {
      if (isBusy(thrown)) throw thrown;
      return { ok: false, reason: fromSqlite(thrown, `metadata ${this.#file}`) };
    }
  }

  /** One operation of a group: its failure undoes its own changes only. */
  #savepoint(operation: () => Op<unknown>): Outcome {
    this.#prepare('SAVEPOINT operation').run();
    try {
      const value = this.#perform(operation);
      this.#prepare('RELEASE operation').run();
      return { ok: true, value };
    } catch (thrown) {
      // A full disk or an I/O error may have ended the transaction: then the whole group failed. BUSY retries it.
      if (isBusy(thrown) || !this.#database.isTransaction) throw thrown;
      this.#prepare('ROLLBACK TO operation').run();
      this.#prepare('RELEASE operation').run();
      return { ok: false, reason: fromSqlite(thrown, `metadata ${this.#file}`) };
    }
  }

  #perform<R>(operation: () => Op<R>): R {
    const op = operation();
    let step = op.next();
    while (!step.done) step = op.next(this.#fly(step.value));
    return step.value;
  }

  #fly(flight: Flight): unknown {
    if (flight.kind === 'read') return flight.queries.map((query) => this.#query(query));
    for (const change of flight.changes) this.#change(change);
    return undefined;
  }

  #query<T>(query: Query<T>): T[] {
    const rows = this.#prepare(query.sql).all(...(query.params as SqlValue[])) as unknown as Row[];
    return rows.map((row) => query.decode(row));
  }

  #change(change: Change): void {
    const { changes } = this.#prepare(change.sql).run(...(change.params as SqlValue[]));
    if (change.expect !== undefined && Number(changes) !== change.expect.rows) throw change.expect.error();
  }

  /**
   * One flight of one query is consistent by itself. Only when the operation turns out to want more is it begun again
   * inside a transaction: operations have no outside effects before they end.
   */
  #view<R>(operation: () => Op<R>): R {
    const op = operation();
    const first = op.next();
    if (first.done) return first.value;
    if (first.value.kind === 'read' && first.value.queries.length <= 1) {
      const second = op.next(this.#fly(first.value));
      if (second.done) return second.value;
    }
    return this.#transaction('BEGIN', () => this.#perform(readingOnly(operation)));
  }

  #transaction<T>(begin: string, work: () => T): T {
    this.#prepare(begin).run();
    try {
      const result = work();
      this.#prepare('COMMIT').run();
      return result;
    } catch (thrown) {
      if (this.#database.isTransaction) this.#prepare('ROLLBACK').run();
      throw thrown;
    }
  }

  /** Again from a timer while somebody else holds a lock. */
  async #persist<T>(attempted: string, work: () => T): Promise<T> {
    let deadline = 0;
    for (let attempt = 0; ; attempt += 1) {
      try {
        return work();
      } catch (thrown) {
        if (!isBusy(thrown)) throw fromSqlite(thrown, `${attempted} ${this.#file}`);
        if (deadline === 0) deadline = performance.now() + BUSY_LIMIT_MS;
        else if (performance.now() > deadline)
          throw busyTooLong(`${attempted} ${this.#file}`, BUSY_LIMIT_MS / 1000, thrown);
      }
      await pause(attempt);
    }
  }

  #prepare(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    if (this.#statements.size >= MAX_STATEMENTS) this.#statements.clear();
    const statement = this.#database.prepare(this.#rewrite(sql));
    this.#statements.set(sql, statement);
    return statement;
  }

  #rewrite(sql: string): string {
    return rewriteSql(sql, this.#prefix);
  }

  #closedError(): Error {
    return fail('metadata-unavailable', `use ${this.description}: it is closed`);
  }
}

/** See op.ts: texts are written once for all databases. SQLite locks the whole database, so row locks are nothing. */
export const rewriteSql = (sql: string, infix: string): string =>
  withInfix(withoutRowLocks(rewriteBytes(sql, (x) => `CAST(${x} AS BLOB)`)), infix);

function connect(file: string | URL, readOnly: boolean): DatabaseSync {
  const database = new DatabaseSync(file, {
    readOnly,
    readBigInts: true,
    returnArrays: true,
    timeout: 0,
    allowExtension: false,
    enableDoubleQuotedStringLiterals: false,
    enableForeignKeyConstraints: false,
  });
  try {
    // The first statement that touches the file: says now what is wrong with it.
    database.prepare('SELECT count(*) FROM sqlite_master').get();
    return database;
  } catch (thrown) {
    database.close();
    throw thrown;
  }
}

/**
 * A database whose journal mode is WAL cannot be opened in a folder that cannot be written to, since its shared memory
 * cannot be made there. Nobody else can be writing it then either, so it may be taken as unchanging.
 */
export function openReadOnly(file: string): DatabaseSync {
  try {
    return connect(file, true);
  } catch (thrown) {
    // Commits that lie in the -wal file only would go unseen.
    const pending = statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0;
    if (!isCannotOpen(thrown) || pending > 0) throw thrown;
    const url = pathToFileURL(file);
    url.searchParams.set('immutable', '1');
    return connect(url, true);
  }
}

/** The original client sets WAL too. A database that others hold open in another mode keeps it, with full syncs. */
function useWal(database: DatabaseSync): boolean {
  const row = database.prepare('PRAGMA journal_mode=WAL').get() as unknown as [string] | undefined;
  const wal = row?.[0] === 'wal';
  database.exec(`PRAGMA synchronous=${wal ? 'NORMAL' : 'FULL'}`);
  if (wal) database.exec(`PRAGMA wal_autocheckpoint=${FALLBACK_PAGES}`);
  return wal;
}
