// File-system behaviour keyed by inode: the face the kernel's side (fuse/) and library users call. Knows no kernel and
// no SQL. Inodes here are the file system's own; the FUSE side translates node id 1 to the mounted directory.
import type { Caller, Ino } from '../../base/words.ts';
import { type LockRange, LockType } from '../meta/lock-ranges.ts';
import type { Attr, AttrChange, NodeType, VolumeUsage } from '../meta/types.ts';

export { NodeFlag, NodeType } from '../meta/types.ts';
export type { Attr, AttrChange, Caller, Ino, LockRange, VolumeUsage };
export { LockType };

/** An inode and for how long the kernel may believe it, milliseconds. */
export interface Entry {
  readonly attr: Attr;
  readonly entryTimeout: number;
  readonly attrTimeout: number;
}

/** A handle is 64 bits: what it was opened with is in it, so that a successor can rebuild it (see vfs/handles.ts). */
export type HandleId = bigint;

export interface Opened {
  readonly handle: HandleId;
  /** The kernel may keep its pages: mtime and ctime are what they were at the last close. */
  readonly keepCache: boolean;
  readonly directIo: boolean;
  /** The kernel may believe attributes that are no longer so, and is to forget them before it hears of the handle. */
  readonly attributesChanged?: boolean;
  /** A file without set-id bits: nothing has to go when it is written to. */
  readonly plain?: boolean;
}

export interface DirectoryEntry {
  readonly name: Buffer;
  readonly ino: Ino;
  readonly type: NodeType;
  /** Where the next read goes on. */
  readonly nextOffset: bigint;
  /** Only in readdirplus, not for '.' and '..', and not where it would take a look of its own. */
  readonly entry?: Entry;
}

/** A place in an open file. */
export interface OpenPlace {
  readonly ino: Ino;
  readonly handle: HandleId;
  readonly offset: bigint;
}

/** setattr with the two things that are no attribute of the node row. */
export interface VfsAttrChange extends AttrChange {
  /** Truncate to this many bytes. */
  readonly size?: bigint;
}

/** What is asked of a lock: of flock(2), which knows whole files only, or of fcntl(2). */
export interface FileLock extends LockRange {
  readonly flock: boolean;
  /** 64 bits: the open file as the kernel numbers it, or the process. */
  readonly owner: bigint;
}

/**
 * Every method rejects with FsError. `handle` is what open/create answered, also by a predecessor of this process.
 * Methods that answer promises may be called concurrently; ordering between writes of one inode is theirs to keep.
 */
export interface Vfs {
  /** Inode of the mounted directory (subdir mounts: not 1). */
  readonly root: Ino;
  readonly readOnly: boolean;
  /** Whether the volume has access control lists, so that whoever checks permissions has to look at them. */
  readonly accessLists: boolean;
  /** Whether files may have capabilities, so that whoever hands on a change of one has to take them away. */
  readonly fileCapabilities: boolean;
  /** For how long the kernel may believe that a name is not there, milliseconds; absent: not at all. */
  readonly negativeTimeout?: number;

  /** Store or database is away, and what needs it waits. */
  readonly away: boolean;
  /** The mount is to end: nobody waits long any more for what is away. */
  endSoon(): void;

  lookup(caller: Caller, parent: Ino, name: Buffer): Promise<Entry>;
  forget(ino: Ino, count: bigint): void;
  getattr(caller: Caller, ino: Ino, handle: HandleId | undefined): Promise<Entry>;
  setattr(caller: Caller, ino: Ino, change: VfsAttrChange, handle: HandleId | undefined): Promise<Entry>;
  readlink(caller: Caller, ino: Ino): Promise<Buffer>;
  /** As access(2): mask of 4 read, 2 write, 1 execute, 0 exists; EACCES. For callers without default_permissions. */
  access(caller: Caller, ino: Ino, mask: number): Promise<void>;

  mknod(caller: Caller, parent: Ino, name: Buffer, mode: number, rdev: number): Promise<Entry>;
  mkdir(caller: Caller, parent: Ino, name: Buffer, mode: number): Promise<Entry>;
  symlink(caller: Caller, parent: Ino, name: Buffer, target: Buffer): Promise<Entry>;
  link(caller: Caller, ino: Ino, parent: Ino, name: Buffer): Promise<Entry>;
  rename(caller: Caller, parent: Ino, name: Buffer, newParent: Ino, newName: Buffer, flags: number): Promise<void>;
  unlink(caller: Caller, parent: Ino, name: Buffer): Promise<void>;
  rmdir(caller: Caller, parent: Ino, name: Buffer): Promise<void>;

