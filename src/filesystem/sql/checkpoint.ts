// Decides when the -wal file is copied into the database, and has a thread do it: on the loop it would stop everything for
// two syncs, every thousand pages. The thread begins with the first thousand pages or so and ends after a while without
// commits.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

/** Transactions between two checkpoints: some thousand pages, 4 MiB or so. */
const COMMITS = 400;
/** A thread costs several MiB. */
const IDLE_MS = 10_000;
const MAX_HEAP_MIB = 16;
/** Pages after which SQLite does it within a commit all the same: 64 MiB, should the thread not come to it. */
export const FALLBACK_PAGES = 16_000;

const sibling = import.meta.url.endsWith('.ts') ? './checkpoint-worker.ts' : './checkpoint-worker.js';
const workerFile = new URL(sibling, import.meta.url);

export class Checkpoints {
  readonly #file: string;
  #commits = 0;
  #worker: Worker | undefined;
  #busy = false;
  #idle: NodeJS.Timeout | undefined;

  constructor(file: string) {
    this.#file = file;
  }

  /** After each commit. */
  committed(): void {
    this.#commits += 1;
    if (this.#commits < COMMITS || this.#busy) return;
    this.#commits = 0;
    this.#busy = true;
    this.#worker ??= this.#start();
    this.#worker.postMessage('checkpoint');
    this.#idle ??= setTimeout(() => this.#end(), IDLE_MS).unref();
    this.#idle.refresh();
  }

  #start(): Worker {
    const worker = new Worker(workerFile, {
      name: 'pageseal checkpoint',
      workerData: this.#file,
      // Nothing of our environment: the passphrase may have come in it.
      env: {},
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
    });
    worker.unref();
    worker.on('message', () => {
      this.#busy = false;
    });
    // A thread that cannot be had leaves the work to SQLite's own limit.
    worker.on('error', () => undefined);
    worker.on('exit', () => {
      this.#busy = false;
      if (this.#worker === worker) this.#worker = undefined;
    });
    return worker;
  }

  #end(): void {
    this.#idle = undefined;
    this.#worker?.postMessage('close');
    this.#worker = undefined;
  }

  /** Before the database closes: the last connection to close removes the -wal file, and that must be the engine's. */
  async close(): Promise<void> {
    clearTimeout(this.#idle);
    const worker = this.#worker;
    if (worker === undefined) return;
    const gone = once(worker, 'exit');
    worker.ref();
    this.#end();
    await gone;
  }
}
