// Answers reads out of committed slices with dirty data over them. Bytes come as pieces of opened pages, without a copy;
// only bytes still in a writer's slab are copied, since the slab goes on to change.
import { fail, hasCode } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { MiB } from '../../base/units.ts';
import { paint } from '../meta/overlap.ts';
import { chunkOf, posInChunk, smaller } from '../meta/position.ts';
import { CHUNK_SIZE, type Slice } from '../meta/types.ts';
import type { PagePlace, PageStore } from '../page/page-store.ts';
import type { View } from './chunk-views.ts';
import type { DirtySlice } from './dirty-slice.ts';
import type { OpenInode } from './inodes.ts';

/** What holes are answered with; never written to. As long as the longest kernel read. */
const zeros = Buffer.alloc(MiB);

type Piece = Buffer | Promise<Buffer>;

/** Compactions of others in a row that take away what is being read. */
const MAX_LOOKS = 10;

/** A part of a chunk, and who waits for it. */
interface Range {
  readonly indx: number;
  readonly from: number;
  readonly to: number;
  readonly signal: AbortSignal | undefined;
  /** What is known of the chunk may be out of date: if a page is missing, it is looked at again. */
  readonly mayBeGone: boolean;
}

export class Reader {
  readonly #pages: PageStore;
  readonly #log: Log;

  constructor(pages: PageStore, log: Log) {
    this.#pages = pages;
    this.#log = log;
  }

  async read(inode: OpenInode, offset: bigint, size: number, signal?: AbortSignal): Promise<readonly Buffer[]> {
    const wanted = Number(smaller(BigInt(size), inode.length - offset));
    const pieces: Piece[] = [];
    let pending = false;
    for (const range of ranges(offset, wanted, signal)) {
      const view = inode.views.get(range.indx) ?? (await inode.views.load(range.indx));
      if (this.#chunk(inode, view, range, pieces)) pending = true;
    }
    if (!pending) return pieces as Buffer[];
    try {
      return await Promise.all(pieces);
    } catch (thrown) {
      if (!hasCode(thrown, 'object-missing')) throw thrown;
      return this.#again(inode, ranges(offset, wanted, signal), pieces);
    }
  }

  /** Another client may have compacted a chunk and deleted its old pages: what is there now counts. */
  async #again(inode: OpenInode, wanted: readonly Range[], before: readonly Piece[]): Promise<readonly Buffer[]> {
    await Promise.allSettled(before);
    const pieces: Buffer[] = [];
    for (const range of wanted) pieces.push(...(await this.#lookAgain(inode, range)));
    return pieces;
  }

  /** A page is missing for good when the chunk has not changed since it was looked for. */
  async #lookAgain(inode: OpenInode, range: Range): Promise<readonly Buffer[]> {
    let before: View | undefined;
    for (let look = 1; ; look++) {
      this.#log.debug('page missing, reading the chunk again', { inode: inode.ino, chunk: range.indx });
      inode.views.drop(range.indx);
      const view = await inode.views.load(range.indx);
      const mayBeGone = look < MAX_LOOKS && (before === undefined || !view.sameAs(before));
      const pieces: Piece[] = [];
      this.#chunk(inode, view, { ...range, mayBeGone }, pieces);
      try {
        return await Promise.all(pieces);
      } catch (thrown) {
        if (!mayBeGone || !hasCode(thrown, 'object-missing')) throw thrown;
        await Promise.allSettled(pieces);
        before = view;
      }
    }
  }

  /** Pushes the pieces of [from, to) of a chunk, all in one turn; answers whether any is a promise. */
  #chunk(inode: OpenInode, view: View, range: Range, into: Piece[]): boolean {
    const { indx, from, to, signal } = range;
    const before = into.length;
    const dirty = inode.writer.layersOf(indx);
    if (dirty.length === 0) this.#committed(view, range, into);
    else
      for (const { pos, len, layer, skip } of paint(dirty, from, to)) {
        if (layer === undefined) this.#committed(view, { ...range, from: pos, to: pos + len }, into);
        else this.#dirty(layer.slice, skip, len, into, signal);
      }
    for (let i = before; i < into.length; i++) {
      const piece = into[i];
      if (!(piece instanceof Promise)) continue;
      // A rejection before Promise.all sees it (a later chunk is still being loaded) must not end the process.
      piece.catch(() => undefined);
      return this.#quiet(into, i + 1);
    }
    return false;
  }

