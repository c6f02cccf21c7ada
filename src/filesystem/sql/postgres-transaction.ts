// One attempt at an operation or a view on one connection: which statements go in which flight, and what their answers
// mean. A write is two flights: BEGIN and the reads, then the changes and COMMIT.
import { type FsError, fail } from '../../base/errors.ts';
import type { Change, Flight, Op, Query, Row } from './op.ts';
import { type Outcome, type PostgresConnection, plain, type Statement } from './postgres-connection.ts';
import { isOtherCount, type PostgresDialect, type Use, wireValue } from './postgres-dialect.ts';
import type { Trouble } from './postgres-errors.ts';

/** The transaction's number, also to be asked for on another connection. Gives it one, so only where it will write. */
const NUMBER: Statement = { text: 'SELECT txid_current()', params: [], prepared: true };
const BEGIN = plain('BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE');
const BEGIN_VIEW = plain('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
const COMMIT = plain('COMMIT');
const ROLLBACK = plain('ROLLBACK');

export interface TransactionNumber {
  readonly number: bigint;
  readonly life: string | undefined;
}

/** What is to be known when the connection is lost after COMMIT was sent. */
export interface Unanswered {
  /** The server's number of the transaction; unless the operation looks by itself. */
  readonly number: TransactionNumber | undefined;
  /** The operation's answer, should it have been committed. */
  readonly answer: unknown;
}

/** Why an attempt ended without result. Nothing of it is in the database, except perhaps what is `unanswered`. */
export class Failed extends Error {
  readonly trouble: Trouble;
  readonly unanswered: Unanswered | undefined;
  /** An expectation did not hold: what is to be said if it never does. */
  readonly expectation: FsError | undefined;

  constructor(trouble: Trouble, more: { unanswered?: Unanswered; expectation?: FsError } = {}) {
    super(trouble.message);
    this.trouble = trouble;
    this.unanswered = more.unanswered;
    this.expectation = more.expectation;
  }
}

export class PostgresTransaction {
  readonly #connection: PostgresConnection;
  readonly #dialect: PostgresDialect;
  /** BEGIN was sent, neither COMMIT nor ROLLBACK was. */
  #begun = false;
  #number: TransactionNumber | undefined;

  constructor(connection: PostgresConnection, dialect: PostgresDialect) {
    this.#connection = connection;
    this.#dialect = dialect;
  }

  /** `numbered`: so that a lost answer to COMMIT can be asked for. */
  async run<R>(op: Op<R>, numbered: boolean): Promise<R> {
    let step = op.next();
    while (!step.done) {
      const flight = step.value;
      if (flight.kind === 'read' || (numbered && !this.#begun)) {
        const queries = queriesOf(flight);
        const rows = await this.#read(queries, 'locking', numbered ? [BEGIN, NUMBER] : [BEGIN]);
        if (flight.kind === 'read') {
          step = op.next(rows);
          continue;
        }
      }
      // An operation's answer does not depend on what its write answers: whatever it throws, it throws before.
      step = op.next();
      if (!step.done) throw fail('internal', 'an operation went on after its write');
      await this.#write(flight.changes, step.value);
    }
    return step.value;
  }

  /** A view in a transaction of one moment, which stays open for the next one. */
  async view<R>(op: Op<R>): Promise<R> {
    let step = op.next();
    while (!step.done) step = op.next(await this.#read(queriesOf(step.value), 'view', [BEGIN_VIEW]));
    return step.value;
  }

  /** Decoded rows of each query, in a transaction that the first flight begins. */
  async #read(queries: readonly Query<unknown>[], use: Use, begin: readonly Statement[]): Promise<unknown[][]> {
    const statements = queries.map((query) => statementOf(this.#dialect, query, use));
    const first = this.#begun ? [] : begin;
    this.#begun = true;
    const rows = rowsOf(await this.#connection.fly([...first, ...statements]));
    if (first.includes(NUMBER)) this.#number = { number: rows[1]?.[0]?.[0] as bigint, life: this.#connection.life };
    return decoded(queries, rows.slice(first.length));
  }

  /** All of a view's only flight: its queries see one moment. */
  async readOnce(queries: readonly Query<unknown>[]): Promise<unknown[][]> {
    const statements = queries.map((query) => statementOf(this.#dialect, query, 'view'));
    const rows = rowsOf(await this.#connection.fly([BEGIN_VIEW, ...statements, COMMIT]));
    return decoded(queries, rows.slice(1));
  }

  async #write(changes: readonly Change[], answer: unknown): Promise<void> {
    const statements = changes.map((change) => this.#change(change));
    // One statement is a transaction by itself.
    const alone = !this.#begun && statements.length === 1;
    const begin = this.#begun || alone ? [] : [BEGIN];
    const commit = alone ? [] : [COMMIT];
    this.#begun = false;
    const outcomes = await this.#connection.fly([...begin, ...statements, ...commit]);
    for (const [i, outcome] of outcomes.entries()) {
      if (!('trouble' in outcome)) continue;
      const { trouble } = outcome;
      const expect = changes[i - begin.length]?.expect;
      if (expect !== undefined && isOtherCount(trouble.message))
        throw new Failed(trouble, { expectation: expect.error() });
      throw new Failed(trouble, trouble.answered ? {} : { unanswered: { number: this.#number, answer } });
    }
    const last = outcomes.at(-1);
    if (!alone && last !== undefined && 'answer' in last && last.answer.command !== 'COMMIT')
      throw new Failed(rolledBack);
  }

  #change({ sql, params, expect }: Change): Statement {
    const values = params.map(wireValue);
    if (expect === undefined) return { text: this.#dialect.text(sql, params, 'write'), params: values, prepared: true };
    const text = this.#dialect.counted(sql, params);
    return { text, params: [...values, String(expect.rows)], prepared: true };
  }

  /** Ends what is open; nobody waits for it but the connection's next user. */
  async end(): Promise<void> {
    if (!this.#begun) return;
    this.#begun = false;
    const [outcome] = await this.#connection.fly([ROLLBACK]);
    if (outcome === undefined || 'trouble' in outcome) this.#connection.destroy();
  }
}

function rowsOf(outcomes: readonly Outcome[]): (readonly Row[])[] {
  return outcomes.map((outcome) => {
    if ('trouble' in outcome) throw new Failed(outcome.trouble);
    return outcome.answer.rows;
  });
}

export const statementOf = (dialect: PostgresDialect, { sql, params }: Query<unknown>, use: Use): Statement => ({
  text: dialect.text(sql, params, use),
  params: params.map(wireValue),
  prepared: true,
});

export const decodedRows = (query: Query<unknown>, rows: readonly Row[]): unknown[] =>
  rows.map((row) => query.decode(row));

const decoded = (queries: readonly Query<unknown>[], rows: readonly (readonly Row[])[]): unknown[][] =>
  queries.map((query, i) => decodedRows(query, rows[i] ?? []));

const rolledBack: Trouble = {
  code: '25P02',
  message: 'the server rolled the transaction back',
  kind: 'conflict',
  answered: true,
};

/** A view's flight; that it writes is found before (readingOnly). */
export const queriesOf = (flight: Flight): readonly Query<unknown>[] => (flight.kind === 'read' ? flight.queries : []);
