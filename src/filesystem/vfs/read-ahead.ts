// Fetches the pages after a sequential reader's position, so that they are opened when it comes there. Random readers get
// nothing but what they asked for.
import { MiB } from '../../base/units.ts';
import { chunkOf, larger, posInChunk, smaller } from '../meta/position.ts';
import { CHUNK_SIZE } from '../meta/types.ts';
import type { PageStore } from '../page/page-store.ts';
import type { View } from './chunk-views.ts';
import type { FileHandle } from './handles.ts';
import type { OpenInode } from './inodes.ts';
import type { Reader } from './reader.ts';

/** The kernel reads ahead by itself and its requests may overtake each other: so many lengths off is still in sequence. */
const SLACK = 2;
/** How far ahead of one reader. */
const MAX_WINDOW = 16 * MiB;
/** Being fetched ahead by a whole mount; opened pages are that large in memory. */
const MAX_IN_FLIGHT = 32 * MiB;

export class ReadAhead {
  readonly #reader: Reader;
  readonly #pages: PageStore;
  #inFlight = 0;

  constructor(reader: Reader, pages: PageStore) {
    this.#reader = reader;
    this.#pages = pages;
  }

  /** To be called with each read, before it is served. */
  after(handle: FileHandle, offset: bigint, size: number): void {
    const end = offset + BigInt(size);
    const near = Math.abs(Number(offset - handle.nextRead)) <= SLACK * size;
    if (near && end <= handle.nextRead) return;
    if (!near) {
      handle.streak = 0;
      handle.fetchedTo = 0n;
      handle.nextRead = end;
      return;
    }
    handle.nextRead = end;
    handle.streak++;
    // The first read of a file is no sequence yet: small files and random readers begin so too.
    if (handle.streak < 2) return;
    const window = Math.min(MAX_WINDOW, this.#pages.pageSize * 2 ** Math.min(handle.streak - 1, 8));
    const to = smaller(handle.inode.known.length, end + BigInt(window));
    const from = larger(end, handle.fetchedTo);
    // In steps of at least a page: the rest of the current one comes with it anyway.
    if (to - from < BigInt(Math.min(this.#pages.pageSize, window / 2)) && to < handle.inode.known.length) return;
    if (from < to) handle.fetchedTo = this.#fetch(handle.inode, from, to);
  }

  /** Answers how far it came. */
  #fetch(inode: OpenInode, from: bigint, to: bigint): bigint {
    for (let at = from; at < to; ) {
      const indx = chunkOf(at);
      const pos = posInChunk(at);
      const len = Math.min(CHUNK_SIZE - pos, Number(to - at));
      const view = inode.views.get(indx);
      if (view === undefined) {
        inode.views.load(indx).catch(() => undefined);
        return at;
      }
      if (!this.#fetchChunk(view, pos, pos + len)) return at;
      at += BigInt(len);
    }
    return to;
  }

  #fetchChunk(view: View, from: number, to: number): boolean {
    for (const place of this.#reader.places(view, from, to)) {
      if (this.#pages.cached(place) !== undefined) continue;
      if (this.#inFlight + place.length > MAX_IN_FLIGHT) return false;
      this.#inFlight += place.length;
      // An error here is nobody's answer; whoever reads the page meets it again.
      const done = (): void => {
        this.#inFlight -= place.length;
      };
      this.#pages.read(place, view.entry(place.sliceId, place.indx), undefined, true).then(done, done);
    }
    return true;
  }
}
