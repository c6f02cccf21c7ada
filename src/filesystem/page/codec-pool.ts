// The codec threads of one mount: started with the first large page, at most two, ended when idle. A thread has one page at
// a time, so one that dies takes one job with it; the next job starts another.
import { type Transferable, Worker } from 'node:worker_threads';
import { type ErrorCode, fail } from '../../base/errors.ts';
import type { Compression } from './compress.ts';
import type { EncryptAlgo } from './seal.ts';

/** Two keep a disk busy; a node has many mounts, and each thread costs memory. */
const MAX_THREADS = 2;
/** A thread costs about 10 MiB and starts in 30 ms. */
const IDLE_MS = 30_000;
/** Heap of a thread. A few MiB would do, but V8 collects whenever half of this much lies outside the heap: the pages. */
const MAX_HEAP_MIB = 256;

/** What a thread is told once. Only the public key: S of pages to open comes with the job. */
export interface CodecSettings {
  readonly compression: Compression;
  readonly algo: EncryptAlgo;
  readonly spki: Uint8Array | undefined;
}

export type Job =
  | { readonly kind: 'pack'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'unpack';
      readonly bytes: Uint8Array;
      readonly pageKey: Uint8Array | undefined;
      readonly length: number;
    };

export type Done =
  | {
      readonly kind: 'packed';
      readonly parts: readonly Uint8Array[];
      readonly tag: Uint8Array | undefined;
      readonly pageKey: Uint8Array | undefined;
    }
  | { readonly kind: 'unpacked'; readonly plain: Uint8Array }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string };

interface Waiting {
  readonly job: Job;
  readonly transfer: readonly Transferable[];
  readonly resolve: (done: Done) => void;
  readonly reject: (error: Error) => void;
}

interface Thread {
  readonly worker: Worker;
  busy: Waiting | undefined;
}

/** Sources run as they are, the image runs compiled files; the neighbour has our own extension. */
const sibling = import.meta.url.endsWith('.ts') ? './codec-worker.ts' : './codec-worker.js';
const workerFile = new URL(sibling, import.meta.url);

export class CodecPool {
  readonly #settings: CodecSettings;
  readonly #threads = new Set<Thread>();
  /** Bounded by the page store, which lets so many pages in at once. */
  readonly #queue: Waiting[] = [];
  #idle: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(settings: CodecSettings) {
    this.#settings = settings;
  }

  /** Rejects with the codec's own failure, or internal when the thread died. */
  async run(job: Job, transfer: readonly Transferable[]): Promise<Exclude<Done, { kind: 'failed' }>> {
    if (this.#closed) throw fail('internal', `${job.kind} a page: the codec is closed`);
    const done = await new Promise<Done>((resolve, reject) => {
      this.#queue.push({ job, transfer, resolve, reject });
      this.#pump();
    });
    if (done.kind === 'failed') throw fail(done.code, done.message);
    return done;
  }

  #pump(): void {
    while (this.#queue.length > 0) {
      const thread = this.#freeThread();
      if (thread === undefined) return;
      const next = this.#queue.shift();
      if (next === undefined) return;
      thread.busy = next;
      thread.worker.ref();
      thread.worker.postMessage(next.job, next.transfer);
    }
  }

  #freeThread(): Thread | undefined {
    for (const thread of this.#threads) if (thread.busy === undefined) return thread;
    return this.#threads.size < MAX_THREADS ? this.#start() : undefined;
  }

  #start(): Thread {
    const worker = new Worker(workerFile, {
      name: 'pageseal codec',
      workerData: this.#settings,
      // Nothing of our environment: the passphrase may have come in it.
      env: {},
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
    });
    const thread: Thread = { worker, busy: undefined };
    this.#threads.add(thread);
    worker.on('message', (done: Done) => this.#finished(thread, done));
    worker.on('error', (error) => this.#died(thread, error));
    worker.on('exit', () => this.#died(thread, undefined));
    return thread;
  }

  #finished(thread: Thread, done: Done): void {
    thread.busy?.resolve(done);
    thread.busy = undefined;
    this.#pump();
    if (thread.busy !== undefined) return;
    // An idle thread keeps no process alive.
    thread.worker.unref();
    this.#idle ??= setTimeout(() => this.#endIdle(), IDLE_MS).unref();
    this.#idle.refresh();
  }

  #died(thread: Thread, cause: unknown): void {
    if (!this.#threads.delete(thread)) return;
    thread.busy?.reject(fail('internal', `${thread.busy.job.kind} a page: the codec thread died`, { cause }));
    this.#pump();
  }

  #endIdle(): void {
    this.#idle = undefined;
    for (const thread of this.#threads) {
      if (thread.busy !== undefined) continue;
      this.#threads.delete(thread);
      void thread.worker.terminate();
    }
  }

  /** Ends the threads; what is queued or under way fails. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#idle);
    const threads = [...this.#threads];
    this.#threads.clear();
    const lost = [...this.#queue.splice(0), ...threads.flatMap(({ busy }) => busy ?? [])];
    for (const { job, reject } of lost) reject(fail('internal', `${job.kind} a page: the codec is closed`));
    await Promise.all(threads.map(({ worker }) => worker.terminate()));
  }
}
