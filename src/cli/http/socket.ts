// Does somebody accept connections at this unix socket?
import { connect } from 'node:net';
import { fail } from '../../base/errors.ts';

/** A listening process accepts at once: the kernel does it for it. */
const CONNECT_MS = 2_000;

export function reachable(what: string, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const unreachable = (): void => {
      probe.destroy();
      reject(fail('store-unavailable', `${what}: nobody listens at its socket`));
    };
    const probe = connect(path, () => {
      probe.destroy();
      resolve();
    });
    probe.setTimeout(CONNECT_MS, unreachable);
    probe.on('error', unreachable);
  });
}
