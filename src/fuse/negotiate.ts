// INIT: what kernel and session agree on. Pure. The result is plain data that outlives the process, because the kernel
// says it once per connection and a successor goes on with it.
import { fail } from '../base/errors.ts';
import { InitFlag, InitFlag2, MAJOR, NEWEST_MINOR, OLDEST_MINOR, Size } from './protocol.ts';

/** The largest request payload the kernel offers without a raised sysctl: 256 pages. */
export const MAX_WRITE = 1_048_576;
const MAX_PAGES = 256;
/** Reads ahead and other requests nobody waits for; the rest of a slow store's latency is hidden by the Vfs itself. */
const MAX_BACKGROUND = 64;
const CONGESTION = 48;
/** Times are exact to the nanosecond. */
const TIME_GRANULARITY = 1;

/** Locks are the volume's, so that other mounts respect them; without a session they stay the kernel's own. */
const WANTED_FOR_LOCKS = InitFlag.POSIX_LOCKS | InitFlag.FLOCK_LOCKS;

/**
 * Wanted when offered. Never EXPORT_SUPPORT (nodes cannot be looked up by number alone) nor WRITEBACK_CACHE (other
 * clients write too). HANDLE_KILLPRIV_V2 spares a getxattr per write and is kept in
 * operations/privileges.ts.
 */
const WANTED =
  InitFlag.ASYNC_READ |
  InitFlag.ATOMIC_O_TRUNC |
  InitFlag.BIG_WRITES |
  InitFlag.AUTO_INVAL_DATA |
  InitFlag.DO_READDIRPLUS |
  InitFlag.READDIRPLUS_AUTO |
  InitFlag.PARALLEL_DIROPS |
  InitFlag.ABORT_ERROR |
  InitFlag.MAX_PAGES |
  InitFlag.CACHE_SYMLINKS |
  InitFlag.HANDLE_KILLPRIV_V2 |
  InitFlag.SETXATTR_EXT |
  InitFlag.INIT_EXT;
const WANTED2 =
  InitFlag2.HAS_EXPIRE_ONLY | InitFlag2.DIRECT_IO_ALLOW_MMAP | InitFlag2.NO_EXPORT_SUPPORT | InitFlag2.HAS_RESEND;

/**
 * Where access control lists count: the kernel then asks for them and decides by them, and leaves the umask to us, since a
 * default list stands in its place.
 */
const WANTED_FOR_LISTS = InitFlag.POSIX_ACL | InitFlag.DONT_MASK;

/** What is wanted of the kernel beside what always is. */
export interface Wishes {
  readonly accessLists: boolean;
  /** Without a session they stay the kernel's own. */
  readonly locks: boolean;
  /** Bits of the upper flags that are not to be agreed on. */
  readonly refused2?: number;
}

/** JSON-able. */
export interface NegotiatedState {
  readonly minor: number;
  /** Bits 0 to 31 of the flags agreed on, and bits 32 to 63. */
  readonly flags: number;
  readonly flags2: number;
  readonly maxWrite: number;
  readonly maxReadahead: number;
}

export interface InitIn {
  readonly major: number;
  readonly minor: number;
  readonly maxReadahead: number;
  readonly flags: number;
  readonly flags2: number;
}

export const hasResend = (state: NegotiatedState): boolean => (state.flags2 & InitFlag2.HAS_RESEND) !== 0;
export const hasLongSetxattr = (state: NegotiatedState): boolean => (state.flags & InitFlag.SETXATTR_EXT) !== 0;
export const hasExpireOnly = (state: NegotiatedState): boolean => (state.flags2 & InitFlag2.HAS_EXPIRE_ONLY) !== 0;

/** undefined: the kernel speaks a later major version and asks again in ours after a reply that names it. */
export function negotiate(init: InitIn, wishes: Wishes): NegotiatedState | undefined {
  if (init.major > MAJOR) return undefined;
  if (init.major < MAJOR || init.minor < OLDEST_MINOR)
    throw fail('unsupported', `the kernel speaks FUSE ${init.major}.${init.minor}, wanted ${MAJOR}.${OLDEST_MINOR}`, {
      hint: 'Linux 5.4 or later is needed',
    });
  const wanted = WANTED | (wishes.accessLists ? WANTED_FOR_LISTS : 0) | (wishes.locks ? WANTED_FOR_LOCKS : 0);
  const flags = (init.flags & wanted) >>> 0;
  const extended = (flags & InitFlag.INIT_EXT) !== 0;
  return {
    minor: Math.min(init.minor, NEWEST_MINOR),
    flags,
    flags2: extended ? (init.flags2 & WANTED2 & ~(wishes.refused2 ?? 0)) >>> 0 : 0,
    maxWrite: MAX_WRITE,
    maxReadahead: init.maxReadahead,
  };
}

export function initBody(state: NegotiatedState | undefined): Buffer {
  const out = Buffer.alloc(Size.initOut);
  out.writeUInt32LE(MAJOR, 0);
  out.writeUInt32LE(NEWEST_MINOR, 4);
  if (state === undefined) return out;
  out.writeUInt32LE(state.minor, 4);
  out.writeUInt32LE(state.maxReadahead, 8);
  out.writeUInt32LE(state.flags, 12);
  out.writeUInt16LE(MAX_BACKGROUND, 16);
  out.writeUInt16LE(CONGESTION, 18);
  out.writeUInt32LE(state.maxWrite, 20);
  out.writeUInt32LE(TIME_GRANULARITY, 24);
  out.writeUInt16LE(MAX_PAGES, 28);
  out.writeUInt32LE(state.flags2, 32);
  return out;
}
