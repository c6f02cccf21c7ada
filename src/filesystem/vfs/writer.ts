// The dirty data of one inode: takes writes into slices, sends pages up while writing goes on, commits slices in the order
// they were begun. Pages are in the store before the metadata names them; what fails is dropped, reported and logged.
import { nowNs } from '../../base/clock.ts';
import { FsError, fail, hasCode } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { counter } from '../../base/metrics.ts';
import type { Mutex } from '../../base/mutex.ts';
import type { Caller, Ino } from '../../base/words.ts';
import type { Appended, ChunkGrowth, Meta, SliceCommit } from '../meta/meta.ts';
import { chunkOf, larger, posInChunk } from '../meta/position.ts';
import { type Attr, CHUNK_SIZE } from '../meta/types.ts';
import type { PageStore } from '../page/page-store.ts';
import type { Compactions } from './compactions.ts';
import type { DirtyFile, DirtyFiles } from './dirty-files.ts';
import { DirtySlice, type Where } from './dirty-slice.ts';
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
  committed(attr: Attr, commits: readonly SliceCommit[]): void;
  /** Appended bytes came to lie elsewhere than readers of this mount were shown, or it is not known where. */
  moved(attr: Attr): void;
  failed(error: FsError): void;
  /** The last dirty byte is gone. */
  clean(): void;
}

/** A slice where it shows in one chunk; it may begin before the chunk. */
export interface DirtyLayer {
  readonly pos: number;
  readonly len: number;
  readonly slice: DirtySlice;
}

