// What every operation is given and answers.
import type { Ino, Vfs } from '../../filesystem/vfs/vfs.ts';
import type { NegotiatedState } from '../negotiate.ts';
import type { NodeIds } from '../nodes.ts';
import type { Notifier } from '../notify.ts';
import type { Answer } from '../reply.ts';
import type { KernelRequest } from '../request.ts';
import type { Privileges } from './privileges.ts';

export interface Context {
  readonly vfs: Vfs;
  readonly nodes: NodeIds;
  readonly privileges: Privileges;
  readonly notifier: Pick<Notifier, 'inode'>;
  /** At once, for an inode of which a request is being handled: nothing in the kernel waits for another request then. */
  forgetAttributes(ino: Ino): void;
  /** What kernel and session agreed on; undefined before the first request. */
  agreed(): NegotiatedState | undefined;
}

/**
 * Reads all it needs from the request before it first waits: afterwards the slab holds other requests. Rejects with what
 * the Vfs rejected with.
 */
export type Handler = (context: Context, request: KernelRequest) => Promise<Answer>;
