// What the kernel was told of inodes and may still believe, so that an open that meets another client's change can say so:
// the answer of an open carries no attributes, and the kernel would cut reads off at the old length.
import type { Ino } from '../../base/words.ts';
import type { Attr } from '../meta/types.ts';

/** Inodes remembered at least; some 10 MB at most. */
const MOST = 16_384;

export class Believed {
  readonly #lifetime: number;
  /** Told within the last lifetime, and in the one before it. */
  #young = new Map<Ino, Attr>();
  #old = new Map<Ino, Attr>();
  #since = 0;
  /** More was told than is remembered. */
  #forgot = false;

  constructor(lifetime: number) {
    this.#lifetime = lifetime;
  }

  tell(attr: Attr): void {
    if (this.#lifetime === 0) return;
    const now = performance.now();
    const over = now - this.#since > this.#lifetime;
    if (over || this.#young.size >= MOST) {
      this.#forgot = !over;
      this.#old = this.#young;
      this.#young = new Map();
      this.#since = now;
    }
    this.#young.set(attr.ino, attr);
  }

  /** Whether the kernel may believe another length or other times. */
  otherwise(attr: Attr): boolean {
    if (this.#lifetime === 0) return false;
    const told = this.#young.get(attr.ino) ?? this.#old.get(attr.ino);
    if (told === undefined) return this.#forgot;
    return told.length !== attr.length || told.mtime !== attr.mtime || told.ctime !== attr.ctime;
  }
}

/** How soon the kernel comes back after it was told that an inode is stale. */
const SOON_MS = 1000;

/**
 * A deleted inode was most likely opened by a name that leads elsewhere by now: called stale, the kernel looks the name
 * up again, once, also where somebody here has the old file open. The thread that comes back means it (a path in the
 * trash, /proc/self/fd): each is told for itself, since two may follow the same old name at once.
 */
export class StaleOnce {
  readonly #told = new Map<number, number>();

  first(thread: number): boolean {
    const now = performance.now();
    const before = this.#told.get(thread);
    this.#told.delete(thread);
    // Whatever inode it has come to now: the name was replaced once more, and a second ESTALE would be the application's.
    if (before !== undefined && now - before < SOON_MS) return false;
    if (this.#told.size >= MOST) this.#told.clear();
    this.#told.set(thread, now);
    return true;
  }

  /** The thread came to a file that is there. */
  found(thread: number): void {
    if (this.#told.size > 0) this.#told.delete(thread);
  }
}