/** Whether the bytes lie where this client showed them. */
function landedAt(records: readonly SliceCommit[] | undefined, batch: readonly DirtySlice[]): boolean {
  if (records === undefined) return false;
  return batch.every((slice) =>
    records.some(
      ({ indx, slice: { id, pos, off } }) => id === slice.id && off === 0 && indx === slice.indx && pos === slice.pos,
    ),
  );
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
    let end = 0n;
    for (const slice of this.#slices) end = larger(end, slice.end);
    return end;
  }

  /** What is dirty in a chunk, oldest first. */
  layersOf(indx: number): DirtyLayer[] {
    const layers: DirtyLayer[] = [];
    for (const slice of this.#slices) {
      const { pos, len } = slice;
      if (slice.indx === indx) layers.push({ pos, len, slice });
      else if (slice.indx + 1 === indx && pos + len > CHUNK_SIZE) layers.push({ pos: pos - CHUNK_SIZE, len, slice });
    }
    return layers;
  }

  /** Indexes of chunks with dirty data, in no order and repeated. */
  chunks(): number[] {
    return this.#slices.flatMap(({ indx, pos, len }) => (pos + len > CHUNK_SIZE ? [indx, indx + 1] : [indx]));
  }

  /** Takes a copy of `data` now; the promise (if any) is to be awaited before the write is answered. */
  write(caller: Caller, offset: bigint, data: Buffer): Promise<unknown> | undefined {
    if (data.length === 0) return undefined;
    this.#begin();
    let indx = chunkOf(offset);
    let pos = posInChunk(offset);
    for (let from = 0; from < data.length; indx++, pos = 0) {
      const n = Math.min(data.length - from, CHUNK_SIZE - pos);
      this.#put(caller, indx, pos, data.subarray(from, from + n));
      from += n;
    }
    return this.#backpressure();
  }

  /**
   * The same at the end of the file, which for this client is at `offset`. Each call's bytes stay together in one slice, also
   * across the end of a chunk, for whoever else appends to the file at this time: see commitAppended.
   */
  append(caller: Caller, offset: bigint, data: Buffer): Promise<unknown> | undefined {
    if (data.length === 0) return undefined;
    if (data.length > CHUNK_SIZE) throw fail('EINVAL', `append ${data.length} bytes in one piece`);
    this.#begin();
    const open = this.#slices.findLast((slice) => slice.appended);
    const slice = open?.takesAppended(offset, data.length)
      ? open
      : this.#add(caller, { indx: chunkOf(offset), pos: posInChunk(offset), appended: true });
    if (open !== undefined && open !== slice) this.#freeze(open);
    this.#fill(slice, slice.pos + slice.len, data);
    return this.#backpressure();
  }

  #begin(): void {
    if (this.#slices.length === 0) {
      this.#parts.marks.mark(this.#owner.ino);
      this.#parts.dirtyFiles.add(this);
    }
    this.#mtime = nowNs();
  }

  #put(caller: Caller, indx: number, pos: number, data: Buffer): void {
    const slice = this.#writable(indx, pos, data.length) ?? this.#add(caller, { indx, pos, appended: false });
    this.#fill(slice, pos, data);
  }

  #add(caller: Caller, at: Where): DirtySlice {
    const { slabs, pages } = this.#parts;
    const slice = new DirtySlice(at, caller, pages.pageSize, slabs, Date.now());
    this.#slices.push(slice);
    return slice;
  }

  #fill(slice: DirtySlice, pos: number, data: Buffer): void {
    slice.put(pos, data);
    slice.touchedAt = Date.now();
    slice.mtime = this.#mtime;
    this.#sendFull(slice);
    if (slice.pos + slice.len >= CHUNK_SIZE) this.#freeze(slice);
  }

  /** The slice that may take these bytes: nothing newer may lie over them, since slices paint in their order. */
  #writable(indx: number, pos: number, len: number): DirtySlice | undefined {
    let seen = 0;
    for (let i = this.#slices.length - 1; i >= 0; i--) {
      const slice = this.#slices[i];
      if (slice === undefined) continue;
      if (slice.indx + 1 === indx && slice.overlaps(pos + CHUNK_SIZE, len)) return undefined;
      if (slice.indx !== indx) continue;
      if (slice.takes(pos, len)) return slice;
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

  /** What is dirty may not be committed any more. */
  abandon(error: FsError): void {
    for (const slice of this.#slices) {
      slice.error ??= error;
      slice.frozen = true;
    }
    this.#pump();
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
      const last = batch.at(-1);
      if (last !== undefined && last.appended !== slice.appended) break;
      batch.push(slice);
    }
    if (batch.length === 0) return this.#drop(this.#slices[0]);
    const caller = batch[0]?.caller;
    if (caller === undefined) return;
    await this.#owner.order.run(() => this.#commit(caller, batch));
  }

  async #commit(caller: Caller, batch: readonly DirtySlice[]): Promise<void> {
    let done: Appended;
    const chunks: ChunkGrowth[] = [];
    // A slice may have taken bytes after a later one had its last: the file's time must not go back.
    let mtime = this.#committed;
    for (const slice of batch) if (slice.mtime > mtime) mtime = slice.mtime;
    try {
      const commits = batch.map((slice) => ({ ...slice.commit(), mtime }));
      const { meta } = this.#parts;
      const { ino } = this.#owner;
      const watcher = {
        check: (): void => {
          for (const { error } of batch) if (error !== undefined) throw error;
        },
        grown: (chunk: ChunkGrowth): void => {
          chunks.push(chunk);
        },
      };
      done = batch[0]?.appended
        ? await meta.commitAppended(ino, commits, watcher)
        : { attr: await meta.commitSlices(caller, ino, commits, watcher), records: commits };
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
    if (landedAt(done.records, batch)) this.#owner.committed(done.attr, done.records ?? []);
    else {
      this.#owner.moved(done.attr);
      this.#follow(done.attr.length);
    }
    for (const slice of batch) slice.finish();
    this.#afterRemoval();
    // The writers of these slices have their answer; those of the next ones wait if a chunk has far too many records.
    for (const { indx, records, added } of chunks)
      await this.#parts.compactions?.appended(this.#owner.ino, indx, records, added);
  }

  /** What is still to be appended goes behind the new end; the commit will look again. */
  #follow(length: bigint): void {
    let end = length;
    for (const slice of [...this.#slices]) {
      if (slice.appended) {
        this.#freeze(slice);
        slice.moveTo(end);
      }
      end = larger(end, slice.end);
    }
  }

  #drop(slice: DirtySlice | undefined): void {
    if (slice?.error === undefined) return;
    const { ino } = this.#owner;
    this.#slices.splice(this.#slices.indexOf(slice), 1);
    slice.freeAll();
    dropped.inc();
    this.#parts.log.error('data lost: a slice could not be written', {
      inode: ino,
      offset: slice.start,
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
