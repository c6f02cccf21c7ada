// Ids of requests being handled, kept outside the process for kernels that cannot send requests again (before 6.9): a
// successor answers EIO to what its predecessor had taken and not answered.

/** Backed by the state memfd; ids are as the kernel gave them. Room for MAX_IN_FLIGHT and a batch (session.ts). */
export interface InFlightLog {
  /** Before the request is handled. */
  note(unique: bigint): void;
  /** After the reply. */
  clear(unique: bigint): void;
  /** What the predecessor left; read once at takeover. */
  inherited(): readonly bigint[];
}

/** The kernel numbers its requests so. */
const STEP = 2n;
/** Ids behind the last noted one that may have been read; a batch, and what gets no reply and is not noted. */
const UNNOTED = 1024;

/**
 * A process may die after it read a request and before it noted it. Ids rise in the order of reading, so such a request
 * lies shortly behind the last one noted; that one therefore stays in the log until the next is there.
 */
export class InFlightNotes {
  readonly #log: InFlightLog;
  #last: bigint | undefined;
  #lastAnswered = false;

  constructor(log: InFlightLog) {
    this.#log = log;
  }

  note(unique: bigint): void {
    this.#log.note(unique);
    if (this.#last !== undefined && this.#lastAnswered) this.#log.clear(this.#last);
    this.#last = unique;
    this.#lastAnswered = false;
  }

  clear(unique: bigint): void {
    if (unique === this.#last) this.#lastAnswered = true;
    else this.#log.clear(unique);
  }

  /**
   * What the predecessor may have left unanswered: answering what it has not read, or has answered, does nothing. To be
   * followed by `disowned`.
   */
  orphans(): bigint[] {
    const noted = this.#log.inherited();
    this.#last = highest(noted);
    return [...noted, ...Array.from({ length: UNNOTED }, (_, i) => (this.#last ?? 0n) + STEP * BigInt(i + 1))];
  }

  /** The orphans are answered. The highest id stays, should this process die before it notes one. */
  disowned(): void {
    for (const id of this.#log.inherited()) if (id !== this.#last) this.#log.clear(id);
    this.#lastAnswered = true;
  }
}

function highest(ids: readonly bigint[]): bigint | undefined {
  let found: bigint | undefined;
  for (const id of ids) if (found === undefined || id > found) found = id;
  return found;
}
