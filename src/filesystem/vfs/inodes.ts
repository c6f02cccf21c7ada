// Inodes with open files or dirty data: what this client knows of each, kept right while own commits and answers of the
// metadata cross each other.
import { later } from '../../base/clock.ts';
import { type FsError, fail } from '../../base/errors.ts';
import { Mutex } from '../../base/mutex.ts';
import type { Ino } from '../../base/words.ts';
import type { Meta, SliceCommit } from '../meta/meta.ts';
import { larger } from '../meta/position.ts';
import type { Attr } from '../meta/types.ts';
import { ChunkViews } from './chunk-views.ts';
import { Writer, type WriterOwner, type WriterParts } from './writer.ts';

/** Inodes whose times at the last close are remembered, so that the kernel may keep its pages: some 2 MB. */
const MAX_REMEMBERED = 16_384;

interface Times {
  readonly mtime: bigint;
  readonly ctime: bigint;
}

const sameTimes = (a: Times, b: Times): boolean => a.mtime === b.mtime && a.ctime === b.ctime;

export class OpenInode implements WriterOwner {
  readonly ino: Ino;
  readonly order = new Mutex();
  readonly views: ChunkViews;
  readonly writer: Writer;
  /** Attributes in metadata as this client knows them. */
  known: Attr;
  handles = 0;
  /** Number of errors so far; the last one is what handles are told. */
  errors = 0;
  lastError: FsError | undefined;
  /** `known` came from an own change: another client's change just before it may be hidden behind it. */
  mixed = false;
  /** When `known` was last set by an own change, in the clock of `Inodes.now`. */
  adoptedAt = 0;
  readonly #table: Inodes;

  constructor(table: Inodes, attr: Attr, meta: Meta, parts: WriterParts) {
    this.#table = table;
    this.ino = attr.ino;
    this.known = attr;
    this.views = new ChunkViews(attr.ino, meta, this.order, (indx, records) =>
      parts.compactions?.seen(attr.ino, indx, records),
    );
    this.writer = new Writer(parts, this);
  }

  /** Length as every reader of this client sees it. */
  get length(): bigint {
    return this.writer.dirty ? larger(this.known.length, this.writer.end) : this.known.length;
  }

  /** A loss may not have been told when another process takes over: it tells the handles that are open then. */
  get keepsMark(): boolean {
    return this.#table.lost.has(this.ino) || (this.errors > 0 && this.handles > 0);
  }

  /** The answer of an own change to this inode. */
  adopt(attr: Attr): void {
    this.known = attr;
    this.mixed = true;
    this.adoptedAt = this.#table.tick();
  }

  /** The same, of a change to its contents other than a commit. */
  adoptReshaped(attr: Attr): void {
    this.adopt(attr);
    this.views.dropAll();
  }

  /** An answer that was asked for at `since`; older than an own change it counts for nothing. */
  observe(attr: Attr, since: number): void {
    if (this.adoptedAt > since) return;
    if (!sameTimes(attr, this.known) || attr.length !== this.known.length) {
      this.views.dropAll();
      this.mixed = true;
    }
    this.known = attr;
  }

  /** The same, where what is known must not be relied on; answers whether the kernel's pages may be old. */
  lookAnew(attr: Attr, since: number): boolean {
    const before = this.known;
    this.observe(attr, since);
    const changed = this.mixed || !sameTimes(before, this.known) || before.length !== this.known.length;
    if (changed) this.views.dropAll();
    return changed;
  }

  committed(attr: Attr, commits: readonly SliceCommit[]): void {
    this.views.append(commits);
    this.adopt(attr);
  }

  moved(attr: Attr): void {
    this.adoptReshaped(attr);
    this.#table.onStale(this.ino);
  }

  /** The kernel's pages have what was lost. And a commit that was sent and not answered may have been done. */
  failed(error: FsError): void {
    this.errors++;
    this.lastError = fail(error.code, error.message, { cause: error });
    this.#table.losses++;
    this.#table.lastLoss = this.lastError;
    this.views.dropAll();
    this.mixed = true;
    this.#table.onStale(this.ino);
  }

  clean(): void {
    this.#table.dropIfUnused(this);
  }
}

export class Inodes {
  /** The kernel's pages of an inode show what is not so. */
  onStale: (ino: Ino) => void = () => undefined;
  /** Inodes whose data a predecessor lost, until every handle that may be concerned is gone. */
  readonly lost: Set<Ino>;
  /** Of all inodes of this process so far. */
  losses = 0;
  lastLoss: FsError | undefined;
  readonly #open = new Map<Ino, OpenInode>();
  readonly #atClose = new Map<Ino, Times>();
  readonly #meta: Meta;
  readonly #parts: WriterParts;
  #clock = 0;

  constructor(meta: Meta, parts: WriterParts, lost: Iterable<Ino>) {
    this.#meta = meta;
    this.#parts = parts;
    this.lost = new Set(lost);
  }

  /** To be taken before metadata is asked for attributes that are then given to `entry` or `acquire`. */
  get now(): number {
    return this.#clock;
  }

  tick(): number {
    return ++this.#clock;
  }

  get(ino: Ino): OpenInode | undefined {
    return this.#open.get(ino);
  }

  values(): Iterable<OpenInode> {
    return this.#open.values();
  }

  /** One handle more. Answers whether the kernel may keep the pages it has. */
  acquire(attr: Attr, since: number): { readonly inode: OpenInode; readonly keepCache: boolean } {
    const inode = this.#open.get(attr.ino);
    if (inode === undefined) {
      const fresh = new OpenInode(this, attr, this.#meta, this.#parts);
      fresh.handles = 1;
      this.#open.set(attr.ino, fresh);
      const before = this.#atClose.get(attr.ino);
      return { inode: fresh, keepCache: before !== undefined && sameTimes(before, attr) };
    }
    inode.handles++;
    inode.observe(attr, since);
    const keepCache = !inode.mixed;
    if (inode.adoptedAt <= since && !inode.writer.dirty) {
      if (inode.mixed) inode.views.dropAll();
      inode.mixed = false;
    }
    return { inode, keepCache };
  }

  release(inode: OpenInode): void {
    inode.handles--;
    this.dropIfUnused(inode);
  }

  dropIfUnused(inode: OpenInode): void {
    if (inode.handles > 0 || inode.writer.dirty || this.#open.get(inode.ino) !== inode) return;
    this.#open.delete(inode.ino);
    this.#atClose.delete(inode.ino);
    if (inode.errors > 0 && !inode.keepsMark) this.#parts.marks.clear(inode.ino);
    if (inode.mixed) return;
    this.#atClose.set(inode.ino, { mtime: inode.known.mtime, ctime: inode.known.ctime });
    for (const oldest of this.#atClose.keys()) {
      if (this.#atClose.size <= MAX_REMEMBERED) break;
      this.#atClose.delete(oldest);
    }
  }

  /** Attributes as this client's users have to see them: dirty data counts. */
  current(attr: Attr, since: number): Attr {
    const inode = this.#open.get(attr.ino);
    if (inode === undefined) return attr;
    inode.observe(attr, since);
    const { known, writer } = inode;
    if (!writer.dirty) return known;
    const { mtime } = writer;
    return { ...known, length: inode.length, mtime, ctime: later(mtime, known.ctime) };
  }
}
