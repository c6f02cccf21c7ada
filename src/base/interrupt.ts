// Who is interrupted while something is away. On a local disk nothing of this is ever interrupted, and programs rely on it;
// but whoever waits for a store that is away must be able to be killed.
import { fail } from './errors.ts';

/** So long after the signal the wait is over even if nothing is known to be away: an attempt itself may hang. */
const PATIENCE_MS = 10_000;
const LOOK_MS = 500;

/** Calls `giveUp` once something is away, or at last; answers how to call that off. To be called when the signal comes. */
export function onceStuck(isAway: () => boolean, giveUp: () => void): () => void {
  const until = performance.now() + PATIENCE_MS;
  let timer: NodeJS.Timeout | undefined;
  const look = (): void => {
    if (isAway() || performance.now() >= until) giveUp();
    else timer = setTimeout(look, LOOK_MS).unref();
  };
  look();
  return () => clearTimeout(timer);
}

/** `work`, unless the caller is interrupted and stuck: then what `otherwise` answers or throws. The work goes on. */
export function unlessInterrupted<T>(
  work: Promise<T>,
  signal: AbortSignal | undefined,
  isAway: () => boolean,
  otherwise: () => T = interrupted,
): Promise<T> {
  if (signal === undefined) return work;
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  let callOff: (() => void) | undefined;
  const onAbort = (): void => {
    callOff = onceStuck(isAway, () => Promise.try(otherwise).then(resolve, reject));
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  const ended = (): void => {
    signal.removeEventListener('abort', onAbort);
    callOff?.();
  };
  work.finally(ended).then(resolve, reject);
  return promise;
}

function interrupted(): never {
  throw fail('EINTR', 'waiting for what is away: interrupted');
}
