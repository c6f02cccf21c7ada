// The engine as a mount's metadata uses it: what only reads waits while the database is away. What writes waits where it is
// known how to do it again (VolumeState.write); here it is only noticed how it ended.
import type { Outages } from '../../base/outage.ts';
import type { Attempt, Dialect, Engine, Op, RunOptions } from '../sql/op.ts';

export class PatientEngine implements Engine {
  readonly description: string;
  readonly dialect: Dialect;
  readonly #engine: Engine;
  readonly #outages: Outages;

  constructor(engine: Engine, outages: Outages) {
    this.description = engine.description;
    this.dialect = engine.dialect;
    this.#engine = engine;
    this.#outages = outages;
  }

  run<R>(operation: (attempt: Attempt) => Op<R>, options?: RunOptions): Promise<R> {
    return this.#outages.metadata.watched(this.#engine.run(operation, options));
  }

  view<R>(operation: () => Op<R>): Promise<R> {
    const { metadata, waits } = this.#outages;
    return metadata.outlast(() => this.#engine.view(operation), waits.otherMs);
  }

  execute(script: string): Promise<void> {
    return this.#engine.execute(script);
  }

  sync(): Promise<void> {
    return this.#engine.sync();
  }

  close(): Promise<void> {
    return this.#engine.close();
  }
}
