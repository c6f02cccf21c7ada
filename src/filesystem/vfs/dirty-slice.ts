// One slice being written: a run of bytes of one chunk in pages, of which full ones go up while writing goes on. Holds
// data and state; writer.ts decides what happens when.
import type { FsError } from '../../base/errors.ts';
import type { Caller, LedgerEntry, SliceId } from '../../base/words.ts';
import type { SliceCommit } from '../meta/meta.ts';
import { chunkOf, offsetOf, posInChunk } from '../meta/position.ts';
import { CHUNK_SIZE } from '../meta/types.ts';
import type { Slabs } from './slabs.ts';

/** open: takes bytes. sealed: on its way, its bytes do not change any more. stored: durable under `entry`. */
interface DirtyPage {
  buffer: Buffer | undefined;
  length: number;
  state: 'open' | 'sealed' | 'stored';
  entry: LedgerEntry | undefined;
}

/** Where a slice begins, and whether it belongs there or to the end of the file. */
export interface Where {
  readonly indx: number;
  readonly pos: number;
  readonly appended: boolean;
}

export class DirtySlice {
  /** Chunk and position where it begins. Bytes of an append may lie beyond the chunk's end, and may move: see writer.ts. */
  indx: number;
  pos: number;
  readonly appended: boolean;
  readonly caller: Caller;
  readonly startedAt: number;
  /** Settles, never rejects, once the slice is committed or dropped. */
  readonly done: Promise<void>;
  readonly pages: DirtyPage[] = [];
  touchedAt: number;
  mtime = 0n;
  id: SliceId | undefined;
  frozen = false;
  error: FsError | undefined;
  inFlight = 0;
  finish: () => void = () => undefined;
  #len = 0;
  #identity: Promise<SliceId> | undefined;
  readonly #pageSize: number;
  readonly #slabs: Slabs;

  constructor(at: Where, caller: Caller, pageSize: number, slabs: Slabs, now: number) {
    this.indx = at.indx;
    this.pos = at.pos;
    this.appended = at.appended;
    // Without the kernel's request: a commit is nobody's answer, and an interrupted writer must not stop it.
    this.caller = { uid: caller.uid, gid: caller.gid, pid: caller.pid, umask: caller.umask };
    this.startedAt = now;
    this.touchedAt = now;
    this.#pageSize = pageSize;
    this.#slabs = slabs;
    this.done = new Promise((resolve) => {
      this.finish = resolve;
    });
  }

  get len(): number {
    return this.#len;
  }

  get start(): bigint {
    return offsetOf(this.indx, this.pos);
  }

  get end(): bigint {
    return offsetOf(this.indx, this.pos + this.#len);
  }

  /** The end of the file is elsewhere than it was believed to be. */
  moveTo(start: bigint): void {
    this.indx = chunkOf(start);
    this.pos = posInChunk(start);
  }

  /** Whether `len` bytes at `pos` of the chunk may go in: not before what is sealed, not beyond the end. */
  takes(pos: number, len: number): boolean {
    if (this.frozen || pos < this.pos || pos > this.pos + this.#len) return false;
    // What has its place must not move with what has none.
    if (this.appended && pos + len > this.pos + this.#len) return false;
    return this.#open(pos);
  }

  /** Whether bytes for the end of the file may go in, which is at `offset`. */
  takesAppended(offset: bigint, len: number): boolean {
    if (this.frozen || !this.appended || this.end !== offset || this.pos + this.#len + len > CHUNK_SIZE) return false;
    return this.#open(this.pos + this.#len);
  }

  #open(pos: number): boolean {
    const page = this.pages[Math.floor((pos - this.pos) / this.#pageSize)];
    return page === undefined || page.state === 'open';
  }

  overlaps(pos: number, len: number): boolean {
    return pos < this.pos + this.#len && this.pos < pos + len;
  }

  put(pos: number, data: Buffer): void {
    let at = pos - this.pos;
    let from = 0;
    while (from < data.length) {
      const k = Math.floor(at / this.#pageSize);
      const inPage = at - k * this.#pageSize;
      const n = Math.min(data.length - from, this.#pageSize - inPage);
      const buffer = this.#room(k, inPage + n);
      data.copy(buffer, inPage, from, from + n);
      at += n;
      from += n;
    }
    this.#len = Math.max(this.#len, at);
  }

  /** The buffer of page k, grown to hold `bytes`. Later pages of a run start at full size, so that they never grow. */
  #room(k: number, bytes: number): Buffer {
    let page = this.pages[k];
    if (page === undefined) {
      page = { buffer: this.#slabs.take(k > 0 ? this.#pageSize : bytes), length: 0, state: 'open', entry: undefined };
      this.pages[k] = page;
    }
    let buffer = page.buffer ?? this.#slabs.take(bytes);
    if (buffer.length < bytes) {
      const grown = this.#slabs.take(bytes);
      buffer.copy(grown, 0, 0, page.length);
      this.#slabs.give(buffer);
      buffer = grown;
    }
    page.buffer = buffer;
    page.length = Math.max(page.length, bytes);
    return buffer;
  }

  freePage(k: number): void {
    const page = this.pages[k];
    if (page?.buffer === undefined) return;
    this.#slabs.give(page.buffer);
    page.buffer = undefined;
  }

  freeAll(): void {
    for (let k = 0; k < this.pages.length; k++) this.freePage(k);
  }

  /** The slice's id, asked for once: its pages share it. */
  async identify(newId: () => Promise<SliceId>): Promise<SliceId> {
    this.#identity ??= newId();
    this.id = await this.#identity;
    return this.id;
  }

  /** Every page is in the store (freezing sends the last ones). */
  get ready(): boolean {
    return this.frozen && this.error === undefined && this.inFlight === 0;
  }

  /** It failed, and nothing uses its buffers any more. */
  get droppable(): boolean {
    return this.error !== undefined && this.inFlight === 0;
  }

  commit(): SliceCommit {
    const ledger = this.pages.flatMap((page) => (page.entry === undefined ? [] : [page.entry]));
    const slice = { pos: this.pos, id: this.id ?? 0n, size: this.#len, off: 0, len: this.#len };
    return { indx: this.indx, slice, ledger, mtime: this.mtime };
  }
}
