// Ids of requests being handled, kept outside the process for kernels that cannot send requests again (before 6.9): a
// successor answers EIO to what its predecessor had taken and not answered.

/** Backed by the state memfd; ids are as the kernel gave them. */
export interface InFlightLog {
  /** Before the request is handled. */
  note(unique: bigint): void;
  /** After the reply. */
  clear(unique: bigint): void;
  /** What the predecessor left; read once at takeover. */
  inherited(): readonly bigint[];
}
