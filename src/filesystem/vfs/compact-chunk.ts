// Compacts one chunk: reads what its records show, writes that as the pages of one new slice, and has the metadata put it
// in their place. Whatever happens on the way, the chunk shows the same; pages that came to nothing are taken away.
import { fail, hasCode } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { counter } from '../../base/metrics.ts';
import { KiB, MiB } from '../../base/units.ts';
import type { Ino, LedgerEntry, SliceId } from '../../base/words.ts';
import type { CompactionMeta } from '../meta/compaction.ts';
import { type CompactionPlan, planCompaction } from '../meta/compaction-plan.ts';
import type { ChunkView } from '../meta/meta.ts';
import { sameSlices } from '../meta/slices.ts';
import type { Slice } from '../meta/types.ts';
import { pageCount, pageLength, pagesUnder } from '../page/geometry.ts';
import type { PagePlace, PageStore } from '../page/page-store.ts';

/** New pages of one compaction at a time: so many bytes, */
const IN_FLIGHT_BYTES = 8 * MiB;
/** and no more than this, for each waits for the pages below it. */
const MAX_IN_FLIGHT = 4;
/** Old pages fetched for one new page at a time, within as many bytes again. */
const READS_AT_ONCE = 16;
/** Compactions of others in a row that came before ours. */
const MAX_LOOKS = 10;
/** Larger pages are sealed on codec threads, which see shared memory without a copy. */
const SHARED_ABOVE = 64 * KiB;

const compacted = counter('pageseal_compacted_chunks_total', 'Chunks whose records were replaced by one');

export interface CompactionParts {
  readonly meta: CompactionMeta;
  readonly pages: PageStore;
  readonly log: Log;
  /** After the commit, before the old pages go. */
  readonly onReplaced?: (ino: Ino, indx: number) => void;
}

/**
 * done: so many records were replaced; `more` than one plan takes were there. nothing: there was nothing to win. changed: somebody else did it first, or the file is
 * gone.
 */
export type Compacted =
  | { readonly kind: 'done'; readonly records: number; readonly more: boolean }
  | { readonly kind: 'nothing'; readonly records: number }
  | { readonly kind: 'changed' };

/** Rejects what reading and writing pages reject with, and `cancelled`; the chunk is as it was then. */
export async function compactChunk(
  parts: CompactionParts,
  ino: Ino,
  indx: number,
  signal: AbortSignal,
): Promise<Compacted> {
  let before: readonly Slice[] | undefined;
  for (let look = 1; ; look++) {
    const view = await readChunk(parts, ino, indx);
    if (view === undefined) return { kind: 'changed' };
    const plan = planCompaction(view.slices);
    if (plan === undefined) return { kind: 'nothing', records: view.slices.length };
    // Another client's compaction may take pages away before they are read, and then again the next ones.
    const mayBeGone = look < MAX_LOOKS && (before === undefined || !sameSlices(before, view.slices));
    try {
      const id = await parts.meta.newSliceId();
      const more = view.slices.length > plan.records.length;
      return await replace(parts, { ino, indx, plan, ledger: byPage(view), more, mayBeGone, id, signal });
    } catch (thrown) {
      if (!mayBeGone || !hasCode(thrown, 'object-missing')) throw thrown;
      before = view.slices;
    }
  }
}

const byPage = ({ ledger }: ChunkView): ReadonlyMap<string, LedgerEntry> =>
  new Map(ledger.map((entry) => [`${entry.sliceId}_${entry.indx}`, entry]));

async function readChunk({ meta }: CompactionParts, ino: Ino, indx: number): Promise<ChunkView | undefined> {
  try {
    return await meta.readChunk(ino, indx);
  } catch (thrown) {
    if (hasCode(thrown, 'ENOENT')) return undefined;
    throw thrown;
  }
}

interface Task {
  readonly ino: Ino;
  readonly indx: number;
  readonly plan: CompactionPlan;
  readonly ledger: ReadonlyMap<string, LedgerEntry>;
  readonly more: boolean;
  /** A missing page is no loss yet: the chunk is looked at again. */
  readonly mayBeGone: boolean;
  readonly id: SliceId;
  readonly signal: AbortSignal;
}

