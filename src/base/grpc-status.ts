// FsError to gRPC status and back: the one mapping for both gRPC services (CSI and keeper). Numbers and no library, so
// that what must stay small need not load one. CSI gives each code its meaning: ABORTED is "busy, come again",
// ALREADY_EXISTS "same name, other properties", UNAUTHENTICATED a wrong passphrase, PERMISSION_DENIED a wrong key.
import { type ErrorCode, FsError } from './errors.ts';

export const grpcStatus = {
  OK: 0, CANCELLED: 1, UNKNOWN: 2, INVALID_ARGUMENT: 3, DEADLINE_EXCEEDED: 4, NOT_FOUND: 5, ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7, RESOURCE_EXHAUSTED: 8, FAILED_PRECONDITION: 9, ABORTED: 10, OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12, INTERNAL: 13, UNAVAILABLE: 14, DATA_LOSS: 15, UNAUTHENTICATED: 16,
} as const; // biome-ignore format: a table reads better than a column
export type StatusName = keyof typeof grpcStatus;

/** Trailing metadata that carries our own code, since several share a status. */
export const CODE_METADATA = 'pageseal-code';

/** What is missing here is INTERNAL. */
const byCode: Partial<Record<ErrorCode, StatusName>> = {
  'wrong-passphrase': 'UNAUTHENTICATED',
  'passphrase-required': 'UNAUTHENTICATED',
  unauthenticated: 'UNAUTHENTICATED',
  'wrong-key': 'PERMISSION_DENIED',
  'permission-denied': 'PERMISSION_DENIED',
  EACCES: 'PERMISSION_DENIED',
  EPERM: 'PERMISSION_DENIED',
  'damaged-key': 'INVALID_ARGUMENT',
  'key-required': 'INVALID_ARGUMENT',
  'bad-input': 'INVALID_ARGUMENT',
  refused: 'INVALID_ARGUMENT',
  unsupported: 'INVALID_ARGUMENT',
  EINVAL: 'INVALID_ARGUMENT',
  ERANGE: 'OUT_OF_RANGE',
  'not-formatted': 'NOT_FOUND',
  'not-found': 'NOT_FOUND',
  ENOENT: 'NOT_FOUND',
  'already-formatted': 'ALREADY_EXISTS',
  conflict: 'ALREADY_EXISTS',
  EEXIST: 'ALREADY_EXISTS',
  'failed-precondition': 'FAILED_PRECONDITION',
  'encryption-mismatch': 'FAILED_PRECONDITION',
  'newer-format': 'FAILED_PRECONDITION',
  'store-not-empty': 'FAILED_PRECONDITION',
  ENOTCONN: 'FAILED_PRECONDITION',
  busy: 'ABORTED',
  EBUSY: 'ABORTED',
  'store-full': 'RESOURCE_EXHAUSTED',
  ENOSPC: 'RESOURCE_EXHAUSTED',
  EDQUOT: 'RESOURCE_EXHAUSTED',
  'metadata-unavailable': 'UNAVAILABLE',
  'store-unavailable': 'UNAVAILABLE',
  'cluster-unavailable': 'UNAVAILABLE',
  'metadata-damaged': 'DATA_LOSS',
  'page-damaged': 'DATA_LOSS',
  'page-mismatch': 'DATA_LOSS',
  'page-unledgered': 'DATA_LOSS',
  'object-missing': 'DATA_LOSS',
  timeout: 'DEADLINE_EXCEEDED',
  cancelled: 'CANCELLED',
};

export const statusNameOf = (code: ErrorCode): StatusName => byCode[code] ?? 'INTERNAL';

/** Our code for the status of a peer that sent none of its own. */
const byStatus: Readonly<Record<number, ErrorCode>> = {
  [grpcStatus.CANCELLED]: 'cancelled',
  [grpcStatus.INVALID_ARGUMENT]: 'bad-input',
  [grpcStatus.DEADLINE_EXCEEDED]: 'timeout',
  [grpcStatus.NOT_FOUND]: 'not-found',
  [grpcStatus.ALREADY_EXISTS]: 'conflict',
  [grpcStatus.PERMISSION_DENIED]: 'permission-denied',
  [grpcStatus.RESOURCE_EXHAUSTED]: 'ENOSPC',
  [grpcStatus.FAILED_PRECONDITION]: 'failed-precondition',
  [grpcStatus.ABORTED]: 'busy',
  [grpcStatus.OUT_OF_RANGE]: 'ERANGE',
  [grpcStatus.UNAVAILABLE]: 'metadata-unavailable',
  [grpcStatus.UNAUTHENTICATED]: 'unauthenticated',
};

export const codeOfStatus = (status: number): ErrorCode => byStatus[status] ?? 'internal';

/** The error to answer: anything unexpected is said to be internal, since its text may hold what a caller must not see. */
export function presentable(thrown: unknown): FsError {
  return thrown instanceof FsError ? thrown : new FsError('internal', 'internal error', { cause: thrown });
}
