// What this client changed in directories. After each change the kernel asks what the directory is like, before it goes
// through it again: the change itself knows, and a look would only cost its flight.
import type { Ino } from '../../base/words.ts';
import type { Attr } from '../meta/types.ts';

export class OwnChanges {
  /** How long the kernel may believe attributes, milliseconds: what others change is seen that much later in any case. */
  readonly #lifetime: number;
  #running = 0;
  /** No other change of this client's ran at the same time, which it might not have seen. */
  #alone = false;
  #begunAt = 0;
  #left: readonly Attr[] = [];

  constructor(lifetime: number) {
    this.#lifetime = lifetime;
  }

  begin(): void {
    this.#alone = this.#running === 0;
    this.#running++;
    this.#begunAt = performance.now();
    this.#left = [];
  }

  end(): void {
    this.#running--;
  }

  /** By the change that is being finished. */
  touched(directories: readonly Attr[]): void {
    this.#left = this.#alone && this.#running === 1 ? directories : [];
  }

  forget(): void {
    this.#left = [];
  }

  /** Until this client's next change, and as long as what was read for the last one may be believed: `left` of it. */
  directory(ino: Ino): { readonly attr: Attr; readonly left: number } | undefined {
    const attr = this.#left.find((one) => one.ino === ino);
    const left = Math.floor(this.#lifetime - (performance.now() - this.#begunAt));
    return attr === undefined || left <= 0 ? undefined : { attr, left };
  }
}
