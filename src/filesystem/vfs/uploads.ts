// How many pages of a mount go up at once. First come, first served; the queue is bounded by the slab budget.

/** What the original client uses by default (--max-uploads); hides the latency of an object store. */
export const MAX_UPLOADS = 20;

export class Uploads {
  #running = 0;
  readonly #queue: (() => void)[] = [];
  /** Bytes of slabs that are queued or on their way, and so will be free soon. */
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  async run<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    this.#bytes += bytes;
    try {
      if (this.#running >= MAX_UPLOADS) await new Promise<void>((resolve) => this.#queue.push(resolve));
      else this.#running++;
      try {
        return await work();
      } finally {
        const next = this.#queue.shift();
        if (next === undefined) this.#running--;
        else next();
      }
    } finally {
      this.#bytes -= bytes;
    }
  }
}
