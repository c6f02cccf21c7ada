// Memory of pages that left the cache, given back as soon as no read that may still show them is under way. What the
// collector has to find makes it run every few pages.
import { release } from '../../base/bytes.ts';
import { MiB } from '../../base/units.ts';

/** Waiting to be given back; beyond it (a read hangs, or its caller never tells) the collector gets the oldest. */
const MAX_WAITING = 32 * MiB;

interface Waiting {
  readonly plain: Buffer;
  /** The reads begun before it left. */
  readonly before: number;
}

export class EvictedPages {
  /** Reads under way, by number; the oldest is first. */
  readonly #reads = new Set<number>();
  readonly #waiting: Waiting[] = [];
  #bytes = 0;
  #begun = 0;

  /** Pages found from now on keep their bytes until the answer is called. */
  hold(): () => void {
    const read = ++this.#begun;
    this.#reads.add(read);
    return () => {
      if (this.#reads.delete(read) && this.#waiting.length > 0) this.#giveBack();
    };
  }

  add(plain: Buffer): void {
    this.#waiting.push({ plain, before: this.#begun });
    this.#bytes += plain.length;
    this.#giveBack();
    while (this.#bytes > MAX_WAITING) this.#bytes -= this.#waiting.shift()?.plain.length ?? 0;
  }

  #giveBack(): void {
    const [oldest = Number.POSITIVE_INFINITY] = this.#reads;
    for (let next = this.#waiting[0]; next !== undefined && next.before < oldest; next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#bytes -= next.plain.length;
      release(next.plain);
    }
  }
}
