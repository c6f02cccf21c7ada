// A queue of keys. A key that waits is there once, however often it is added; one that is worked on and added meanwhile is
// worked on again afterwards, never twice at once. What fails comes back later and later, with jitter.
import { FsError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { pauseMs } from '../base/retry.ts';

export interface WorkQueueOptions {
  readonly name: string;
  /** Answers after how many milliseconds it wants to be called again; undefined: when something happens. */
  readonly work: (key: string, signal: AbortSignal) => Promise<number | undefined>;
  /** Keys worked on at once. */
  readonly parallel: number;
  readonly onEnd?: (key: string, failure: FsError | undefined, ms: number) => void;
  readonly backOff?: { readonly baseMs: number; readonly capMs: number };
}

/** A second at first, five minutes at last: a Secret that is being corrected, and a database that is away for a day. */
const BACK_OFF = { baseMs: 1000, capMs: 300_000 };
/** 2^20 pauses of the base are over any cap. */
const MAX_DOUBLINGS = 20;

export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #waiting = new Set<string>();
  /** Worked on now, with the end of that work. */
  readonly #running = new Map<string, Promise<void>>();
  /** Added while worked on. */
  readonly #again = new Set<string>();
  readonly #timers = new Map<string, { readonly timer: NodeJS.Timeout; readonly at: number }>();
  readonly #failures = new Map<string, number>();
  readonly #stop = new AbortController();

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  /** Keys that wait for their turn. */
  get depth(): number {
    return this.#waiting.size + this.#again.size;
  }

  add(key: string): void {
    if (this.#stop.signal.aborted) return;
    this.#forgetTimer(key);
    if (this.#running.has(key)) this.#again.add(key);
    else this.#waiting.add(key);
    this.#pump();
  }

  /** The earlier of two times wins. */
  addAfter(key: string, ms: number): void {
    if (this.#stop.signal.aborted) return;
    const at = performance.now() + ms;
    if ((this.#timers.get(key)?.at ?? Number.POSITIVE_INFINITY) <= at) return;
    this.#forgetTimer(key);
    this.#timers.set(key, { at, timer: setTimeout(() => this.add(key), ms) });
  }

  /** Tells what runs to end, and waits for it. */
  async stop(): Promise<void> {
    this.#stop.abort();
    for (const key of [...this.#timers.keys()]) this.#forgetTimer(key);
    this.#waiting.clear();
    this.#again.clear();
    await Promise.all(this.#running.values());
  }

  #forgetTimer(key: string): void {
    clearTimeout(this.#timers.get(key)?.timer);
    this.#timers.delete(key);
  }

  #pump(): void {
    for (const key of this.#waiting) {
      if (this.#running.size >= this.#options.parallel) return;
      this.#waiting.delete(key);
      this.#running.set(key, this.#run(key));
    }
  }

  async #run(key: string): Promise<void> {
    const began = performance.now();
    let failure: FsError | undefined;
    try {
      const after = await this.#options.work(key, this.#stop.signal);
      this.#failures.delete(key);
      if (after !== undefined) this.addAfter(key, after);
    } catch (thrown) {
      failure = FsError.from(thrown, `${this.#options.name} ${key}`);
      this.#comeBack(key, failure);
    }
    this.#options.onEnd?.(key, failure, performance.now() - began);
    this.#running.delete(key);
    if (this.#again.delete(key)) this.#waiting.add(key);
    this.#pump();
  }

  #comeBack(key: string, failure: FsError): void {
    if (this.#stop.signal.aborted) return;
    const failures = Math.min((this.#failures.get(key) ?? 0) + 1, MAX_DOUBLINGS);
    this.#failures.set(key, failures);
    const ms = pauseMs({ ...(this.#options.backOff ?? BACK_OFF), attempts: MAX_DOUBLINGS, when: () => true }, failures);
    log.warn(`${this.#options.name}: will try again`, {
      key,
      error: failure.message,
      code: failure.code,
      inMs: Math.round(ms),
    });
    this.addAfter(key, ms);
  }
}
