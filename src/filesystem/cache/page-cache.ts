// Opened pages in memory, bounded by their bytes, least recently used first out. Pages are shared with their readers, so
// their memory waits for those that may still be copying (evicted.ts). Never touches a disk.
import { sameBytes } from '../../base/bytes.ts';
import { Lru } from '../../base/lru.ts';
import { counter, gauge } from '../../base/metrics.ts';
import type { SliceId } from '../../base/words.ts';
import { EvictedPages } from './evicted.ts';

/** A page in the map costs this much beside its bytes, which the codec allocates at their length. */
const ENTRY_BYTES = 256;

interface CachedPage {
  readonly plain: Buffer;
  /** The tag it was checked against; undefined when nobody vouched for it (no ledger row). */
  readonly tag: Buffer | undefined;
}

const hits = counter('pageseal_cache_hits_total', 'Pages found opened in memory');
const hitBytes = counter('pageseal_cache_hit_bytes_total', 'Length of the pages found in memory');

const weigh = ({ plain }: CachedPage): number => plain.length + ENTRY_BYTES;

export class PageCache {
  readonly #pages: Lru<string, CachedPage>;
  readonly #evicted = new EvictedPages();

  constructor(limitBytes: number) {
    this.#pages = new Lru(limitBytes, weigh, (_, { plain }) => this.#evicted.add(plain));
    gauge('pageseal_cache_bytes', 'Opened pages in memory', () => this.bytes);
  }

  /** Pages found from now on keep their bytes until the answer is called. */
  hold(): () => void {
    return this.#evicted.hold();
  }

  get bytes(): number {
    return this.#pages.weight;
  }

  /** The page, if it was opened with this length, and with this tag when one is given. */
  get(sliceId: SliceId, indx: number, length: number, tag?: Buffer): Buffer | undefined {
    const page = this.#pages.get(`${sliceId}_${indx}`);
    if (page === undefined || page.plain.length !== length) return undefined;
    if (tag !== undefined && (page.tag === undefined || !sameBytes(tag, page.tag))) return undefined;
    hits.inc();
    hitBytes.inc(length);
    return page.plain;
  }

  set(sliceId: SliceId, indx: number, plain: Buffer, tag: Buffer | undefined): void {
    this.#pages.set(`${sliceId}_${indx}`, { plain, tag });
  }

  delete(sliceId: SliceId, indx: number): void {
    this.#pages.delete(`${sliceId}_${indx}`);
  }

  clear(): void {
    this.#pages.clear();
  }
}
