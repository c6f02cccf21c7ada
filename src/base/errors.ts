// The one error class of Pageseal and its closed set of codes. A code says what went wrong in the words of the
// layer that found it; each outside world (errno, gRPC status, exit code) has one mapping file of its own.

/** Codes that are POSIX errno names: what the kernel is told as it stands. */
export const errnoCodes = [
  'EPERM', 'ENOENT', 'EINTR', 'EIO', 'ENXIO', 'EBADF', 'EAGAIN', 'EACCES', 'EBUSY', 'EEXIST', 'EXDEV', 'ENODEV',
  'ENOTDIR', 'EISDIR', 'EINVAL', 'ENOTTY', 'EFBIG', 'ENOSPC', 'EROFS', 'EMLINK', 'EPIPE', 'ERANGE', 'EDEADLK', 'ENAMETOOLONG',
  'ENOLCK', 'ENOSYS', 'ENOTEMPTY', 'ELOOP', 'ENODATA', 'EOVERFLOW', 'ENOTSUP', 'ENOTCONN', 'ESTALE', 'EDQUOT',
] as const; // biome-ignore format: a table reads better than a column

/** Codes of our own; the comment is the meaning. */
export const domainCodes = [
  'wrong-passphrase', // the passphrase does not open this key, or the key file is damaged (one cannot tell which)
  'passphrase-required', // the key is sealed and no passphrase was given
  'damaged-key', // text that is no key, or a key that cannot be used
  'wrong-key', // a good key, but of another file system
  'key-required', // the file system is encrypted and no key was given
  'page-damaged', // an object that does not open: truncated, flipped, not an envelope
  'page-mismatch', // an object that opens but is not the page the ledger names (swapped, replayed, forged)
  'page-unledgered', // strict mode: a page without a ledger row
  'object-missing', // the store has no such object
  'not-formatted', // the metadata holds no volume
  'already-formatted', // it does, and this was to be a new one
  'metadata-damaged', // rows that cannot be what a client wrote
  'metadata-unavailable', // the database cannot be reached or opened
  'newer-format', // a format version this client does not know
  'encryption-mismatch', // the record says otherwise than the caller about encryption
  'store-full', // no space left in the object store
  'store-unavailable', // the store cannot be reached, or failed after all retries
  'store-not-empty', // objects where none may be
  'bad-input', // the caller's text or arguments
  'not-found', // a named thing does not exist
  'conflict', // it exists, with other properties
  'busy', // another operation on the same thing is running
  'refused', // a rule of ours forbids it; the message names rule and setting
  'failed-precondition', // the state of the thing does not allow it now
  'cluster-unavailable', // the API server of Kubernetes cannot be reached, or failed
  'unauthenticated', 'permission-denied', 'unsupported', 'timeout', 'cancelled', 'internal',
] as const; // biome-ignore format: a table reads better than a column

export type ErrnoCode = (typeof errnoCodes)[number];
export type ErrorCode = ErrnoCode | (typeof domainCodes)[number];

const errnoSet: ReadonlySet<string> = new Set(errnoCodes);
export const isErrnoCode = (code: string): code is ErrnoCode => errnoSet.has(code);

export interface FsErrorOptions {
  readonly cause?: unknown;
  /** What the user can do next; the CLI prints it on a line of its own. */
  readonly hint?: string;
}

/**
 * Every failure that can happen. `message`: lower case, no full stop, what was attempted on which object, wanted and
 * found; never a key, a passphrase or file contents.
 */
export class FsError extends Error {
  override readonly name = 'FsError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, options: FsErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
  }

  /** Turns anything thrown into an FsError; what is one already passes through. */
  static from(thrown: unknown, attempted = 'operation'): FsError {
    if (thrown instanceof FsError) return thrown;
    const code = (thrown as { code?: unknown } | null)?.code;
    const text = thrown instanceof Error ? thrown.message : String(thrown);
    if (typeof code === 'string' && isErrnoCode(code))
      return new FsError(code, `${attempted}: ${text}`, { cause: thrown });
    return new FsError('internal', `${attempted}: ${text}`, { cause: thrown });
  }
}

/** `throw fail('ENOENT', ...)` for what can happen; `assert` of node:assert for what cannot. */
export const fail = (code: ErrorCode, message: string, options?: FsErrorOptions): FsError =>
  new FsError(code, message, options);

export const hasCode = (thrown: unknown, ...wanted: readonly ErrorCode[]): thrown is FsError =>
  thrown instanceof FsError && wanted.includes(thrown.code);
