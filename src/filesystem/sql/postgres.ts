// PostgreSQL behind the Engine interface: which connection, how often, and what is told in the end.
import { fail } from '../../base/errors.ts';
import { type Attempt, type Engine, type Op, type Query, type RunOptions, readingOnly } from './op.ts';
import { fateOf } from './postgres-commit.ts';
import { plain } from './postgres-connection.ts';
import { PostgresDialect } from './postgres-dialect.ts';
import { lost } from './postgres-errors.ts';
import { OPEN_LIMIT_MS, Patience } from './postgres-patience.ts';
import { PostgresPool } from './postgres-pool.ts';
import { Readings } from './postgres-readings.ts';
import { Failed, PostgresTransaction, queriesOf, type Unanswered } from './postgres-transaction.ts';
import type { PostgresLocation } from './postgres-url.ts';
import { tableInfix } from './table-names.ts';
import { reads, writes } from './transactions.ts';

/** Locks of DDL are waited for by the server, and its work grows with the tables. */
const SCRIPT_LIMIT_MS = 600_000;
/** As long as data waits to be written when the database is away. */
const FATE_LIMIT_MS = 300_000;
/** Distinct first queries of views are some dozens. */
const MAX_KNOWN_VIEWS = 500;

export async function openPostgres(location: PostgresLocation, readOnly: boolean): Promise<Engine> {
  const engine = new PostgresEngine(location, readOnly);
  await engine.reach(OPEN_LIMIT_MS);
  return engine;
}

/** A server either has the database or says that it has not; what is in it is the reader's question. */
export async function postgresExists(location: PostgresLocation): Promise<boolean> {
  await (await openPostgres(location, true)).close();
  return true;
}

/** Servers that speak the protocol only, without functions for transaction numbers. */
const isWithoutNumbers = (thrown: unknown): boolean =>
  thrown instanceof Failed && ['42883', '0A000'].includes(thrown.trouble.code) && /txid_current/.test(thrown.message);

class PostgresEngine implements Engine {
  readonly dialect = 'postgres';
  readonly description: string;
  readonly #readOnly: boolean;
  readonly #pool: PostgresPool;
  readonly #texts: PostgresDialect;
  readonly #readings: Readings;
  /** Views that went on after their first flight: those begin a transaction at once. */
  readonly #longViews = new Set<string>();
  readonly #running = new Set<Promise<unknown>>();
  /** Whether the server numbers its transactions for us. */
  #numbers = true;
  readonly #closing = new AbortController();
  #closed = false;

  constructor(location: PostgresLocation, readOnly: boolean) {
    this.description = location.description;
    this.#readOnly = readOnly;
    this.#pool = new PostgresPool(location, readOnly);
    this.#texts = new PostgresDialect(tableInfix(location.tablePrefix));
    this.#readings = new Readings(this.#pool, this.#texts);
  }

