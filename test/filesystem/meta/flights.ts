// An engine that counts the flights of operations, but not of work in the background: figures, ids, data of deleted files.
import type { Attempt, Dialect, Engine, Flight, Op, RunOptions } from '../../../src/filesystem/sql/op.ts';

/** Rows of figures by the hundred; what is left of a deleted file, chunk by chunk. */
const BACKGROUND =
  /FROM pageseal_(owner_)?usage[\s\S]* LIMIT|DELETE FROM jfs_delfile|SELECT indx FROM jfs_chunk WHERE inode = \? ORDER|jfs_chunk_ref WHERE chunkid = \? AND refs/;

const isBackground = (flight: Flight): boolean => {
  const parts = flight.kind === 'read' ? flight.queries : flight.changes;
  return parts.some(
    ({ sql, params }) => params.includes('nextInode') || params.includes('nextChunk') || BACKGROUND.test(sql),
  );
};

export class CountingEngine implements Engine {
  flights = 0;
  transactions = 0;
  readonly #inner: Engine;

  constructor(inner: Engine) {
    this.#inner = inner;
  }

  get dialect(): Dialect {
    return this.#inner.dialect;
  }

  get description(): string {
    return this.#inner.description;
  }

  /** Flights of what `work` waits for. */
  async count(work: () => Promise<unknown>): Promise<number> {
    this.flights = 0;
    await work();
    return this.flights;
  }

  run<R>(operation: (attempt: Attempt) => Op<R>, options?: RunOptions): Promise<R> {
    return this.#inner.run((attempt) => this.#watch(operation(attempt)), options);
  }

  view<R>(operation: () => Op<R>): Promise<R> {
    return this.#inner.view(() => this.#watch(operation()));
  }

  execute(script: string): Promise<void> {
    return this.#inner.execute(script);
  }

  sync(): Promise<void> {
    return this.#inner.sync();
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  *#watch<R>(op: Op<R>): Op<R> {
    let step = op.next();
    let counts: boolean | undefined;
    let flights = 0;
    while (!step.done) {
      counts ??= !isBackground(step.value);
      flights++;
      step = op.next(yield step.value);
    }
    // Once it came to its end: what a database begins again (or a view that turns out to be long) was one operation.
    if (counts) this.flights += flights;
    return step.value;
  }
}
