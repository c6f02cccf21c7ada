// Deletes the data of files that are gone: per chunk row one transaction that takes its references away, then the objects
// of slices nobody refers to, then their rows (spec 5.9). Every step may be repeated, by us after a crash or by any other
// client, so failures are logged and left to the next hourly job.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../../base/log.ts';
import type { SliceId } from '../../base/words.ts';
import { type Change, change, type Engine, type Op, query, read, write } from '../sql/op.ts';
import { chunkRow } from './chunk.ts';
import { bigintAt, bytesAt, numberAt } from './rows.ts';
import { type DeletedSlice, decodeDeletedSlices, decodeSlices } from './slices.ts';
import { nodeById } from './statements.ts';
import type { Ino } from './types.ts';

/** Removes the objects of a slice; missing ones are fine. Meta knows no store. */
export type RemoveSlice = (id: SliceId, size: number) => Promise<void>;

/** Files whose data is deleted at the same time: their transactions then share commits. */
const PARALLEL = 8;
/** Rows per look at a table. */
const PAGE = 1000n;
/** Files that wait in memory, some MB; of those beyond only the database knows. */
const MAX_WAITING = 16_384;
/** delfile rows are left to the client that unlinked for this long (spec 5.13). */
const GRACE_SECONDS = 3600n;
const ANY_TIME = 1n << 62n;
const POLL_MS = 200;
/** Stands among the running for the look at the database: no inode has this number. */
const REFILL = 0n;

export class DataDeletion {
  readonly #engine: Engine;
  readonly #log: Log;
  readonly #removeSlice: RemoveSlice;
  readonly #maxWaiting: number;
  readonly #waiting = new Set<Ino>();
  readonly #running = new Map<Ino, Promise<void>>();
  /** More files were deleted than there is room for; and how far the pass over the database is that looks for them. */
  #overflown = false;
  #passedTo: Ino | undefined;
  #stopped = false;

  constructor(engine: Engine, log: Log, removeSlice: RemoveSlice, maxWaiting = MAX_WAITING) {
    this.#engine = engine;
    this.#log = log;
    this.#removeSlice = removeSlice;
    this.#maxWaiting = maxWaiting;
  }