  async reach(limitMs: number): Promise<void> {
    await this.#persist(
      `open metadata ${this.description}`,
      async () => this.#pool.release(await this.#pool.acquire()),
      limitMs,
    );
  }

  async run<R>(operation: (attempt: Attempt) => Op<R>, options: RunOptions = {}): Promise<R> {
    if (this.#readOnly) throw fail('EROFS', `write to ${this.description}: opened read-only`);
    const since = performance.now();
    try {
      return await this.#tracked(() => this.#run(operation, options.looksItself === true));
    } finally {
      writes.add(performance.now() - since);
    }
  }

  async #run<R>(operation: (attempt: Attempt) => Op<R>, looksItself: boolean): Promise<R> {
    const patience = new Patience(`write metadata ${this.description}`, this.#closing.signal);
    let ambiguous = false;
    for (;;) {
      const numbered = !looksItself && this.#numbers;
      try {
        return await this.#transaction((transaction) => transaction.run(operation({ ambiguous }), numbered));
      } catch (thrown) {
        if (numbered && isWithoutNumbers(thrown)) {
          this.#numbers = false;
          continue;
        }
        const unanswered = thrown instanceof Failed ? thrown.unanswered : undefined;
        if (unanswered !== undefined && !looksItself && (await this.#committed(unanswered)))
          return unanswered.answer as R;
        ambiguous ||= unanswered !== undefined;
        await patience.after(thrown);
      }
    }
  }

  /**
   * Waits until it is known. When that takes too long the operation must not be tried again by anybody: EIO, not the code
   * of what did not happen.
   */
  async #committed({ number }: Unanswered): Promise<boolean> {
    const attempted = `write metadata ${this.description}: connection lost at commit`;
    const patience = new Patience(attempted, this.#closing.signal, FATE_LIMIT_MS);
    try {
      if (number === undefined) throw fail('EIO', 'the server does not number transactions');
      for (;;) {
        try {
          const connection = await this.#pool.acquire();
          const fate = await fateOf(connection, number).finally(() => this.#pool.release(connection));
          if (fate === 'unknown') throw fail('EIO', 'the server was started anew');
          if (fate !== 'in progress') return fate === 'committed';
          await patience.after(new Failed(lost('the server has not noticed yet')));
        } catch (thrown) {
          await patience.after(thrown);
        }
      }
    } catch (cause) {
      throw fail('EIO', `${attempted}, whether it was done is not known`, { cause });
    }
  }

  async view<R>(operation: () => Op<R>): Promise<R> {
    const since = performance.now();
    try {
      return await this.#persist(`read metadata ${this.description}`, () => this.#view(readingOnly(operation)));
    } finally {
      reads.add(performance.now() - since);
    }
  }

  /** One flight when one is enough. When it turns out to want more it is begun again inside a transaction. */
  async #view<R>(operation: () => Op<R>): Promise<R> {
    const op = operation();
    const first = op.next();
    if (first.done) return first.value;
    const queries = queriesOf(first.value);
    const name = queries.map(({ sql }) => sql).join(';');
    if (!this.#longViews.has(name)) {
      const second = op.next(await this.#readOnce(queries));
      if (second.done) return second.value;
      if (this.#longViews.size >= MAX_KNOWN_VIEWS) this.#longViews.clear();
      this.#longViews.add(name);
    }
    return this.#transaction((transaction) => transaction.view(operation()));
  }

  async #readOnce(queries: readonly Query<unknown>[]): Promise<unknown[][]> {
    const [only] = queries;
    if (only !== undefined && queries.length === 1) return [await this.#readings.read(only)];
    return this.#transaction((transaction) => transaction.readOnce(queries));
  }

  /** The connection goes back when its transaction is over, which the caller does not wait for. */
  async #transaction<R>(work: (transaction: PostgresTransaction) => Promise<R>): Promise<R> {
    const connection = await this.#pool.acquire();
    const transaction = new PostgresTransaction(connection, this.#texts);
    try {
      return await work(transaction);
    } finally {
      void transaction.end().finally(() => this.#pool.release(connection));
    }
  }

  async execute(script: string): Promise<void> {
    if (this.#readOnly) throw fail('EROFS', `change the schema of ${this.description}: opened read-only`);
    const text = this.#texts.script(script);
    await this.#persist(`change the schema of ${this.description}`, async () => {
      const connection = await this.#pool.acquire();
      try {
        const statements = [plain('BEGIN'), plain('SET LOCAL statement_timeout = 0'), plain(text), plain('COMMIT')];
        for (const outcome of await connection.fly(statements, SCRIPT_LIMIT_MS))
          if ('trouble' in outcome) throw new Failed(outcome.trouble);
      } finally {
        this.#pool.release(connection);
      }
    });
  }

  /** Every commit was answered after it was durable. */
  async sync(): Promise<void> {}

  #persist<R>(attempted: string, work: () => Promise<R>, limitMs?: number): Promise<R> {
    return this.#tracked(async () => {
      const patience = new Patience(attempted, this.#closing.signal, limitMs);
      for (;;) {
        try {
          return await work();
        } catch (thrown) {
          await patience.after(thrown);
        }
      }
    });
  }

  /** Closing waits for it, and nothing begins after that. */
  async #tracked<R>(work: () => Promise<R>): Promise<R> {
    if (this.#closed) throw fail('metadata-unavailable', `use ${this.description}: it is closed`);
    const running = work();
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    // What waits for a server that is away ends now; what is with the server ends as that says.
    this.#closing.abort();
    await Promise.allSettled(this.#running);
    await this.#pool.close();
  }
}
