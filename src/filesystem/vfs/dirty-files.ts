// Which files of a mount have dirty data, oldest first: flushes what lies idle, makes room when memory runs short.
import type { Slabs } from './slabs.ts';

/** Data nobody added to for this long goes up, as in the original client. */
export const IDLE_MS = 5000;
/** A file written to all the time still commits this often: it bounds what a crash may lose. */
export const MAX_AGE_MS = 30_000;
const TICK_MS = 1000;
/** A mount where nothing was written for so long gives its buffers back: most mounts of a node are idle. */
const TRIM_MS = 10_000;

export interface DirtyFile {
  /** Freezes slices that are idle since `idleSince` or were begun before `begunBefore`. */
  freezeOld(idleSince: number, begunBefore: number): void;
  freezeAll(): void;
}

export class DirtyFiles {
  readonly #files = new Set<DirtyFile>();
  readonly #slabs: Slabs;
  #timer: NodeJS.Timeout | undefined;
  #trim: NodeJS.Timeout | undefined;

  constructor(slabs: Slabs) {
    this.#slabs = slabs;
  }

  add(file: DirtyFile): void {
    this.#files.add(file);
    clearTimeout(this.#trim);
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS).unref();
  }

  remove(file: DirtyFile): void {
    this.#files.delete(file);
    if (this.#files.size > 0) return;
    this.stop();
    this.#trim = setTimeout(() => this.#slabs.trim(), TRIM_MS).unref();
  }

  /** Waits while the mount is over its budget, after making sure that enough of it is on its way out. */
  room(): Promise<void> | undefined {
    // Bytes of many half-filled pages would otherwise wait for more bytes, and those for room: nothing would move.
    if (this.#slabs.used > this.#slabs.limit / 2) {
      for (const file of this.#files) {
        if (this.#slabs.used - this.#slabs.leaving <= this.#slabs.limit / 2) break;
        file.freezeAll();
      }
    }
    return this.#slabs.room();
  }

  /** Twice the budget: who would write on although he was not admitted has to wait now. */
  get overfull(): boolean {
    return this.#slabs.used > 2 * this.#slabs.limit;
  }

  stop(): void {
    clearTimeout(this.#trim);
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    const now = Date.now();
    for (const file of this.#files) file.freezeOld(now - IDLE_MS, now - MAX_AGE_MS);
  }
}
