// Numbers and layouts of the FUSE kernel protocol, 7.31 to 7.45 (kernels 5.4 to 6.18). Offsets are bytes from the start
// of the structure; all values are in the machine's order, which is little-endian on every machine Pageseal runs on.

export const MAJOR = 7;
/** Kernels before 5.4 speak less; cached symlinks, max_pages and zero-padded INIT are then not to be had. */
export const OLDEST_MINOR = 31;
export const NEWEST_MINOR = 45;

export const ROOT_NODE = 1n;

/** Bit 63 of an id, as a bit of its upper word: the request was sent before and not answered. */
export const RESENT_BIT = 0x8000_0000;
/** Ids of INTERRUPT requests have the lowest bit set; what they interrupt is in the body. */
export const InHeader = {
  size: 40, length: 0, opcode: 4, uniqueLow: 8, uniqueHigh: 12, node: 16, uid: 24, gid: 28, pid: 32, extensions: 36,
} as const; // biome-ignore format: a table reads better than a column

export const Opcode = {
  LOOKUP: 1, FORGET: 2, GETATTR: 3, SETATTR: 4, READLINK: 5, SYMLINK: 6, MKNOD: 8, MKDIR: 9, UNLINK: 10, RMDIR: 11,
  RENAME: 12, LINK: 13, OPEN: 14, READ: 15, WRITE: 16, STATFS: 17, RELEASE: 18, FSYNC: 20, SETXATTR: 21, GETXATTR: 22,
  LISTXATTR: 23, REMOVEXATTR: 24, FLUSH: 25, INIT: 26, OPENDIR: 27, READDIR: 28, RELEASEDIR: 29, FSYNCDIR: 30,
  GETLK: 31, SETLK: 32, SETLKW: 33, ACCESS: 34, CREATE: 35, INTERRUPT: 36, BMAP: 37, DESTROY: 38, IOCTL: 39, POLL: 40,
  NOTIFY_REPLY: 41, BATCH_FORGET: 42, FALLOCATE: 43, READDIRPLUS: 44, RENAME2: 45, LSEEK: 46, COPY_FILE_RANGE: 47,
  SETUPMAPPING: 48, REMOVEMAPPING: 49, SYNCFS: 50, TMPFILE: 51, STATX: 52, COPY_FILE_RANGE_64: 53,
} as const; // biome-ignore format: a table reads better than a column

/** One more than the highest opcode known. */
export const OPCODES = 54;

/** INIT flags below bit 32; those above are in `InitFlag2`, shifted down, and count only with INIT_EXT. */
export const InitFlag = {
  ASYNC_READ: 1 << 0,
  POSIX_LOCKS: 1 << 1,
  ATOMIC_O_TRUNC: 1 << 3,
  BIG_WRITES: 1 << 5,
  DONT_MASK: 1 << 6,
  FLOCK_LOCKS: 1 << 10,
  AUTO_INVAL_DATA: 1 << 12,
  DO_READDIRPLUS: 1 << 13,
  READDIRPLUS_AUTO: 1 << 14,
  PARALLEL_DIROPS: 1 << 18,
  POSIX_ACL: 1 << 20,
  ABORT_ERROR: 1 << 21,
  MAX_PAGES: 1 << 22,
  CACHE_SYMLINKS: 1 << 23,
  HANDLE_KILLPRIV_V2: 1 << 28,
  SETXATTR_EXT: 1 << 29,
  INIT_EXT: 1 << 30,
} as const;

export const InitFlag2 = {
  HAS_EXPIRE_ONLY: 1 << 3,
  DIRECT_IO_ALLOW_MMAP: 1 << 4,
  NO_EXPORT_SUPPORT: 1 << 6,
  HAS_RESEND: 1 << 7,
} as const;

export const Notify = { INVAL_INODE: 2, INVAL_ENTRY: 3, RESEND: 7 } as const;
/** notify_inval_entry: only let the entry's lifetime end, so that open files keep their names. */
export const EXPIRE_ONLY = 1;

export const SetattrValid = {
  MODE: 1 << 0,
  UID: 1 << 1,
  GID: 1 << 2,
  SIZE: 1 << 3,
  ATIME: 1 << 4,
  MTIME: 1 << 5,
  FH: 1 << 6,
  ATIME_NOW: 1 << 7,
  MTIME_NOW: 1 << 8,
  KILL_SUIDGID: 1 << 11,
} as const;

export const SetattrIn = {
  valid: 0, fh: 8, size: 16, atime: 32, mtime: 40, atimensec: 56, mtimensec: 60, mode: 68, uid: 76, gid: 80,
} as const; // biome-ignore format: a table reads better than a column

export const IoctlIn = { command: 12, outSize: 28 } as const;

export const GETATTR_FH = 1;
export const WRITE_CACHE = 1 << 0;
export const WRITE_KILL_SUIDGID = 1 << 2;
export const OPEN_KILL_SUIDGID = 1;
/** Of setxattr_flags, which only the longer header has. */
export const SETXATTR_ACL_KILL_SGID = 1;
export const RELEASE_FLOCK_UNLOCK = 1 << 1;

export const LockIn = { fh: 0, owner: 8, start: 16, end: 24, type: 32, pid: 36, flags: 40 } as const;
export const LOCK_FLOCK = 1;

export const O_TRUNC = 0o1000;
/** Of the open file's flags as they are when it is written to. */
export const O_APPEND = 0o2000;

export const OpenFlag = { DIRECT_IO: 1, KEEP_CACHE: 2 } as const;

export const Size = {
  initOut: 64, attr: 88, attrOut: 104, entryOut: 128, openOut: 16, statfsOut: 80, dirent: 24, setxattrIn: 8, setxattrExtIn: 16, ioctlIn: 32, ioctlOut: 16, writeIn: 40,
  lockOut: 24,
} as const; // biome-ignore format: a table reads better than a column

export const Errno = { ENOENT: 2, EINTR: 4, EIO: 5, E2BIG: 7, ENODEV: 19, ENOSYS: 38, EPROTO: 71, ECONNABORTED: 103 };

/** S_IFMT of mode. */
export const TYPE_MASK = 0o170000;

const names: readonly string[] = (() => {
  const list: string[] = [];
  for (const [name, code] of Object.entries(Opcode)) list[code] = name.toLowerCase();
  return list;
})();

/** For log lines and counters. */
export const opcodeName = (opcode: number): string => names[opcode] ?? `opcode-${opcode}`;
