// FsError to Linux errno numbers (asm-generic/errno.h): what a FUSE reply carries.
import { type ErrnoCode, type ErrorCode, FsError, isErrnoCode } from './errors.ts';

export const errnoNumbers: Readonly<Record<ErrnoCode, number>> = {
  EPERM: 1, ENOENT: 2, EINTR: 4, EIO: 5, ENXIO: 6, EBADF: 9, EAGAIN: 11, EACCES: 13, EBUSY: 16, EEXIST: 17, EXDEV: 18,
  ENODEV: 19, ENOTDIR: 20, EISDIR: 21, EINVAL: 22, ENOTTY: 25, EFBIG: 27, ENOSPC: 28, EROFS: 30, EMLINK: 31, EPIPE: 32, ERANGE: 34,
  EDEADLK: 35, ENAMETOOLONG: 36, ENOLCK: 37, ENOSYS: 38, ENOTEMPTY: 39, ELOOP: 40, ENODATA: 61, EOVERFLOW: 75,
  ENOTSUP: 95, ENOTCONN: 107, ESTALE: 116, EDQUOT: 122,
}; // biome-ignore format: a table reads better than a column

/** Domain codes that have a better errno than EIO. */
const special: Partial<Record<ErrorCode, ErrnoCode>> = {
  'store-full': 'ENOSPC',
  'bad-input': 'EINVAL',
  'permission-denied': 'EACCES',
  unsupported: 'ENOTSUP',
  cancelled: 'EINTR',
  busy: 'EBUSY',
};

/** The positive errno for anything thrown; what has no better one is EIO. */
export function errnoOf(thrown: unknown): number {
  const { code } = FsError.from(thrown);
  if (isErrnoCode(code)) return errnoNumbers[code];
  return errnoNumbers[special[code] ?? 'EIO'];
}
