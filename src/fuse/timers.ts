// How many requests of each kind there were, and how long they took.
import { type Timer, timer } from '../base/metrics.ts';
import { opcodeName } from './protocol.ts';

const timers: Timer[] = [];

/** Made with the first request of its kind: a worker that only reads shows only that. */
export function timerOf(opcode: number): Timer {
  let found = timers[opcode];
  if (found === undefined) {
    const label = { name: 'operation', value: opcodeName(opcode) };
    found = timer('pageseal_fuse_requests', 'Requests of the kernel', label);
    timers[opcode] = found;
  }
  return found;
}