  #quiet(pieces: readonly Piece[], from: number): true {
    for (let i = from; i < pieces.length; i++) {
      const piece = pieces[i];
      if (piece instanceof Promise) piece.catch(() => undefined);
    }
    return true;
  }

  #committed(view: View, range: Range, into: Piece[]): void {
    view.visit(range.from, range.to, (slice, skip, len) => {
      if (slice === undefined) hole(len, into);
      else this.#slice(view, slice, { ...range, from: slice.off + skip, to: slice.off + skip + len }, into);
    });
  }

  /** `range` is of the slice here. */
  #slice(view: View, slice: Slice, { from, to: end, signal, mayBeGone }: Range, into: Piece[]): void {
    const { pageSize } = this.#pages;
    for (let at = from; at < end; ) {
      const k = Math.floor(at / pageSize);
      const start = k * pageSize;
      const to = Math.min(end, start + pageSize);
      const place = { sliceId: slice.id, indx: k, length: Math.min(pageSize, slice.size - start) };
      const cached = this.#pages.cached(place);
      const [a, b] = [at - start, to - start];
      if (cached === undefined)
        into.push(
          this.#pages.read(place, view.entry(slice.id, k), signal, mayBeGone).then((page) => page.subarray(a, b)),
        );
      else into.push(cached.subarray(a, b));
      at = to;
    }
  }

  #dirty(slice: DirtySlice, from: number, len: number, into: Piece[], signal?: AbortSignal): void {
    const { pageSize } = this.#pages;
    for (let at = from; at < from + len; ) {
      const k = Math.floor(at / pageSize);
      const start = k * pageSize;
      const to = Math.min(from + len, start + pageSize);
      const page = slice.pages[k];
      const [a, b] = [at - start, to - start];
      if (page?.buffer !== undefined) into.push(Buffer.from(page.buffer.subarray(a, b)));
      else if (page?.state === 'stored' && slice.id !== undefined) {
        const place = { sliceId: slice.id, indx: k, length: page.length };
        into.push(this.#pages.read(place, page.entry, signal).then((opened) => opened.subarray(a, b)));
      } else
        into.push(Promise.reject(slice.error ?? fail('EIO', `read dirty data of inode ${slice.indx}: it is gone`)));
      at = to;
    }
  }

  /** The pages behind [from, to) of a chunk whose view is at hand, for read-ahead. */
  places(view: View, from: number, to: number): PagePlace[] {
    const { pageSize } = this.#pages;
    const places: PagePlace[] = [];
    view.visit(from, to, (slice, skip, len) => {
      if (slice === undefined) return;
      const first = Math.floor((slice.off + skip) / pageSize);
      const last = Math.floor((slice.off + skip + len - 1) / pageSize);
      for (let k = first; k <= last; k++)
        places.push({ sliceId: slice.id, indx: k, length: Math.min(pageSize, slice.size - k * pageSize) });
    });
    return places;
  }
}

/** A stretch of a file, chunk by chunk: one part, or two. */
function ranges(offset: bigint, size: number, signal: AbortSignal | undefined): Range[] {
  let indx = chunkOf(offset);
  let from = posInChunk(offset);
  const parts: Range[] = [];
  for (let left = size; left > 0; indx++, from = 0) {
    const to = Math.min(CHUNK_SIZE, from + left);
    parts.push({ indx, from, to, signal, mayBeGone: true });
    left -= to - from;
  }
  return parts;
}

function hole(len: number, into: Piece[]): void {
  for (let left = len; left > 0; left -= zeros.length) into.push(zeros.subarray(0, Math.min(left, zeros.length)));
}
