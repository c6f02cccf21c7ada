// Clean-up that some client of the volume does now and then, elected by a counter row so that only one does (spec 5.13).
// Jobs are idempotent; a failure is logged and the next period tries again.

import { nowSeconds } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import type { Engine } from '../sql/op.ts';
import { electJob } from './counters.ts';

/** The original client's period, and the age of the last run below which nobody runs. */
const PERIOD_MS = 3_600_000;
const INTERVAL = 3240n;
/** After the mount: a short-lived mount does no housekeeping. */
const FIRST_MS = 300_000;

export interface Job {
  /** Row of jfs_counter with the time of the last run. */
  readonly counter: string;
  run(nowSeconds: bigint): Promise<void>;
}

export class HourlyJobs {
  readonly #engine: Engine;
  readonly #log: Log;
  readonly #jobs: readonly Job[];
  #timer: NodeJS.Timeout;
  #running: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(engine: Engine, log: Log, jobs: readonly Job[]) {
    this.#engine = engine;
    this.#log = log;
    this.#jobs = jobs;
    this.#timer = this.#after(FIRST_MS);
  }

  #after(ms: number): NodeJS.Timeout {
    return setTimeout(() => {
      this.#running = this.runAll().then(() => {
        if (!this.#stopped) this.#timer = this.#after(PERIOD_MS);
      });
    }, ms).unref();
  }

  /** Every job whose last run is long enough ago. Never rejects. */
  async runAll(): Promise<void> {
    for (const job of this.#jobs) {
      if (this.#stopped) return;
      const now = nowSeconds();
      try {
        const elected = await this.#engine.run(() => electJob(job.counter, now, INTERVAL));
        if (elected) await job.run(now);
      } catch (thrown) {
        this.#log.warn('clean-up failed, trying again in an hour', { job: job.counter, reason: String(thrown) });
      }
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }
}
