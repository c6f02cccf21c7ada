// What metadata says about the chunks of one open inode: which slice shows where, and the ledger rows. Cached while the
// inode is open; own commits are added, what others did is seen when the inode is opened anew or its attributes differ.
import type { Mutex } from '../../base/mutex.ts';
import type { Ino, LedgerEntry, SliceId } from '../../base/words.ts';
import type { ChunkView, Meta, SliceCommit } from '../meta/meta.ts';
import { paint, type Segment, segmentAt } from '../meta/overlap.ts';
import { sameSlices } from '../meta/slices.ts';
import { CHUNK_SIZE, type Slice } from '../meta/types.ts';

/** Chunks kept per inode (4 GiB of a file): a view with 64 KiB pages takes some 300 KB. */
const MAX_VIEWS = 64;
/** Reads of a chunk that is being committed to again and again: after so many, commits wait for the read. */
const OPTIMISTIC_LOADS = 3;

export class View {
  #slices: readonly Slice[];
  readonly #ledger = new Map<SliceId, LedgerEntry[]>();
  #segments: Segment<Slice>[] | undefined;

  constructor(view: ChunkView) {
    this.#slices = view.slices;
    this.#enter(view.ledger);
  }

  #enter(entries: readonly LedgerEntry[]): void {
    for (const entry of entries) {
      const known = this.#ledger.get(entry.sliceId);
      if (known === undefined) {
        const list: LedgerEntry[] = [];
        list[entry.indx] = entry;
        this.#ledger.set(entry.sliceId, list);
      } else known[entry.indx] = entry;
    }
  }

  /** Whether both came from the same records. */
  sameAs(other: View): boolean {
    return sameSlices(this.#slices, other.#slices);
  }

  get records(): number {
    return this.#slices.length;
  }

  append(commit: SliceCommit): void {
    this.#slices = [...this.#slices, commit.slice];
    this.#segments = undefined;
    this.#enter(commit.ledger);
  }

  entry(id: SliceId, indx: number): LedgerEntry | undefined {
    return this.#ledger.get(id)?.[indx];
  }

  /** Calls `each` for the segments of [from, to) in order; holes have no layer. */
  visit(from: number, to: number, each: (slice: Slice | undefined, skip: number, len: number) => void): void {
    this.#segments ??= paint(this.#slices, 0, CHUNK_SIZE);
    const segments = this.#segments;
    let pos = from;
    for (let i = segmentAt(segments, from); pos < to; i++) {
      const segment = segments[i];
      if (segment === undefined) return;
      const end = Math.min(to, segment.pos + segment.len);
      const slice = segment.layer?.id === 0n ? undefined : segment.layer;
      each(slice, segment.skip + (pos - segment.pos), end - pos);
      pos = end;
    }
  }
}

export class ChunkViews {
  readonly #ino: Ino;
  readonly #meta: Meta;
  readonly #order: Mutex;
  readonly #views = new Map<number, View>();
  readonly #loading = new Map<number, Promise<View>>();
  /** Counts everything that makes a view being read out of date. */
  #generation = 0;
  readonly #loaded: (indx: number, records: number) => void;

  /** `loaded` hears how many records a chunk has when it is read. */
  constructor(ino: Ino, meta: Meta, order: Mutex, loaded: (indx: number, records: number) => void) {
    this.#ino = ino;
    this.#meta = meta;
    this.#order = order;
    this.#loaded = loaded;
  }

  get(indx: number): View | undefined {
    return this.#views.get(indx);
  }

  /** The caller uses the answer in the same turn: later it may lack what has been committed meanwhile. */
  load(indx: number): Promise<View> {
    const known = this.#loading.get(indx);
    if (known !== undefined) return known;
    const loading = this.#load(indx).finally(() => {
      if (this.#loading.get(indx) === loading) this.#loading.delete(indx);
    });
    this.#loading.set(indx, loading);
    return loading;
  }

  async #load(indx: number): Promise<View> {
    for (let i = 0; i < OPTIMISTIC_LOADS; i++) {
      const generation = this.#generation;
      const view = new View(await this.#meta.readChunk(this.#ino, indx));
      if (generation === this.#generation) return this.#keep(indx, view);
    }
    return this.#order.run(async () => this.#keep(indx, new View(await this.#meta.readChunk(this.#ino, indx))));
  }

  #keep(indx: number, view: View): View {
    this.#views.set(indx, view);
    this.#loaded(indx, view.records);
    for (const oldest of this.#views.keys()) {
      if (this.#views.size <= MAX_VIEWS) break;
      this.#views.delete(oldest);
    }
    return view;
  }

  /** After own commits. */
  append(commits: readonly SliceCommit[]): void {
    this.#generation++;
    for (const commit of commits) this.#views.get(commit.indx)?.append(commit);
  }

  /** What is there, and what is being read: either may be from before the change. */
  drop(indx: number): void {
    this.#generation++;
    this.#views.delete(indx);
    this.#loading.delete(indx);
  }

  dropAll(): void {
    this.#generation++;
    this.#views.clear();
    this.#loading.clear();
  }
}
