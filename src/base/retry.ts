// Trying again, with bounds: a number of attempts, pauses that double with full jitter, and a signal that ends the wait.
import { setTimeout as sleep } from 'node:timers/promises';
import { fail } from './errors.ts';

export interface RetryPolicy {
  /** All attempts, the first included. */
  readonly attempts: number;
  /** The longest first pause, milliseconds; it doubles each time. */
  readonly baseMs: number;
  readonly capMs: number;
  /** Which failures another attempt may mend. */
  readonly when: (thrown: unknown) => boolean;
  /** How long the failure itself asks to wait; within reason. */
  readonly atLeastMs?: (thrown: unknown) => number;
}

/** The pause before attempt `n + 1`: anywhere between half and all of the doubled base, so that clients spread out. */
export function pauseMs(policy: RetryPolicy, n: number, random: () => number = Math.random): number {
  const longest = Math.min(policy.capMs, policy.baseMs * 2 ** (n - 1));
  return longest / 2 + (random() * longest) / 2;
}

/** Runs `work` until it succeeds, fails in a way that no attempt mends, or the attempts are used up. */
export async function retry<T>(work: () => Promise<T>, policy: RetryPolicy, signal?: AbortSignal): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (thrown) {
      await pauseAfter(policy, attempt, thrown, signal);
    }
  }
}

/** Before the attempt that follows the `attempt`th; throws its failure when there is none. */
export async function pauseAfter(
  policy: RetryPolicy,
  attempt: number,
  thrown: unknown,
  signal?: AbortSignal,
): Promise<void> {
  if (attempt >= policy.attempts || !policy.when(thrown)) throw thrown;
  await pause(Math.max(pauseMs(policy, attempt), policy.atLeastMs?.(thrown) ?? 0), thrown, signal);
}

async function pause(ms: number, failure: unknown, signal: AbortSignal | undefined): Promise<void> {
  try {
    await sleep(ms, undefined, signal === undefined ? {} : { signal });
  } catch {
    throw fail('cancelled', 'waiting to try again: cancelled', { cause: failure });
  }
}
