// Clocks. The wall clock in nanoseconds: Date.now has milliseconds only; hrtime gives the digits below, anchored once.
import { setTimeout as sleep } from 'node:timers/promises';

const anchor = BigInt(Date.now()) * 1_000_000n - process.hrtime.bigint();
/** The anchor drifts when the clock is set; past this difference the wall clock wins. */
const MAX_DRIFT_NS = 2_000_000n;
let drifted = 0n;

/** Nanoseconds since the epoch. */
export function nowNs(): bigint {
  const fine = anchor + drifted + process.hrtime.bigint();
  const wall = BigInt(Date.now()) * 1_000_000n;
  const off = wall - fine;
  if (off > MAX_DRIFT_NS || off < -MAX_DRIFT_NS) {
    drifted += off;
    return wall;
  }
  return fine;
}

export const later = (a: bigint, b: bigint): bigint => (a > b ? a : b);

export const nowSeconds = (): bigint => BigInt(Math.floor(Date.now() / 1000));

/** Milliseconds from some moment on, and pauses by them: what waits takes one, so that tests need not. */
export interface Clock {
  now(): number;
  sleep(ms: number, signal: AbortSignal | undefined): Promise<void>;
}

export const realClock: Clock = {
  now: () => performance.now(),
  sleep: (ms, signal) => sleep(ms, undefined, signal === undefined ? {} : { signal }),
};
