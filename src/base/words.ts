// The few types that rooms which may not import each other share: page and meta, fuse and meta.

/** Inode number. Trash inodes lie above 2^53, so never a JavaScript number. */
export type Ino = bigint;

/** Volume-unique id of a slice (one write of up to 64 MiB). */
export type SliceId = bigint;

/**
 * A row of the page ledger: what metadata says about one page. `tag` is the page's 16-byte AEAD tag, `pageKey` the 61
 * bytes epoch(1) ‖ nonce(12) ‖ S sealed(32) ‖ tag(16) of docs/FORMAT.md.
 */
export interface LedgerEntry {
  readonly sliceId: SliceId;
  readonly indx: number;
  readonly tag: Buffer;
  readonly pageKey: Buffer;
}

/** strict: a page without a ledger row is an error. lenient: its key is taken from the object, and counted. */
export type LedgerMode = 'strict' | 'lenient';

/** Identity of a kernel request that may be sent again after a worker died (fuse-kernel facts: bit 63 of the id). */
export interface RequestId {
  /** Random 63-bit number of this kernel connection. */
  readonly mount: bigint;
  /** The kernel's id with bit 63 cleared. */
  readonly unique: bigint;
  /** Whether the kernel marked it as sent again. */
  readonly resent: boolean;
}

/** Who asks. Ids are the kernel's, in the mount's user namespace. */
export interface Caller {
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  readonly umask: number;
  /**
   * The kernel has checked what the caller may do with all of the caller's groups, which are not known here: judging again
   * by the primary group alone would take rights away.
   */
  readonly vouched?: boolean;
  /** Set where an answer may be lost with the worker and asked for again; absent for library callers. */
  readonly request?: RequestId;
  /**
   * Calls back once the answer has been sent, so that memory it shows can be used again. Absent where an answer may be
   * kept: then it stays as it is.
   */
  onAnswered?(then: () => void): void;
  /** Aborted when the kernel interrupts the request. */
  readonly signal?: AbortSignal;
}
