// How long an operation is tried again: what others' locks cause by a number of tries, what the network or the server
// causes by time.
import { setTimeout as sleep } from 'node:timers/promises';
import { FsError } from '../../base/errors.ts';
import { troubleOfOpening } from './postgres-connection.ts';
import { fromTrouble, type Trouble } from './postgres-errors.ts';
import { Failed } from './postgres-transaction.ts';

/** As many as the original client makes. */
const CONFLICT_TRIES = 50;
/** An expectation or a unique key that fails this often fails for good: another client cannot win every time. */
const EXPECTATION_TRIES = 5;
const UNIQUE = '23505';
const LONGEST_CONFLICT_PAUSE_MS = 200;
/** A deadlock costs a second before the server ends it, a lock that is not had ten. */
const CONFLICT_LIMIT_MS = 60_000;
/** Enough for a restart; whoever wants to wait for longer (a mount) tries again, and says meanwhile that it waits. */
const CONNECTION_LIMIT_MS = 10_000;
/** Somebody waits at a terminal to be told that the address is wrong. */
export const OPEN_LIMIT_MS = 4000;
const FIRST_CONNECTION_PAUSE_MS = 20;
const LONGEST_CONNECTION_PAUSE_MS = 2000;

export class Patience {
  readonly #attempted: string;
  readonly #limitMs: number;
  readonly #closing: AbortSignal;
  #conflicts = 0;
  #expectations = 0;
  #connections = 0;
  #since: number | undefined;

  /** `closing`: nobody waits any more. */
  constructor(attempted: string, closing: AbortSignal, limitMs = CONNECTION_LIMIT_MS) {
    this.#attempted = attempted;
    this.#closing = closing;
    this.#limitMs = limitMs;
  }

  /** Returns when it is to be tried again, else throws what there is to say. */
  async after(thrown: unknown): Promise<void> {
    if (!(thrown instanceof Failed)) {
      const opening = troubleOfOpening(thrown);
      if (opening === undefined) throw thrown;
      return this.#retry(opening, thrown);
    }
    const { trouble, expectation } = thrown;
    const error = expectation ?? fromTrouble(trouble, this.#attempted);
    if (expectation === undefined && trouble.code !== UNIQUE) return this.#retry(trouble, error);
    this.#expectations += 1;
    if (this.#expectations >= EXPECTATION_TRIES) throw error;
    return conflictPause(this.#expectations);
  }

  async #retry(trouble: Trouble, error: unknown): Promise<void> {
    if (trouble.kind === 'final') throw error;
    this.#since ??= performance.now();
    const waited = performance.now() - this.#since;
    const conflict = trouble.kind === 'conflict';
    if (waited >= (conflict ? CONFLICT_LIMIT_MS : this.#limitMs) || this.#closing.aborted)
      throw withTime(error, waited);
    if (conflict) {
      this.#conflicts += 1;
      if (this.#conflicts >= CONFLICT_TRIES) throw error;
      return conflictPause(this.#conflicts);
    }
    this.#connections += 1;
    const longest = Math.min(LONGEST_CONNECTION_PAUSE_MS, FIRST_CONNECTION_PAUSE_MS * 2 ** this.#connections);
    const ms = longest / 2 + (Math.random() * longest) / 2;
    await sleep(ms, undefined, { signal: this.#closing }).catch(() => undefined);
  }
}

function withTime(error: unknown, waitedMs: number): unknown {
  if (!(error instanceof FsError)) return error;
  const text = `${error.message}, for ${Math.round(waitedMs / 1000)} s`;
  const hint = error.hint === undefined ? {} : { hint: error.hint };
  return new FsError(error.code, text, { cause: error.cause, ...hint });
}

/** Squares of the try, as the original client's, with jitter. */
async function conflictPause(tries: number): Promise<void> {
  await sleep(Math.random() * Math.min(LONGEST_CONFLICT_PAUSE_MS, tries * tries));
}
