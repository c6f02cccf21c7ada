// How long a server that is too busy asks to be left alone.

/** Longer ones are shortened: who waits behind it has a bound of their own. */
const LONGEST_MS = 10_000;

/** Of an error whose cause carries the header, seconds or a date; else 0. */
export function retryAfterMs(thrown: unknown): number {
  const text = ((thrown as { cause?: unknown }).cause as { retryAfter?: string } | undefined)?.retryAfter;
  if (text === undefined) return 0;
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isNaN(ms) ? 0 : Math.min(LONGEST_MS, Math.max(0, ms));
}
