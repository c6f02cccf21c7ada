// One operation per volume at a time: CSI lets a plugin answer ABORTED while another call for the volume is running, and
// the caller comes again. Nobody waits in a queue that a stuck call would make endless.
import { fail } from '../base/errors.ts';

export class Locks {
  readonly #held = new Set<string>();

  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    if (this.#held.has(key)) throw fail('busy', 'another operation on this volume is running; try again');
    this.#held.add(key);
    try {
      return await work();
    } finally {
      this.#held.delete(key);
    }
  }
}