  /** In the background. Rows remember what is to be done, so what does not fit into memory's time is not lost. */
  start(ino: Ino): void {
    if (this.#stopped || this.#running.has(ino)) return;
    if (this.#waiting.size < this.#maxWaiting) this.#waiting.add(ino);
    else this.#overflown = true;
    this.#next();
  }

  /** What did not fit, and whatever else waits: doing it twice does no harm. */
  #refill(): void {
    if (this.#stopped || (this.#passedTo === undefined && !this.#overflown)) return;
    if (this.#passedTo === undefined) this.#overflown = false;
    const from = this.#passedTo ?? 0n;
    const more = this.#engine
      .view(() => waitingFiles(from, ANY_TIME))
      .then((inodes) => {
        this.#passedTo = inodes.length < PAGE ? undefined : inodes.at(-1);
        for (const ino of inodes) this.start(ino);
      })
      .catch((thrown: unknown) => {
        this.#passedTo = undefined;
        this.#log.warn('data of deleted files is left to the hourly job', { reason: String(thrown) });
      })
      .then(() => {
        this.#running.delete(REFILL);
        this.#next();
      });
    this.#running.set(REFILL, more);
  }

  /** Waits until nothing is under way or waiting. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.race(this.#running.values());
  }

  /** Waits for what is under way and waiting, but no longer than `timeoutMs`; then takes on nothing more. */
  async stop(timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (this.#running.size > 0 && performance.now() < deadline) await Promise.race(this.#running.values());
    this.#stopped = true;
    this.#waiting.clear();
    await Promise.all(this.#running.values());
  }

  #next(): void {
    for (const ino of this.#waiting) {
      if (this.#running.size >= PARALLEL) return;
      this.#waiting.delete(ino);
      const done = this.#deleteFile(ino)
        .catch((thrown: unknown) => {
          this.#log.warn('data of a deleted file is left to the hourly job', { ino, reason: String(thrown) });
        })
        .then(() => {
          this.#running.delete(ino);
          this.#next();
        });
      this.#running.set(ino, done);
    }
    if (this.#running.size === 0) this.#refill();
  }

  async #deleteFile(ino: Ino): Promise<void> {
    for (;;) {
      const indexes = await this.#engine.view(() => rowsToDelete(ino));
      if (indexes === undefined) {
        this.#log.error('inode has a node and a delfile row: its data is left alone', { ino });
        return;
      }
      if (indexes.length === 0) break;
      for (const indx of indexes) {
        if (this.#stopped) return;
        // Durable: a power cut must not bring references back whose objects are gone.
        const slices = await this.#engine.run(() => releaseChunk(ino, indx), { durable: true });
        await this.deleteUnreferenced(slices);
      }
    }
    await this.#engine.run(function* () {
      yield* write(change('DELETE FROM jfs_delfile WHERE inode = ?', ino));
    });
  }

  /** Of slices that lost a reference, those that lost their last one. */
  async deleteUnreferenced(slices: readonly DeletedSlice[]): Promise<void> {
    if (slices.length === 0) return;
    const gone = await this.#engine.view(function* () {
      const found = yield* read(...slices.map(({ id }) => unreferenced(id)));
      return found.flat();
    });
    await this.#deleteSlices(gone);
  }

  /** Objects first, rows after. */
  async #deleteSlices(slices: readonly DeletedSlice[]): Promise<void> {
    if (slices.length === 0) return;
    for (const { id, size } of slices) await this.#removeSlice(id, size);
    await this.#engine.run(function* () {
      yield* write(...slices.flatMap(({ id }) => forgetSlice(id)));
    });
  }

  /** Hourly: files whose client did not come to it, all of them unless `stopped`. */
  async deleteExpiredFiles(nowSeconds: bigint, stopped: () => boolean): Promise<void> {
    for (let after = 0n; !stopped(); ) {
      const inodes = await this.#engine.view(() => waitingFiles(after, nowSeconds - GRACE_SECONDS));
      for (const ino of inodes) this.start(ino);
      // A large file takes its time: whoever stops need not wait for it.
      while (this.#running.size > 0 && !stopped()) await Promise.race([...this.#running.values(), sleep(POLL_MS)]);
      after = inodes.at(-1) ?? 0n;
      if (inodes.length < PAGE) return;
    }
  }

  /** Every file that waits, however lately it was deleted. Rejects when one cannot be. */
  async deleteFilesNow(onDone: () => void): Promise<void> {
    for (let after = 0n; ; ) {
      const inodes = await this.#engine.view(() => waitingFiles(after, ANY_TIME));
      for (let at = 0; at < inodes.length; at += PARALLEL)
        await Promise.all(
          inodes.slice(at, at + PARALLEL).map(async (ino) => {
            await this.#deleteFile(ino);
            onDone();
          }),
        );
      after = inodes.at(-1) ?? 0n;
      if (inodes.length < PAGE) return;
    }
  }

  /** Slices that lost their last reference, as the caller knows. Objects first, rows after. */
  async deleteSlices(slices: readonly DeletedSlice[]): Promise<void> {
    await this.#deleteSlices(slices);
  }

  /** Hourly: some of the slices that lost their last reference without their objects being deleted. Answers how many. */
  async deleteLostSlices(): Promise<number> {
    const slices = await this.#engine.view(function* () {
      const [found] = yield* read(lostSlices);
      return found;
    });
    for (let at = 0; at < slices.length; at += PARALLEL) {
      if (this.#stopped) return 0;
      await Promise.all(slices.slice(at, at + PARALLEL).map((slice) => this.#deleteSlices([slice])));
    }
    return slices.length;
  }

  /** With the trash job: some of the slices that a compaction replaced and that the trash kept for a while. Answers how many. */
  async deleteDelayedSlices(before: bigint): Promise<number> {
    const rows = await this.#engine.view(function* () {
      const [found] = yield* read(
        query('SELECT chunkid FROM jfs_delslices WHERE deleted < ? ORDER BY deleted LIMIT ?', [before, PAGE], (row) =>
          bigintAt(row, 0),
        ),
      );
      return found;
    });
    for (let at = 0; at < rows.length; at += PARALLEL) {
      if (this.#stopped) return 0;
      const release = (key: bigint) => this.#engine.run(() => releaseDelayed(key), { durable: true });
      const slices = await Promise.all(rows.slice(at, at + PARALLEL).map(release));
      await this.deleteUnreferenced(slices.flat());
    }
    return rows.length;
  }
}

