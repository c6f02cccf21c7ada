// Does a Secret open this file system's key? Asked of a worker of its own that ends with the answer, so that a KDF keeps
// nobody waiting who reads and writes; one at a time, since each may take 128 MiB.
import { closeSync } from 'node:fs';
import { wipe } from '../base/bytes.ts';
import { Semaphore } from '../base/semaphore.ts';
import { type Handoff, packHandoff } from './handoff.ts';
import { StateMemory } from './state.ts';
import { type Owner, type Program, WorkerProcess } from './worker-process.ts';

/** A KDF of the costliest kind on a busy node, and a database that answers late. */
const PROOF_DEADLINE_MS = 60_000;
/** It has nothing to flush. */
const END_DEADLINE_MS = 5000;

const one = new Semaphore(1);

/** Rejects with the worker's own error. The secrets in `handoff` are wiped. */
export function prove(program: Program, owner: Owner | undefined, handoff: Handoff): Promise<void> {
  return one.run(async () => {
    const state = StateMemory.create();
    try {
      const packed = packHandoff(handoff);
      state.seal(packed);
      wipe(packed, handoff.pem, handoff.passphrase);
      const worker = new WorkerProcess(program, state.fd, undefined, owner);
      try {
        await worker.expect('proven', PROOF_DEADLINE_MS);
      } catch (error) {
        worker.kill();
        throw error;
      } finally {
        await worker.endWithin(END_DEADLINE_MS);
      }
    } finally {
      state.wipe();
      closeSync(state.fd);
    }
  });
}
