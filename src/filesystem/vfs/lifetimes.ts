// For how long the kernel may believe what it was told, in milliseconds: what other clients change is seen that much later.
export interface Lifetimes {
  readonly attr: number;
  /** Of names that lead to anything but a directory, of names that lead to one, and of names that are not there. */
  readonly entry: number;
  readonly directoryEntry: number;
  readonly negativeEntry: number;
}

/** As the original client has them. */
export const usualLifetimes: Lifetimes = { attr: 1000, entry: 1000, directoryEntry: 1000, negativeEntry: 0 };
