// The dirty data of one inode: takes writes into slices, sends pages up while writing goes on, commits slices in the order
// they were begun. Pages are in the store before the metadata names them; what fails is dropped, reported and logged.
import { nowNs } from '../../base/clock.ts';
import { FsError, hasCode } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { counter } from '../../base/metrics.ts';
import type { Mutex } from '../../base/mutex.ts';
import type { Caller, Ino } from '../../base/words.ts';
import type { ChunkGrowth, Meta } from '../meta/meta.ts';
import { chunkOf, offsetOf, posInChunk } from '../meta/position.ts';
import { type Attr, CHUNK_SIZE } from '../meta/types.ts';
import type { PageStore } from '../page/page-store.ts';
import type { Compactions } from './compactions.ts';
import type { DirtyFile, DirtyFiles } from './dirty-files.ts';
import { DirtySlice } from './dirty-slice.ts';
import type { UncommittedMarks } from './marks.ts';
import type { Slabs } from './slabs.ts';

/** Slices of one chunk that still take bytes: some writers keep a few positions going (mkfs, databases, torrents). */
const OPEN_SLICES = 4;
/** Dirty slices of one inode; a writer of small pieces waits beyond it. Bounds the work of reads over dirty data. */
const MAX_SLICES = 256;
/** Slices in one commit: bounds the transaction. */
const MAX_COMMIT = 64;

const dropped = counter('pageseal_dropped_slices_total', 'Slices of acknowledged data that could not be written');

export interface WriterParts {
  readonly meta: Meta;
  readonly pages: PageStore;
  readonly slabs: Slabs;
  readonly dirtyFiles: DirtyFiles;
  readonly marks: UncommittedMarks;
  readonly log: Log;
  /** Absent where chunks are left as they are. */
  readonly compactions?: Compactions | undefined;
}

/** What the writer tells its inode. */
export interface WriterOwner {
  readonly ino: Ino;
  /** Serialises everything that changes the inode's contents in metadata. */
  readonly order: Mutex;
  /** Whether the mark of this inode stays although nothing of ours is dirty (a predecessor's loss not yet told). */
  readonly keepsMark: boolean;
  committed(attr: Attr, slices: readonly DirtySlice[]): void;
  failed(error: FsError): void;
  /** The last dirty byte is gone. */
  clean(): void;
}

export class Writer implements DirtyFile {
  readonly #parts: WriterParts;
  readonly #owner: WriterOwner;
  readonly #slices: DirtySlice[] = [];
  #pumping = false;
  #mtime = 0n;
  /** Newest data committed since the file was last clean. */
  #committed = 0n;

  constructor(parts: WriterParts, owner: WriterOwner) {
    this.#parts = parts;
    this.#owner = owner;
  }

  get dirty(): boolean {
    return this.#slices.length > 0;
  }

  /** Time of the newest dirty byte. */
  get mtime(): bigint {
    return this.#mtime;
  }

  /** One past the last dirty byte of the file; 0 when clean. */
  get end(): bigint {
    let [indx, end] = [0, 0];
    for (const slice of this.#slices) {
      const to = slice.pos + slice.len;
      if (slice.indx < indx || (slice.indx === indx && to <= end)) continue;
      indx = slice.indx;
      end = to;
    }
    return offsetOf(indx, end);
  }

  /** Dirty slices of a chunk, oldest first. */
  slicesOf(indx: number): DirtySlice[] {
    return this.#slices.length === 0 ? [] : this.#slices.filter((slice) => slice.indx === indx);
  }

  /** Indexes of chunks with dirty data, in no order and repeated. */
  chunks(): number[] {
    return this.#slices.map((slice) => slice.indx);
  }

