// Metadata operations as generators: one implementation of each rule for every database (docs/ARCHITECTURE.md, Metadata operations).
//
//   function* mkdir(...): Op<Attr> {
//     const [dirs, clash] = yield* read(nodeById(parent), edgeByName(parent, name));   // flight 1
//     ...                                                                              // rules, pure
//     yield* write(insertNode(...), must(1, touch(parent), () => fail('ENOENT', ...))); // flight 2, commits
//     return attr;                                                                     // computed without flight 2
//   }
//
// Rules: an engine runs a *factory* of the generator, maybe several times (retries), so a body has no outside effects;
// `write` is the last yield of an operation, and nothing after it uses its results (the runner asks for the return value
// before it sends the flight, to store the answer of a resendable request in the same transaction).
//
// SQL text is written once with the canonical table names jfs_* and pageseal_*, '?' placeholders, FOR UPDATE (or FOR NO KEY
// UPDATE, FOR KEY SHARE) where rows are to be locked, and BYTES(column) around byte columns that are read; engines rewrite
// these.
import { type FsError, fail } from '../../base/errors.ts';

/** Integers are always bigint, both ways; a JavaScript number would bind as REAL in SQLite. */
export type SqlValue = bigint | string | Uint8Array | null;
export type Row = readonly SqlValue[];

export interface Query<T> {
  readonly kind: 'query';
  readonly sql: string;
  readonly params: readonly SqlValue[];
  readonly decode: (row: Row) => T;
}

export interface Change {
  readonly kind: 'change';
  readonly sql: string;
  readonly params: readonly SqlValue[];
  /** A wrong number of changed rows fails the transaction with this error. */
  readonly expect?: { readonly rows: number; readonly error: () => FsError };
}

export type Flight =
  | { readonly kind: 'read'; readonly queries: readonly Query<unknown>[] }
  | { readonly kind: 'write'; readonly changes: readonly Change[] };

export type Op<R> = Generator<Flight, R, unknown>;

/** What an operation has no use for this time stands as undefined. */
type Asked = Query<unknown> | undefined;

type Results<Q extends readonly Asked[]> = {
  -readonly [K in keyof Q]: NonNullable<Q[K]> extends Query<infer T> ? T[] : never;
};

/** One flight of reads; answers the decoded rows of each query, none for what was not asked. Of nothing, no flight. */
export function* read<const Q extends readonly Asked[]>(...queries: Q): Generator<Flight, Results<Q>, unknown> {
  const asked = queries.filter((one) => one !== undefined);
  const found = asked.length === 0 ? [] : ((yield { kind: 'read', queries: asked }) as unknown[][]);
  if (asked.length === queries.length) return found as Results<Q>;
  let next = 0;
  return queries.map((one) => (one === undefined ? [] : found[next++])) as Results<Q>;
}

/** The committing flight. */
export function* write(...changes: readonly Change[]): Generator<Flight, void, unknown> {
  yield { kind: 'write', changes };
}

/** A view that tries to write is a mistake of ours, found at once. */
export function readingOnly<R>(operation: () => Op<R>): () => Op<R> {
  return function* checked() {
    const op = operation();
    let step = op.next();
    while (!step.done) {
      if (step.value.kind !== 'read') throw fail('internal', 'a view tried to write');
      step = op.next(yield step.value);
    }
    return step.value;
  };
}

/** The operation, with more in the flight that it commits: that flight is its last and its answer is known before it. */
export function* withChanges<R>(operation: () => Op<R>, more: (answer: R) => readonly Change[]): Op<R> {
  const op = operation();
  let step = op.next();
  while (!step.done) {
    const flight = step.value;
    if (flight.kind === 'read') {
      step = op.next(yield flight);
      continue;
    }
    const end = op.next();
    if (!end.done) throw new Error('an operation went on after its write');
    yield { kind: 'write', changes: [...flight.changes, ...more(end.value)] };
    return end.value;
  }
  return step.value;
}

export const query = <T>(sql: string, params: readonly SqlValue[], decode: (row: Row) => T): Query<T> => ({
  kind: 'query',
  sql,
  params,
  decode,
});

export const change = (sql: string, ...params: readonly SqlValue[]): Change => ({ kind: 'change', sql, params });

/** The change must touch exactly `rows` rows, else the operation fails with `error` and nothing is written. */
export const must = (rows: number, inner: Change, error: () => FsError): Change => ({
  ...inner,
  expect: { rows, error },
});

/** Which run of an operation it is. */
export interface Attempt {
  /** An earlier run may have been committed: the connection was lost after COMMIT was sent. */
  readonly ambiguous: boolean;
}

export interface RunOptions {
  /** The commit must survive a power cut before the promise resolves (counters, fsync, before objects are deleted). */
  readonly durable?: boolean;
  /**
   * The operation looks by itself for what an earlier, ambiguous run has left. Otherwise the engine has the server tell
   * it whether that one was committed, for which it asks for more in the first flight.
   */
  readonly looksItself?: boolean;
}

/** For texts that cannot be the same everywhere: the catalogue, and the creation of tables. */
export type Dialect = 'sqlite' | 'postgres';

/** A database that runs operations: SQLite (sql/sqlite.ts) or PostgreSQL (sql/postgres.ts). */
export interface Engine {
  readonly dialect: Dialect;
  readonly description: string;
  /** In one write transaction; retried as a whole when the database asks for it. */
  run<R>(operation: (attempt: Attempt) => Op<R>, options?: RunOptions): Promise<R>;
  /** Reads only, in one consistent view. */
  view<R>(operation: () => Op<R>): Promise<R>;
  /** DDL and other statements outside any operation. */
  execute(script: string): Promise<void>;
  /** All commits so far survive a power cut. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** What reading takes: an engine, or a snapshot. */
export type Reader = Pick<Engine, 'dialect' | 'description' | 'view'>;

/** The database as it was at one moment, for work that takes long; on a connection of its own, so that nobody waits. */
export interface Snapshot extends Reader {
  close(): Promise<void>;
}
