// FsError to exit codes: what a script can tell apart without reading messages. 0 is success only.
import type { ErrorCode } from '../base/errors.ts';

/** What each code means; printed by `pageseal --help`. */
export const exitCodes = {
  0: 'done',
  1: 'failed: an I/O error, damage found, or an error of our own',
  2: 'bad usage or bad input; nothing was changed',
  3: 'the key, the passphrase, or credentials of database or store are missing or wrong, or the volume is not encrypted as the caller demands',
  4: 'the named thing does not exist (volume, path, object)',
  5: 'it exists already, or with other properties',
  6: 'not possible in the present state (busy, mounted, in use)',
  7: 'metadata, object store or API server cannot be reached, or the store is full',
  8: 'refused by a rule, missing permission, unsupported, or a newer format',
} as const;

export type ExitCode = keyof typeof exitCodes;
export const usageExitCode: ExitCode = 2;

/** Every code that is not a plain failure (1). */
const table: Partial<Record<ErrorCode, ExitCode>> = {
  'bad-input': 2,
  EINVAL: 2,
  ENOTDIR: 2,
  ENAMETOOLONG: 2,
  EXDEV: 2,
  'wrong-passphrase': 3,
  'passphrase-required': 3,
  'damaged-key': 3,
  'wrong-key': 3,
  'key-required': 3,
  'encryption-mismatch': 3,
  unauthenticated: 3,
  'not-found': 4,
  'not-formatted': 4,
  'object-missing': 4,
  ENOENT: 4,
  'already-formatted': 5,
  'store-not-empty': 5,
  conflict: 5,
  EEXIST: 5,
  busy: 6,
  'failed-precondition': 6,
  cancelled: 6,
  EBUSY: 6,
  EAGAIN: 6,
  'metadata-unavailable': 7,
  'store-unavailable': 7,
  'cluster-unavailable': 7,
  'store-full': 7,
  timeout: 7,
  ENOSPC: 7,
  EDQUOT: 7,
  refused: 8,
  'permission-denied': 8,
  unsupported: 8,
  'newer-format': 8,
  EPERM: 8,
  EACCES: 8,
  EROFS: 8,
  ENOTSUP: 8,
};

export const exitCodeOf = (code: ErrorCode): ExitCode => table[code] ?? 1;