  /** Takes a copy of `data` now; the promise (if any) is to be awaited before the write is answered. */
  write(caller: Caller, offset: bigint, data: Buffer): Promise<unknown> | undefined {
    if (data.length === 0) return undefined;
    if (this.#slices.length === 0) {
      this.#parts.marks.mark(this.#owner.ino);
      this.#parts.dirtyFiles.add(this);
    }
    this.#mtime = nowNs();
    let indx = chunkOf(offset);
    let pos = posInChunk(offset);
    for (let from = 0; from < data.length; indx++, pos = 0) {
      const n = Math.min(data.length - from, CHUNK_SIZE - pos);
      this.#put(caller, indx, pos, data.subarray(from, from + n));
      from += n;
    }
    return this.#backpressure();
  }

  #put(caller: Caller, indx: number, pos: number, data: Buffer): void {
    const { slabs, pages } = this.#parts;
    const now = Date.now();
    let slice = this.#writable(indx, pos, data.length);
    if (slice === undefined) {
      slice = new DirtySlice(indx, pos, caller, pages.pageSize, slabs, now);
      this.#slices.push(slice);
    }
    slice.put(pos, data);
    slice.touchedAt = now;
    slice.mtime = this.#mtime;
    this.#sendFull(slice);
    if (slice.pos + slice.len === CHUNK_SIZE) this.#freeze(slice);
  }

  /** The slice that may take these bytes: nothing newer may lie over them, since slices paint in their order. */
  #writable(indx: number, pos: number, len: number): DirtySlice | undefined {
    let seen = 0;
    for (let i = this.#slices.length - 1; i >= 0; i--) {
      const slice = this.#slices[i];
      if (slice === undefined || slice.indx !== indx) continue;
      if (slice.takes(pos)) return slice;
      if (slice.overlaps(pos, len)) return undefined;
      if (!slice.frozen && ++seen >= OPEN_SLICES) this.#freeze(slice);
    }
    return undefined;
  }

  #backpressure(): Promise<unknown> | undefined {
    const room = this.#parts.dirtyFiles.room();
    if (this.#slices.length <= MAX_SLICES) return room;
    const oldest = this.#slices[0];
    const many = this.#slices.slice(0, MAX_SLICES / 2);
    for (const slice of many) this.#freeze(slice);
    return Promise.all([room, oldest?.done]);
  }

  freezeAll(): void {
    for (const slice of [...this.#slices]) this.#freeze(slice);
  }

  freezeOld(idleSince: number, begunBefore: number): void {
    for (const slice of [...this.#slices])
      if (slice.touchedAt <= idleSince || slice.startedAt <= begunBefore) this.#freeze(slice);
  }

  /** Resolves when everything written so far is committed or dropped (the owner has heard of that). */
  async drain(): Promise<void> {
    const last = this.#slices.at(-1);
    if (last === undefined) return;
    this.freezeAll();
    await last.done;
  }

  #freeze(slice: DirtySlice): void {
    if (slice.frozen) return;
    slice.frozen = true;
    for (let k = 0; k < slice.pages.length; k++) if (slice.pages[k]?.state === 'open') this.#send(slice, k);
    this.#pump();
  }

  #sendFull(slice: DirtySlice): void {
    for (let k = slice.pages.length - 1; k >= 0; k--) {
      const page = slice.pages[k];
      if (page === undefined || page.state !== 'open') return;
      if (page.length === this.#parts.pages.pageSize) this.#send(slice, k);
    }
  }

  #send(slice: DirtySlice, k: number): void {
    const page = slice.pages[k];
    if (page?.buffer === undefined) return;
    page.state = 'sealed';
    slice.inFlight++;
    const { buffer, length } = page;
    const upload = async (): Promise<void> => {
      if (slice.error !== undefined) return;
      const sliceId = await slice.identify(() => this.#parts.meta.newSliceId());
      page.entry = await this.#parts.pages.write({ sliceId, indx: k, length }, buffer.subarray(0, length));
      page.state = 'stored';
    };
    // How many go up at once is the page store's to bound; what waits for it holds slabs, and those are bounded.
    this.#parts.slabs.leaving += buffer.length;
    void upload()
      .catch((thrown: unknown) => {
        slice.error ??= FsError.from(thrown, `upload of page ${k} of inode ${this.#owner.ino}`);
        slice.frozen = true;
      })
      .then(() => {
        slice.inFlight--;
        this.#parts.slabs.leaving -= buffer.length;
        slice.freePage(k);
        this.#pump();
      });
  }

  #pump(): void {
    if (this.#pumping) return;
    const head = this.#slices[0];
    if (head === undefined || !(head.ready || head.droppable)) return;
    this.#pumping = true;
    void this.#settle().finally(() => {
      this.#pumping = false;
      this.#pump();
    });
  }

  /** Commits or drops what stands at the head of the line. Never rejects. */
  async #settle(): Promise<void> {
    const batch: DirtySlice[] = [];
    for (const slice of this.#slices) {
      if (!slice.ready || batch.length >= MAX_COMMIT) break;
      batch.push(slice);
    }
    if (batch.length === 0) return this.#drop(this.#slices[0]);
    const caller = batch[0]?.caller;
    if (caller === undefined) return;
    await this.#owner.order.run(() => this.#commit(caller, batch));
  }

  async #commit(caller: Caller, batch: readonly DirtySlice[]): Promise<void> {
    let attr: Attr;
    const chunks: ChunkGrowth[] = [];
    // A slice may have taken bytes after a later one had its last: the file's time must not go back.
    let mtime = this.#committed;
    for (const slice of batch) if (slice.mtime > mtime) mtime = slice.mtime;
    try {
      const commits = batch.map((slice) => ({ ...slice.commit(), mtime }));
      attr = await this.#parts.meta.commitSlices(caller, this.#owner.ino, commits, (chunk) => chunks.push(chunk));
    } catch (thrown) {
      const error = FsError.from(thrown, `commit of inode ${this.#owner.ino}`);
      for (const slice of batch) {
        slice.error = error;
        this.#drop(slice);
      }
      return;
    }
    this.#committed = mtime;
    this.#slices.splice(0, batch.length);
    this.#owner.committed(attr, batch);
    for (const slice of batch) slice.finish();
    this.#afterRemoval();
    // The writers of these slices have their answer; those of the next ones wait if a chunk has far too many records.
    for (const { indx, records, added } of chunks)
      await this.#parts.compactions?.appended(this.#owner.ino, indx, records, added);
  }

  #drop(slice: DirtySlice | undefined): void {
    if (slice?.error === undefined) return;
    const { ino } = this.#owner;
    this.#slices.splice(this.#slices.indexOf(slice), 1);
    slice.freeAll();
    dropped.inc();
    this.#parts.log.error('data lost: a slice could not be written', {
      inode: ino,
      offset: offsetOf(slice.indx, slice.pos),
      bytes: slice.len,
      code: slice.error.code,
      error: slice.error.message,
    });
    this.#discard(slice);
    this.#owner.failed(slice.error);
    slice.finish();
    this.#afterRemoval();
  }

  /** Takes away the pages that went up, where it is certain that no record names them; gc finds what stays. */
  #discard(slice: DirtySlice): void {
    const committed = slice.pages.every((page) => page.state === 'stored');
    if (slice.id === undefined || (committed && !hasCode(slice.error, 'ENOENT', 'ENOSPC', 'EDQUOT'))) return;
    const { id, len } = slice;
    this.#parts.pages.remove(id, len).catch((thrown: unknown) => {
      this.#parts.log.debug('pages of a failed slice stay for gc', { slice: id, error: FsError.from(thrown).message });
    });
  }

  #afterRemoval(): void {
    if (this.#slices.length > 0) return;
    this.#committed = 0n;
    this.#parts.dirtyFiles.remove(this);
    if (!this.#owner.keepsMark) this.#parts.marks.clear(this.#owner.ino);
    this.#owner.clean();
  }
}