/** Deleted before that time, in order of inodes. */
function* waitingFiles(after: Ino, before: bigint): Op<Ino[]> {
  const text = 'SELECT inode FROM jfs_delfile WHERE inode > ? AND expire < ? ORDER BY inode LIMIT ?';
  const [inodes] = yield* read(query(text, [after, before, PAGE], (row) => bigintAt(row, 0)));
  return inodes;
}

/** Indexes of chunk rows; undefined when the inode lives, which a delfile row of it then must not end. */
function* rowsToDelete(ino: Ino): Op<number[] | undefined> {
  const [nodes, indexes] = yield* read(
    nodeById(ino),
    query('SELECT indx FROM jfs_chunk WHERE inode = ? ORDER BY indx LIMIT ?', [ino, PAGE], (row) => numberAt(row, 0)),
  );
  return nodes.length > 0 ? undefined : indexes;
}

function* releaseChunk(ino: Ino, indx: number): Op<DeletedSlice[]> {
  const [[bytes]] = yield* read(chunkRow(ino, indx, true));
  if (bytes === undefined) return [];
  const slices = decodeSlices(bytes, `chunk ${indx} of deleted inode ${ino}`).filter(({ id }) => id !== 0n);
  yield* write(...release(slices), change('DELETE FROM jfs_chunk WHERE inode = ? AND indx = ?', ino, BigInt(indx)));
  return slices;
}

function* releaseDelayed(key: bigint): Op<DeletedSlice[]> {
  const [[bytes]] = yield* read(
    query('SELECT BYTES(slices) FROM jfs_delslices WHERE chunkid = ? FOR UPDATE', [key], (row) => bytesAt(row, 0)),
  );
  if (bytes === undefined) return [];
  const slices = decodeDeletedSlices(bytes, `delayed slices ${key}`).filter(({ id }) => id !== 0n);
  yield* write(...release(slices), change('DELETE FROM jfs_delslices WHERE chunkid = ?', key));
  return slices;
}

/** One reference less per occurrence, in ascending order of ids. */
export function release(slices: readonly DeletedSlice[]): Change[] {
  const counts = new Map<SliceId, { size: number; count: bigint }>();
  for (const { id, size } of slices) counts.set(id, { size, count: (counts.get(id)?.count ?? 0n) + 1n });
  return [...counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([id, { size, count }]) =>
      change('UPDATE jfs_chunk_ref SET refs = refs - ? WHERE chunkid = ? AND size = ?', count, id, BigInt(size)),
    );
}

const decodeSliceRow = (row: Parameters<typeof bigintAt>[0]): DeletedSlice => ({
  id: bigintAt(row, 0),
  size: numberAt(row, 1),
});

const unreferenced = (id: SliceId) =>
  query('SELECT chunkid, size FROM jfs_chunk_ref WHERE chunkid = ? AND refs <= 0', [id], decodeSliceRow);

/** The original client's load of a dump can leave a row with id 0 (spec 5.15): no slice. */
const lostSlices = query(
  'SELECT chunkid, size FROM jfs_chunk_ref WHERE refs <= 0 AND chunkid > 0 LIMIT ?',
  [PAGE],
  decodeSliceRow,
);

const forgetSlice = (id: SliceId): Change[] => [
  change('DELETE FROM jfs_chunk_ref WHERE chunkid = ? AND refs <= 0', id),
  change('DELETE FROM pageseal_page WHERE slice_id = ?', id),
];