  /** `flags` are open(2)'s. O_TRUNC is done here when the kernel leaves it to us (FUSE_ATOMIC_O_TRUNC). */
  open(caller: Caller, ino: Ino, flags: number): Promise<Opened>;
  create(caller: Caller, parent: Ino, name: Buffer, mode: number, flags: number): Promise<[Entry, Opened]>;
  /** At most `size` bytes from `offset`, as the pieces they lie in; fewer only at the end of the file. */
  read(caller: Caller, ino: Ino, handle: HandleId, offset: bigint, size: number): Promise<readonly Buffer[]>;
  /**
   * Takes a copy of `data` before it returns its promise: the caller reuses the buffer at once. `placed`: it belongs at
   * `offset` even if the handle was opened to append (a page of a mapping, or O_APPEND was cleared since).
   */
  write(caller: Caller, ino: Ino, handle: HandleId, offset: bigint, data: Buffer, placed?: boolean): Promise<number>;
  /**
   * close(2) of one descriptor: uploads and commits what is dirty and reports errors. The fcntl locks of `lockOwner` on the
   * file go, after its data is there.
   */
  flush(caller: Caller, ino: Ino, handle: HandleId, lockOwner?: bigint): Promise<void>;
  /** Like flush, and then it also survives a power cut. */
  fsync(caller: Caller, ino: Ino, handle: HandleId): Promise<void>;
  /** `flockOwner`: it was locked with flock, by this number. */
  release(caller: Caller, ino: Ino, handle: HandleId, flockOwner?: bigint): Promise<void>;
  /** The lock that would be in the way. */
  getLock(caller: Caller, ino: Ino, handle: HandleId, lock: FileLock): Promise<LockRange | undefined>;
  /**
   * EAGAIN when another lock is in the way and `wait` is not set; waiting ends by EINTR with caller.signal. Answers whether
   * the file was changed by another client, so that pages the kernel has are old.
   */
  setLock(caller: Caller, ino: Ino, handle: HandleId, lock: FileLock, wait: boolean): Promise<boolean>;
  fallocate(caller: Caller, ino: Ino, handle: HandleId, mode: number, offset: bigint, size: bigint): Promise<void>;
  /** copy_file_range(2), without moving data; answers how much, which may be less than `size`. */
  copyRange(caller: Caller, source: OpenPlace, target: OpenPlace, size: bigint): Promise<bigint>;
  /** SEEK_DATA 3 and SEEK_HOLE 4 of lseek(2); ENXIO. */
  lseek(caller: Caller, ino: Ino, handle: HandleId, offset: bigint, whence: number): Promise<bigint>;

  opendir(caller: Caller, ino: Ino): Promise<HandleId>;
  /**
   * Entries from `offset` (0 is the start; '.' and '..' first). `take` is called for each in turn and answers false when
   * its buffer is full; that entry is then the first of the next call.
   */
  readdir(
    caller: Caller,
    ino: Ino,
    handle: HandleId,
    offset: bigint,
    plus: boolean,
    take: (entry: DirectoryEntry) => boolean,
  ): Promise<void>;
  releasedir(caller: Caller, ino: Ino, handle: HandleId): Promise<void>;
  /** All that was done in the directory survives a power cut. */
  fsyncdir(caller: Caller, ino: Ino): Promise<void>;

  getxattr(caller: Caller, ino: Ino, name: string): Promise<Buffer>;
  listxattr(caller: Caller, ino: Ino): Promise<string[]>;
  setxattr(caller: Caller, ino: Ino, name: string, value: Buffer, flags: number): Promise<void>;
  removexattr(caller: Caller, ino: Ino, name: string): Promise<void>;

  /** `listener` hears of files whose pages the kernel must not keep, since what they show lies elsewhere now. */
  onStale(listener: (ino: Ino) => void): void;
  /** As seen from an inode: quotas around it count. */
  statfs(caller: Caller, ino: Ino): Promise<VolumeUsage>;
  /** Uploads and commits everything dirty of every file (syncfs, unmount, SIGTERM). Rejects with the first error. */
  flushAll(): Promise<void>;
}
