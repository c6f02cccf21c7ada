// One moment of a PostgreSQL database: a read transaction on a connection of its own, without time limits.
import { fail } from '../../base/errors.ts';
import { type Op, query, read, readingOnly, type Snapshot } from './op.ts';
import type { PostgresConnection } from './postgres-connection.ts';
import { PostgresDialect } from './postgres-dialect.ts';
import { fromTrouble } from './postgres-errors.ts';
import { connectToAny } from './postgres-hosts.ts';
import { OPEN_LIMIT_MS, Patience } from './postgres-patience.ts';
import { Failed, PostgresTransaction } from './postgres-transaction.ts';
import type { PostgresLocation } from './postgres-url.ts';
import { tableInfix } from './table-names.ts';

export async function openPostgresSnapshot(location: PostgresLocation): Promise<Snapshot> {
  const snapshot = new PostgresSnapshot(location, await connectPatiently(location));
  try {
    await snapshot.begin();
    return snapshot;
  } catch (thrown) {
    await snapshot.close();
    throw thrown;
  }
}

/** A restart, or too many connections, is over soon. */
async function connectPatiently(location: PostgresLocation): Promise<PostgresConnection> {
  const patience = new Patience(
    `open a snapshot of ${location.description}`,
    new AbortController().signal,
    OPEN_LIMIT_MS,
  );
  for (;;) {
    try {
      return await connectToAny(location, { readOnly: true, long: true });
    } catch (thrown) {
      await patience.after(thrown);
    }
  }
}

class PostgresSnapshot implements Snapshot {
  readonly dialect = 'postgres';
  readonly description: string;
  readonly #connection: PostgresConnection;
  readonly #transaction: PostgresTransaction;
  /** One view at a time: callers may read side by side. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(location: PostgresLocation, connection: PostgresConnection) {
    this.description = location.description;
    this.#connection = connection;
    this.#transaction = new PostgresTransaction(connection, new PostgresDialect(tableInfix(location.tablePrefix)));
  }

  /** The moment is that of the first query. */
  begin(): Promise<void> {
    return this.view(function* () {
      yield* read(query('SELECT 1', [], () => undefined));
    });
  }

  view<R>(operation: () => Op<R>): Promise<R> {
    return this.#guarded(() => this.#transaction.view(readingOnly(operation)()));
  }

  async #guarded<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(() => {
      if (!this.#connection.usable)
        throw fail('metadata-unavailable', `read ${this.description}: the snapshot is gone`);
      return work();
    });
    this.#turn = turn.catch(() => undefined);
    try {
      return await turn;
    } catch (thrown) {
      throw thrown instanceof Failed ? fromTrouble(thrown.trouble, `read a snapshot of ${this.description}`) : thrown;
    }
  }

  async close(): Promise<void> {
    await this.#turn;
    await this.#connection.close();
  }
}
