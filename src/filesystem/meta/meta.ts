// The face of the metadata engine as the rest of the file system sees it: one method per operation, each a single
// transaction with the rules of the spec (section 5). Knows no kernel and no pages.
import type { Caller, Ino, LedgerEntry, SliceId } from '../../base/words.ts';
import type { AtimeMode } from './atime.ts';
import type { LockRange } from './lock-ranges.ts';
import type { HeldLocks, LockAnswer, LockFamily, LockRequest } from './locks.ts';
import type { Attr, AttrChange, Dirent, NodeType, Slice, VolumeUsage } from './types.ts';

/** A chunk as readers need it: the records in commit order and the ledger rows of every slice they name. */
export interface ChunkView {
  readonly slices: readonly Slice[];
  readonly ledger: readonly LedgerEntry[];
}

/** One slice ready to be committed: its pages are in the store. */
export interface SliceCommit {
  readonly indx: number;
  readonly slice: Slice;
  readonly ledger: readonly LedgerEntry[];
  /** Time of the data, nanoseconds; becomes the file's mtime. */
  readonly mtime: bigint;
}

/** A chunk that a commit added records to. */
export interface ChunkGrowth {
  readonly indx: number;
  /** In all, with those `added`. */
  readonly records: number;
  readonly added: number;
}

/** Whoever commits hears of it. */
export interface CommitWatcher {
  /** Throws where the data may not be committed any more; asked by each attempt, when the session is known to be alive. */
  check(): void;
  /** Of each chunk, unless all was committed before. */
  grown(chunk: ChunkGrowth): void;
}

/** Where bytes that were to go to the end of a file went. */
export interface Appended {
  readonly attr: Attr;
  /** Undefined when they had been committed before, by a call whose answer was lost. */
  readonly records: readonly SliceCommit[] | undefined;
}

/** A place in a file. */
export interface Place {
  readonly ino: Ino;
  readonly offset: bigint;
}

export interface Copied {
  /** Of the target. */
  readonly attr: Attr;
  /** May be less than was asked for: at the end of the source, and where much is to be done. */
  readonly copied: bigint;
}

export interface CreateResult {
  readonly attr: Attr;
  /** False when the name existed and was opened (create without O_EXCL). */
  readonly created: boolean;
}

export interface Removing {
  /** Past the trash, for tools: at once and for good. */
  readonly skipTrash?: boolean;
}

/**
 * Errors are FsError with errno codes as the spec section of each operation has them; `name` is bytes, checked here
 * (1..255, no '/' or NUL, not '.' or '..'). Methods that change something are idempotent under `caller.request`.
 */
export interface Meta {
  readonly readOnly: boolean;

  lookup(caller: Caller, parent: Ino, name: Buffer): Promise<Attr>;
  getattr(ino: Ino): Promise<Attr>;
  /** How many of the links that nlink counts lie in the trash. */
  linksInTrash(ino: Ino): Promise<number>;
  setattr(caller: Caller, ino: Ino, change: AttrChange): Promise<Attr>;
  readlink(ino: Ino): Promise<Buffer>;
  /** The node was looked at: moves its atime if the mode wants it, and nothing else. */
  accessed(ino: Ino, mode: AtimeMode): Promise<void>;

  create(caller: Caller, parent: Ino, name: Buffer, mode: number, exclusive: boolean): Promise<CreateResult>;
  mknod(caller: Caller, parent: Ino, name: Buffer, type: NodeType, mode: number, rdev: number): Promise<Attr>;
  mkdir(caller: Caller, parent: Ino, name: Buffer, mode: number): Promise<Attr>;
  symlink(caller: Caller, parent: Ino, name: Buffer, target: Buffer): Promise<Attr>;
  link(caller: Caller, ino: Ino, parent: Ino, name: Buffer): Promise<Attr>;
  /** `flags` as renameat2: 1 NOREPLACE, 2 EXCHANGE. */
  rename(caller: Caller, parent: Ino, name: Buffer, newParent: Ino, newName: Buffer, flags: number): Promise<void>;
  unlink(caller: Caller, parent: Ino, name: Buffer, how?: Removing): Promise<void>;
  rmdir(caller: Caller, parent: Ino, name: Buffer, how?: Removing): Promise<void>;

