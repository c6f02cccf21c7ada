// When a mount compacts: after reads that met many records, after writes that left many, and before a write goes on when
// there are far too many. One compaction per chunk, a few at a time; at unmount they are cut short.
import { hasCode } from '../../base/errors.ts';
import { Lru } from '../../base/lru.ts';
import type { Ino } from '../../base/words.ts';
import { type CompactionParts, compactChunk } from './compact-chunk.ts';

/** A read that finds so many records in a chunk, as the original client. */
const READ_RECORDS = 5;
/** A write that makes the count pass 99 of a hundred, or any beyond this. */
const WRITE_STEP = 100;
const WRITE_RECORDS = 350;
/** From here on writes to the chunk wait: its row would grow without bound, and each append copies it. */
const SYNC_RECORDS = 2500;
const AT_ONCE = 2;
/** What waits beyond is forgotten: the next read or write of the chunk asks again. */
const MAX_WAITING = 64;
/** Chunks of which nothing can be made at present. */
const MAX_IDLE = 4096;
const RETRY_MS = 600_000;

/** Records a chunk had when there was nothing to win, or its compaction failed; looked at again afterwards. */
interface Idle {
  readonly records: number;
  readonly until: number;
}

interface Place {
  readonly ino: Ino;
  readonly indx: number;
}

export interface CompactionsOptions extends Omit<CompactionParts, 'onReplaced'> {
  /** False: only what writes have to wait for. */
  readonly background: boolean;
}

const keyOf = ({ ino, indx }: Place): string => `${ino}/${indx}`;

export class Compactions {
  /** After a commit, before the old pages go: what is known of the chunk is out of date. */
  onReplaced: (ino: Ino, indx: number) => void = () => undefined;
  readonly #options: CompactionsOptions;
  readonly #running = new Map<string, Promise<void>>();
  readonly #waiting = new Map<string, Place>();
  readonly #idle = new Lru<string, Idle>(MAX_IDLE);
  readonly #stop = new AbortController();

  constructor(options: CompactionsOptions) {
    this.#options = options;
  }

  /** A read found so many records in the chunk. */
  seen(ino: Ino, indx: number, records: number): void {
    if (records >= READ_RECORDS) this.#later({ ino, indx }, records);
  }

  /** A commit added the last `added` of so many records. The promise, if any, is for the next commit to wait for. */
  appended(ino: Ino, indx: number, records: number, added: number): Promise<void> | undefined {
    if (records >= SYNC_RECORDS) return this.#now({ ino, indx }, records);
    const passed = Math.floor((records + 1) / WRITE_STEP) > Math.floor((records + 1 - added) / WRITE_STEP);
    if (passed || records > WRITE_RECORDS) this.#later({ ino, indx }, records);
    return undefined;
  }

  #later(place: Place, records: number): void {
    const key = keyOf(place);
    if (!this.#options.background || this.#stop.signal.aborted || this.#running.has(key) || this.#waiting.has(key))
      return;
    if (this.#waiting.size >= MAX_WAITING || this.#isIdle(key, records)) return;
    this.#waiting.set(key, place);
    this.#next();
  }

  async #now(place: Place, records: number): Promise<void> {
    const key = keyOf(place);
    await this.#running.get(key);
    if (this.#stop.signal.aborted || this.#isIdle(key, records)) return;
    this.#waiting.delete(key);
    await (this.#running.get(key) ?? this.#start(key, place));
  }

  #isIdle(key: string, records: number): boolean {
    const idle = this.#idle.get(key);
    return idle !== undefined && records <= idle.records && Date.now() < idle.until;
  }

  #next(): void {
    for (const [key, place] of this.#waiting) {
      if (this.#running.size >= AT_ONCE) return;
      this.#waiting.delete(key);
      void this.#start(key, place);
    }
  }

  #start(key: string, place: Place): Promise<void> {
    const done = this.#compact(key, place).finally(() => {
      this.#running.delete(key);
      this.#next();
    });
    this.#running.set(key, done);
    return done;
  }

  /** As long as one is followed by more than a plan takes. Never rejects. */
  async #compact(key: string, { ino, indx }: Place): Promise<void> {
    const { log } = this.#options;
    try {
      for (;;) {
        const result = await compactChunk(
          { ...this.#options, onReplaced: this.onReplaced },
          ino,
          indx,
          this.#stop.signal,
        );
        if (result.kind === 'done' && result.more) continue;
        if (result.kind === 'nothing')
          this.#idle.set(key, { records: result.records, until: Number.POSITIVE_INFINITY });
        return;
      }
    } catch (thrown) {
      if (this.#stop.signal.aborted && hasCode(thrown, 'cancelled')) return;
      this.#idle.set(key, { records: Number.POSITIVE_INFINITY, until: Date.now() + RETRY_MS });
      log.warn('a chunk could not be compacted, trying again later', { inode: ino, indx, reason: String(thrown) });
    }
  }

  /** Takes on nothing more and waits until what runs has ended, which is at its next page; but no longer than that. */
  async stop(timeoutMs: number): Promise<void> {
    this.#stop.abort();
    this.#waiting.clear();
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeoutMs);
    await Promise.race([promise, Promise.all(this.#running.values())]);
    clearTimeout(timer);
  }
}
