// Whether polling the descriptor for a moment before sleeping pays. A wake across processors costs some 75 microseconds,
// more than most requests, but polling in vain costs a processor. Looks at how soon requests came lately; never polls.
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** How long a poll lasts: a caller that goes on at once is back within it. */
export const SPIN_MICROS = 100;
/** A request that found the process asleep shows the wake in its time too. */
const ASLEEP_MICROS = 2 * SPIN_MICROS;
const HISTORY = 64;
const ENOUGH = HISTORY / 2;

export class SpinPolicy {
  readonly #allowed: boolean;
  readonly #history = new Uint8Array(HISTORY);
  #next = 0;
  #hits = 0;
  #spinning = false;

  constructor(allowed: boolean) {
    this.#allowed = allowed;
  }

  /** A request came after `idle` microseconds without work. Answers how long to poll from now on. */
  record(idle: number): number {
    const hit = idle <= (this.#spinning ? SPIN_MICROS : ASLEEP_MICROS) ? 1 : 0;
    this.#hits += hit - (this.#history[this.#next] ?? 0);
    this.#history[this.#next] = hit;
    this.#next = (this.#next + 1) % HISTORY;
    this.#spinning = this.#allowed && this.#hits >= ENOUGH;
    return this.#spinning ? SPIN_MICROS : 0;
  }
}

/** With one processor, or a quota near it, polling keeps the caller itself from running. */
export function maySpin(): boolean {
  return availableParallelism() > 1 && !tightQuota();
}

function tightQuota(): boolean {
  try {
    const [quota, period] = readFileSync('/sys/fs/cgroup/cpu.max', 'utf8').trim().split(' ');
    return quota !== 'max' && Number(quota) < 2 * Number(period);
  } catch {
    return false; // no cgroup v2 here
  }
}
