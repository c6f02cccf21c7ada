// One connection to a PostgreSQL server, carrying flights: statements that are sent in one piece and answered one by one.
// It has one user at a time, and is thrown away at the first sign of trouble with itself.
import type { PendingValuesQuery } from 'postgres';
import { FsError } from '../../base/errors.ts';
import { counter } from '../../base/metrics.ts';
import type { Row } from './op.ts';
import type { WireValue } from './postgres-dialect.ts';
import { type Driver, driverOf, type QueryInternals } from './postgres-driver.ts';
import { fromTrouble, lost, type Trouble, troubleOf, unsent } from './postgres-errors.ts';
import { openSocket, refusedCertificate } from './postgres-tls.ts';
import type { PostgresHost, PostgresLocation } from './postgres-url.ts';
import { Wire } from './postgres-wire.ts';

export interface Statement {
  readonly text: string;
  readonly params: readonly WireValue[];
  /** Kept at the server under its text; the others are BEGIN, COMMIT and scripts. */
  readonly prepared: boolean;
}

export interface Answer {
  readonly rows: readonly Row[];
  /** The command's tag, COMMIT or ROLLBACK for instance. */
  readonly command: string;
}

export type Outcome = { readonly answer: Answer } | { readonly trouble: Trouble };

export const plain = (text: string): Statement => ({ text, params: [], prepared: false });

const flights = counter('pageseal_metadata_flights_total', 'Round trips to the metadata server');
const opened = counter('pageseal_metadata_connections_total', 'Connections opened to the metadata server');

/** A lock of another client is given up for after this; the operation is then tried again. */
const LOCK_TIMEOUT_MS = 5_000;
/** Statements of ours touch few rows; those of snapshots and of tables being made have no limit. */
const STATEMENT_TIMEOUT_MS = 15_000;
/** A client that stopped between its two flights must not keep its locks. */
const IDLE_IN_TRANSACTION_MS = 30_000;
/** When the server has not even said that the statement took too long, the network is gone. */
const FLIGHT_LIMIT_MS = STATEMENT_TIMEOUT_MS + 3_000;
/** For scans of large tables; a peer that is gone is noticed sooner by TCP, mostly. */
const LONG_FLIGHT_LIMIT_MS = 3_600_000;

/** Some hundred texts; lists of ids make more of them. Each costs the server some 10 KiB. */
const MAX_PREPARED = 1000;

/** SQLSTATEs: connection exceptions, operator intervention but not a cancelled statement, read-only transaction. */
const needsAnother = /^(08|57P|25006|26000|42P05)/;

/** A crash of one of its processes restarts the server within, which shows in the statistics. */
const LIFE = `SELECT pg_postmaster_start_time()::text || ' ' || pg_stat_get_bgwriter_stat_reset_time()::text`;

/** What a server must be. */
export type Role = 'primary' | 'any';

export interface ConnectionOptions {
  readonly readOnly: boolean;
  /** Without time limits. */
  readonly long: boolean;
}

export class PostgresConnection {
  readonly #sql: Driver;
  readonly #wire: Wire;
  readonly #limitMs: number;
  readonly #prepared = new Set<string>();
  #life: string | undefined;

  private constructor(sql: Driver, wire: Wire, limitMs: number) {
    this.#sql = sql;
    this.#wire = wire;
    this.#limitMs = limitMs;
  }

  get usable(): boolean {
    return !this.#wire.lost;
  }

  /** The server keeps every statement that it has prepared: better to begin anew. */
  get worn(): boolean {
    return this.#prepared.size > MAX_PREPARED;
  }

  /** Names the server's run between two crashes; undefined where it cannot be told. */
  get life(): string | undefined {
    return this.#life;
  }

  static async open(
    location: PostgresLocation,
    host: PostgresHost,
    options: ConnectionOptions,
    role: Role,
  ): Promise<PostgresConnection> {
    const attempted = `connect to ${location.description}`;
    const limit = AbortSignal.timeout(location.connectTimeoutMs);
    let wire: Wire | undefined;
    try {
      const socket = await openSocket(location, host, limit);
      wire = new Wire(socket);
      const connection = new PostgresConnection(
        driverOf(location, wire),
        wire,
        options.long ? LONG_FLIGHT_LIMIT_MS : FLIGHT_LIMIT_MS,
      );
      const starting = wire;
      const stop = (): void => starting.destroy(limit.reason);
      limit.addEventListener('abort', stop);
      await connection.#start(options, role);
      limit.removeEventListener('abort', stop);
      opened.inc();
      return connection;
    } catch (thrown) {
      wire?.destroy();
      if (thrown instanceof FsError) throw thrown;
      throw refusedCertificate(thrown, location) ?? connectFailure(thrown, limit, attempted);
    }
  }

