// Memory for dirty data: buffers in size classes, reused, out of one budget per mount. Data of an answered-to-be write is
// always taken (its buffer belongs to the kernel's next request); who is over the budget waits before the answer.
import { KiB, MiB } from '../../base/units.ts';

/** Dirty bytes of a mount: enough to keep uploads busy, small beside the 50 MiB an idle worker may take. */
export const SLAB_BUDGET = 64 * MiB;
/** Smallest class: most small files fit, and a thousand of them take 4 MiB. */
const SMALLEST = 4 * KiB;
/** Each class is this many times the one before: growing to 4 MiB copies a third of the data once. */
const STEP = 4;
/** Larger pages are sealed on codec threads, which see shared memory without a copy. */
const SHARED_ABOVE = 64 * KiB;
/** Unused buffers kept for reuse; first touch of memory is dearer than a copy into it. */
const KEPT_FREE = 24 * MiB;

export class Slabs {
  readonly limit: number;
  /** Bytes of buffers that are on their way to the store, and so will be free soon. */
  leaving = 0;
  readonly #largest: number;
  readonly #free = new Map<number, Buffer[]>();
  #freeBytes = 0;
  #used = 0;
  #waiting: (() => void)[] = [];

  constructor(largest: number, limit = SLAB_BUDGET) {
    this.#largest = largest;
    this.limit = limit;
  }

  get used(): number {
    return this.#used;
  }

  /** A buffer of the smallest class that holds `bytes`; its contents are whatever was there. */
  take(bytes: number): Buffer {
    let size = SMALLEST;
    while (size < bytes) size *= STEP;
    size = Math.min(size, this.#largest);
    this.#used += size;
    const kept = this.#free.get(size)?.pop();
    if (kept === undefined)
      return size > SHARED_ABOVE ? Buffer.from(new SharedArrayBuffer(size)) : Buffer.allocUnsafeSlow(size);
    this.#freeBytes -= size;
    return kept;
  }

  /** Gives back what `take` answered. */
  give(buffer: Buffer): void {
    const size = buffer.length;
    this.#used -= size;
    if (this.#freeBytes + size <= KEPT_FREE) {
      const list = this.#free.get(size);
      if (list === undefined) this.#free.set(size, [buffer]);
      else list.push(buffer);
      this.#freeBytes += size;
    }
    if (this.#used <= this.limit) this.#wake();
  }

  /** Lets go of what is kept for reuse. */
  trim(): void {
    this.#free.clear();
    this.#freeBytes = 0;
  }

  /** Undefined when there is room, else a promise of it. */
  room(): Promise<void> | undefined {
    if (this.#used <= this.limit) return undefined;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