async function replace(parts: CompactionParts, task: Task): Promise<Compacted> {
  const { meta, log } = parts;
  const { ino, indx, plan, id } = task;
  try {
    const ledger = await writePages(parts, task);
    const old = await meta.replaceRecords({ ino, indx, plan, id, ledger });
    if (old !== undefined) {
      compacted.inc();
      parts.onReplaced?.(ino, indx);
      await meta.removeReplaced(old).catch((thrown: unknown) => {
        log.warn('slices that were replaced are left to the hourly job', { ino, reason: String(thrown) });
      });
      return { kind: 'done', records: plan.records.length - plan.kept, more: task.more };
    }
  } catch (thrown) {
    await abandon(parts, task);
    throw thrown;
  }
  await abandon(parts, task);
  return { kind: 'changed' };
}

async function abandon({ meta, log }: CompactionParts, { id, plan }: Task): Promise<void> {
  await meta.abandonSlice({ id, size: plan.size }).catch((thrown: unknown) => {
    log.debug('pages of a compaction that failed stay for gc', { slice: id, reason: String(thrown) });
  });
}

/** Settles when nothing is under way any more, so that what was written can be taken away. */
async function writePages(parts: CompactionParts, task: Task): Promise<LedgerEntry[]> {
  const { pageSize } = parts.pages;
  const count = pageCount(task.plan.size, pageSize);
  const bytes = Math.min(pageSize, task.plan.size);
  const atOnce = Math.min(count, MAX_IN_FLIGHT, Math.max(1, Math.floor(IN_FLIGHT_BYTES / bytes)));
  const entries: (LedgerEntry | undefined)[] = new Array(count).fill(undefined);
  let next = 0;
  let failed = false;
  const work = async (): Promise<void> => {
    const buffer = bytes > SHARED_ABOVE ? Buffer.from(new SharedArrayBuffer(bytes)) : Buffer.allocUnsafeSlow(bytes);
    try {
      for (let k = next++; k < count && !failed; k = next++) {
        if (task.signal.aborted) throw fail('cancelled', `compact chunk ${task.indx} of inode ${task.ino}: cancelled`);
        const length = pageLength(task.plan.size, k, pageSize);
        const plain = buffer.subarray(0, length);
        await fill(parts.pages, task, k * pageSize, plain);
        entries[k] = await parts.pages.write({ sliceId: task.id, indx: k, length }, plain, task.signal);
      }
    } catch (thrown) {
      failed = true;
      throw thrown;
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: atOnce }, work));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
  return entries.filter((entry) => entry !== undefined);
}

/** A run of bytes that goes into a new page. */
interface Copy {
  readonly place: PagePlace;
  readonly from: number;
  readonly bytes: number;
  readonly at: number;
}

/** What the records show from byte `from` of the new slice on. */
async function fill(pages: PageStore, task: Task, from: number, into: Buffer): Promise<void> {
  let group: Copy[] = [];
  let bytes = 0;
  for (const copy of copies(task.plan, from, into, pages.pageSize)) {
    if (group.length > 0 && (group.length >= READS_AT_ONCE || bytes + copy.place.length > IN_FLIGHT_BYTES)) {
      await copyAll(pages, task, group, into);
      [group, bytes] = [[], 0];
    }
    group.push(copy);
    bytes += copy.place.length;
  }
  await copyAll(pages, task, group, into);
}

/** Fills in the zeros, and answers where the rest comes from. */
function* copies({ pos, segments }: CompactionPlan, from: number, into: Buffer, pageSize: number): Generator<Copy> {
  const start = pos + from;
  for (const segment of segments) {
    const a = Math.max(start, segment.pos);
    const b = Math.min(start + into.length, segment.pos + segment.len);
    if (a >= b) continue;
    const { layer } = segment;
    if (layer === undefined || layer.id === 0n) {
      into.fill(0, a - start, b - start);
      continue;
    }
    let at = a - start;
    const off = layer.off + segment.skip + (a - segment.pos);
    for (const run of pagesUnder(layer.size, off, b - a, pageSize)) {
      const place = { sliceId: layer.id, indx: run.indx, length: run.length };
      yield { place, from: run.from, bytes: run.bytes, at };
      at += run.bytes;
    }
  }
}

async function copyAll(pages: PageStore, task: Task, group: readonly Copy[], into: Buffer): Promise<void> {
  // Held until they are copied: the cache may let go of a page at any moment.
  const done = pages.hold();
  try {
    await Promise.all(
      group.map(async ({ place, from, bytes, at }) => {
        const page = await pages.read(
          place,
          task.ledger.get(`${place.sliceId}_${place.indx}`),
          task.signal,
          task.mayBeGone,
        );
        page.copy(into, at, from, from + bytes);
      }),
    );
  } finally {
    done();
  }
}
