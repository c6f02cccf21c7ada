// Lengths of time as the original client's flags take them: seconds, or days and Go's units ("1.5", "90s", "1d12h").

const milliseconds: Readonly<Record<string, number>> = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1 };
/** What a day's count of seconds in 32 bits allows is far beyond any use; ten years are, too. */
const MAX_MS = 10 * 365 * 86_400_000;

/** In milliseconds; undefined for what is no length of time. */
export function parseDuration(text: string): number | undefined {
  const number = /^\d+(\.\d+)?$/.test(text);
  if (!number && !/^(\d+(\.\d+)?(d|h|ms|m|s))+$/.test(text)) return undefined;
  let total = number ? Number(text) * 1000 : 0;
  for (const [, count, unit = ''] of number ? [] : text.matchAll(/(\d+(?:\.\d+)?)(d|h|ms|m|s)/g))
    total += Number(count) * (milliseconds[unit] ?? 0);
  return total <= MAX_MS ? Math.round(total) : undefined;
}

const SHORTEST_HEARTBEAT_MS = 1000;
const LONGEST_HEARTBEAT_MS = 3_600_000;

/** How often a session is renewed: often enough to notice the dead, seldom enough to cost nothing. */
export function parseHeartbeat(text: string): number | undefined {
  const ms = parseDuration(text);
  return ms === undefined || ms < SHORTEST_HEARTBEAT_MS || ms > LONGEST_HEARTBEAT_MS ? undefined : ms;
}

/** Hours of waiting are of no use to whoever waits. */
const MOST_ATTEMPTS = 30;

/** The original client's `io-retries`: attempts until an outage is told. */
export function parseAttempts(text: string): number | undefined {
  const count = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  return count < 1 || count > MOST_ATTEMPTS ? undefined : count;
}