  /** The first statement opens the driver's connection and sets the session up. */
  async #start(options: ConnectionOptions, role: Role): Promise<void> {
    const limits = options.long
      ? { statement_timeout: 0, lock_timeout: LOCK_TIMEOUT_MS, idle_in_transaction_session_timeout: 0 }
      : {
          statement_timeout: STATEMENT_TIMEOUT_MS,
          lock_timeout: LOCK_TIMEOUT_MS,
          idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
        };
    const settings = Object.entries({
      ...limits,
      ...(options.readOnly ? { default_transaction_read_only: 'on' } : {}),
    });
    const calls = settings.map(([name, value]) => `set_config('${name}', '${value}', false)`);
    // Who turned synchronous commits off for all did not mean those that fsync waits on.
    const durable = `CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', false) END`;
    const state = this.#sql
      .unsafe(`SELECT pg_is_in_recovery(), current_setting('transaction_read_only'), ${durable}, ${calls.join(', ')}`)
      .values()
      .execute();
    const life = this.#sql
      .unsafe(LIFE)
      .values()
      .catch(() => []);
    const [row] = await state;
    this.#life = (await life)[0]?.[0];
    this.#wire.started();
    const [recovering, readOnly] = (row ?? []) as unknown as [bigint, string];
    if (role === 'primary' && (recovering === 1n || readOnly === 'on'))
      throw Object.assign(new Error('the server is a standby, or takes no writes'), { code: '25006' });
  }

  /** Sends all statements at once. One outcome each; those of a lost connection say so. */
  async fly(statements: readonly Statement[], limitMs = this.#limitMs): Promise<Outcome[]> {
    if (!this.usable) return statements.map(() => ({ trouble: unsent }));
    flights.inc();
    const gone = this.#wire.gather();
    const queries = statements.map((statement) => this.#issue(statement));
    const outcomes = queries.map((query) => outcomeOf(query, gone));
    // The driver takes each statement up in a microtask, and writes then or in the check phase: before ours.
    await Promise.resolve();
    await new Promise((resolve) => setImmediate(resolve));
    this.#wire.send();
    const timer = setTimeout(() => this.#wire.destroy(lostError('no answer in time')), limitMs);
    try {
      const answers = await Promise.all(outcomes);
      // A server that goes away, or takes no writes any more: another one may.
      if (answers.some((one) => 'trouble' in one && needsAnother.test(one.trouble.code))) this.destroy();
      return answers;
    } finally {
      clearTimeout(timer);
      this.#wire.settled();
    }
  }

  #issue({ text, params, prepared }: Statement): PendingValuesQuery<Row[]> {
    if (prepared) this.#prepared.add(text);
    const query = this.#sql.unsafe<Row[]>(text, [], { prepare: prepared, simple: !prepared } as object);
    (query as unknown as QueryInternals).parameters = params;
    return query.values().execute();
  }

  /** At once: whatever is under way fails. */
  destroy(): void {
    this.#wire.destroy();
  }

  async close(): Promise<void> {
    if (!this.usable) return;
    await Promise.race([this.#sql.end({ timeout: 1 }), this.#wire.gone]);
    this.#wire.destroy();
  }
}

async function outcomeOf(query: PendingValuesQuery<Row[]>, gone: Promise<void>): Promise<Outcome> {
  try {
    const found = await Promise.race([query, gone]);
    if (found === undefined)
      throw (
        (query as unknown as QueryInternals).retried ??
        lostError('the server closed the connection, or does not answer')
      );
    return { answer: { rows: found as unknown as Row[], command: found.command } };
  } catch (thrown) {
    return { trouble: troubleOf((query as unknown as QueryInternals).retried ?? thrown) };
  }
}
const lostError = (text: string): Error => Object.assign(new Error(text), { code: 'LOST' });

function connectFailure(thrown: unknown, limit: AbortSignal, attempted: string): FsError {
  const trouble = limit.aborted ? lost('no answer in time') : troubleOf(thrown);
  return Object.assign(fromTrouble(trouble, attempted), { trouble });
}

export const troubleOfOpening = (thrown: unknown): Trouble | undefined =>
  (thrown as { trouble?: Trouble } | null)?.trouble;