  /** A page of a directory in byte order of names, strictly after `after`; without '.' and '..'. */
  readdir(ino: Ino, after: Buffer | undefined, limit: number, plus: boolean): Promise<Dirent[]>;
  /** The same page by position; for a directory handle whose names were lost with a worker. */
  readdirAt(ino: Ino, position: number, limit: number, plus: boolean): Promise<Dirent[]>;

  getxattr(ino: Ino, name: string): Promise<Buffer>;
  listxattr(ino: Ino): Promise<string[]>;
  /** `flags` as setxattr(2): 1 create only, 2 replace only. */
  setxattr(caller: Caller, ino: Ino, name: string, value: Buffer, flags: number): Promise<void>;
  removexattr(caller: Caller, ino: Ino, name: string): Promise<void>;

  truncate(caller: Caller, ino: Ino, length: bigint): Promise<Attr>;
  fallocate(caller: Caller, ino: Ino, mode: number, offset: bigint, size: bigint): Promise<Attr>;
  /** What `source` shows is shown at `target` too, without data being moved. Both have no dirty data there. */
  copyRange(
    caller: Caller,
    source: Place,
    target: Place,
    size: bigint,
    grown?: (chunk: ChunkGrowth) => void,
  ): Promise<Copied>;
  readChunk(ino: Ino, indx: number): Promise<ChunkView>;
  /** Chunk indexes of a file that have a row, ascending, from `from`; for lseek and checks. */
  chunkIndexes(ino: Ino, from: number, limit: number): Promise<number[]>;
  /** Appends records in the order given, in one transaction; answers the file's attributes after it. */
  commitSlices(caller: Caller, ino: Ino, commits: readonly SliceCommit[], watcher?: CommitWatcher): Promise<Attr>;
  /** The same for slices of appended bytes: they go to the end of the file, one after the other, wherever that is by now. */
  commitAppended(ino: Ino, commits: readonly SliceCommit[], watcher?: CommitWatcher): Promise<Appended>;
  /** A slice id never used before, from this session's batch. */
  newSliceId(): Promise<SliceId>;
  /** Waits until everything committed so far survives a power cut. */
  sync(): Promise<void>;

  /** Handle counting: an unlinked file with handles stays (sustained row) until the last close. */
  opened(ino: Ino): void;
  closed(ino: Ino): Promise<void>;
  /** The kernel dropped the inode: a sustained file without handles of ours (a predecessor's) goes now. */
  forgotten(ino: Ino): void;

  /** Sets, changes or takes away one lock, or says that another holder is in the way. Repeating it changes nothing. */
  setLock(request: LockRequest): Promise<LockAnswer>;
  /** The lock that `request` would wait for. */
  conflictingLock(request: LockRequest): Promise<LockRange | undefined>;
  /** Every holder's locks on a file, ours too; whose session is `sessionId` is ours. */
  locksOn(family: LockFamily, ino: Ino): Promise<readonly HeldLocks[]>;
  /** What a predecessor left this session holding. */
  inheritedLocks(): Promise<readonly Pick<LockRequest, 'family' | 'ino' | 'owner'>[]>;
  /** Whether the volume is mounted elsewhere for writing, as the database says now. */
  hasOtherSessions(): Promise<boolean>;
  /** After each operation of ours that changed entries: the directories as it left them, for who knows that it was alone. */
  onTouched(listener: (directories: readonly Attr[]) => void): void;
  /** Changes when another client ended the session: what it locked is lost then, and `onSessionLost` is called. */
  readonly sessionId: bigint | undefined;
  onSessionLost(listener: () => void): void;

  /** As seen from an inode; from `root` where no directory is known to be the one above it. */
  statfs(ino: Ino, root?: Ino): Promise<VolumeUsage>;
  /** Flushes deltas, ends the session (unless `keepSession`: a successor will go on with it), closes the database. */
  close(options?: { readonly keepSession?: boolean }): Promise<void>;
}
