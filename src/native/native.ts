// The typed face of the C addon: thin system calls, no policy. Every call throws an Error with `code` (errno name) and
// `syscall`. Built by setup/addon.mjs into build/pageseal.node.
import { createRequire } from 'node:module';

/** What statx(2) told; numbers that may pass 2^53 are bigint. */
export interface Statx {
  readonly mask: number;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly ino: bigint;
  readonly size: bigint;
  readonly devMajor: number;
  readonly devMinor: number;
  /** With STATX_MNT_ID (0x1000) or STATX_MNT_ID_UNIQUE (0x4000) in `mask`. */
  readonly mountId: bigint;
  /** STATX_ATTR_*: 0x800 encrypted (fscrypt), 0x2000 root of a mount; valid where `attributesMask` has the bit. */
  readonly attributes: bigint;
  readonly attributesMask: bigint;
}

export interface Statfs {
  /** f_type: the file system's magic number (FUSE 0x65735546, tmpfs 0x01021994). */
  readonly type: number;
  readonly blockSize: number;
  readonly blocks: bigint;
  readonly free: bigint;
  readonly available: bigint;
  readonly files: bigint;
  readonly filesFree: bigint;
}

/** One packet of a unix socket. Its descriptors are the receiver's to close; without data it is the end. */
export interface Packet {
  readonly data: Buffer;
  readonly fds: readonly number[];
  /** Data or descriptors were more than there was room for, and are lost. */
  readonly truncated: boolean;
}

export interface Peer {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

declare const watcher: unique symbol;
/** A descriptor on the event loop (socket.c). */
export interface Watcher {
  readonly [watcher]: true;
}

declare const channel: unique symbol;
/** A /dev/fuse descriptor on the event loop (fuse.c). */
export interface FuseChannel {
  readonly [channel]: true;
}

/** Calls that also exist with the suffix Async: on a thread of its own, for what a file system's server may hold up. */
interface Calls {
  // mount.c
  /** mount(2). */
  mount(source: string, target: string, type: string, flags: number, data: string): void;
  /** umount2(2); flags MNT_FORCE 1, MNT_DETACH 2, UMOUNT_NOFOLLOW 8. */
  umount(target: string, flags: number): void;
  /** open_tree(2) relative to a directory descriptor (-100: AT_FDCWD). */
  openTree(directory: number, path: string, flags: number): number;
  /** move_mount(2); `flags` 4 F_EMPTY_PATH, 0x40 T_EMPTY_PATH. */
  moveMount(from: number, fromPath: string, to: number, toPath: string, flags: number): void;
  /** mount_setattr(2) with attr_set and attr_clr. */
  mountSetattr(directory: number, path: string, flags: number, set: number, clear: number): void;

  // fd.c
  /** memfd_create(2); flags MFD_CLOEXEC 1, MFD_ALLOW_SEALING 2, MFD_NOEXEC_SEAL 8. */
  memfdCreate(name: string, flags: number): number;
  /** dlopen(3), for good: ENOENT whatever goes wrong. */
  loadLibrary(path: string): void;

  // socket.c; SOCK_SEQPACKET, close-on-exec, never waiting
  /** A socket that listens at `path`, which must not exist. */
  listenPackets(path: string, backlog: number): number;
  /** EAGAIN: too many wait there already; ECONNREFUSED: nobody listens any more. */
  connectPackets(path: string): number;
  /** The next connection; EAGAIN: none waits. */
  acceptPackets(descriptor: number): number;
  /** SO_PEERCRED: who connected, or made the socket that listens. */
  peerOf(descriptor: number): Peer;
  /** poll(2) without waiting: the events that are there (POLLIN 1, POLLERR 8, POLLHUP 16). */
  pollNow(descriptor: number, events: number): number;

  // inspect.c
  /** statx(2); flags AT_SYMLINK_NOFOLLOW 0x100, AT_EMPTY_PATH 0x1000, AT_NO_AUTOMOUNT 0x800. */
  statx(directory: number, path: string, flags: number, mask: number): Statx;
  /**
   * openat2(2); resolve NO_XDEV 1, NO_MAGICLINKS 2, NO_SYMLINKS 4, BENEATH 8, IN_ROOT 16. O_CLOEXEC is the caller's to
   * give.
   */
  openat2(directory: number, path: string, flags: number, mode: number, resolve: number): number;
  /** syncfs(2). */
  syncfs(descriptor: number): void;
  statfs(path: string): Statfs;

  // file.c
  /** fsync(2) of a folder, with its opening and closing. */
  syncFolder(path: string): void;
}

type Later = {
  [K in keyof Calls as `${K}Async`]: (...args: Parameters<Calls[K]>) => Promise<ReturnType<Calls[K]>>;
};

export interface Native extends Calls, Later {
  // fuse.c
  /**
   * Puts a /dev/fuse descriptor on the event loop, not reading yet; it becomes nonblocking and stays the caller's to
   * close, after fuseClose. `slab` takes the requests, each with room for `largest` bytes; `table` their offset and
   * length in turn; `control` is read by the channel: word 0 requests in flight, word 1 microseconds to poll before
   * sleeping when there are none. `onBatch(count, idle)`: requests to be handled before it returns, and for how many
   * microseconds nothing had come since the last reply. `onEnd(errno)`: ENODEV 19 unmounted, ECONNABORTED 103 aborted.
   */
  fuseOpen(
    descriptor: number,
    slab: Buffer,
    table: Uint32Array,
    control: Int32Array,
    largest: number,
    onBatch: (count: number, idle: number) => void,
    onEnd: (errno: number) => void,
  ): FuseChannel;
  fuseRead(channel: FuseChannel, on: boolean): void;
  fuseClose(channel: FuseChannel): void;
  /**
   * One reply in one writev; `error` as the wire has it (negative errno). Answers 0 or the errno of the write: 2 the
   * request is gone (interrupted, answered by a predecessor), 7 more than 256 pieces, 19 unmounted.
   */
  fuseReply(
    channel: FuseChannel,
    uniqueLow: number,
    uniqueHigh: number,
    error: number,
    body?: Buffer | readonly Buffer[],
  ): number;

  // file.c
  /**
   * On a pool thread, in one trip: makes `temporary` (which must not exist) of `parts` (eight at most; they must not
   * change), forces it to the disk and renames it to `path`; with `withFolder` it forces that folder too. No temporary file stays
   * behind.
   */
  replaceFile(
    temporary: string,
    path: string,
    mode: number,
    parts: readonly Buffer[],
    withFolder: boolean,
  ): Promise<void>;
  /** On a pool thread, in one trip: a whole file, or undefined when it is longer than `limit`. */
  readSmallFile(path: string, limit: number): Promise<Buffer | undefined>;

  // socket.c
  /** Answers 0 or the errno: 11 (EAGAIN) no room, 109 (ETOOMANYREFS) too many descriptors on their way. */
  sendPacket(descriptor: number, data: Buffer, fds: readonly number[]): number;
  /** undefined: none waits. */
  receivePacket(descriptor: number, limit: number): Packet | undefined;
  /** `ready` gets the events that came: 1 readable, 2 writable. Waits for nothing before `watchFor`. */
  watchDescriptor(descriptor: number, ready: (events: number) => void): Watcher;
  /** 1 readable, 2 writable, 0 nothing. */
  watchFor(watcher: Watcher, events: number): void;
  /** To be called before the descriptor is closed. */
  watchEnd(watcher: Watcher): void;

  // process.c
  /** prctl(PR_SET_DUMPABLE); false also sets RLIMIT_CORE to 0. */
  setDumpable(dumpable: boolean): void;
  /** PR_SET_IO_FLUSHER for this process. */
  setIoFlusher(): void;
  /** Calls back once with exit code and signal (one of them 0), then closes the descriptor. */
  watchExit(pidfd: number, ended: (code: number, signal: number) => void): void;
  /** pidfd_send_signal(2). */
  signalProcess(pidfd: number, signal: number): void;
  /** socketpair(2), unix stream, close-on-exec. */
  socketPair(): [number, number];
  /** flock(2), exclusive, at once; false when another description holds it. Lasts as long as the description. */
  tryLock(fd: number): boolean;

  // spawn.c
  /** clone3 and execve; returns once exec has happened, throws what failed in the child. */
  spawn(plan: SpawnPlan): Spawned;
}

/** How spawn starts a process: no capabilities, no_new_privs, no core file, dies with its parent, own session. */
export interface SpawnPlan {
  readonly file: string;
  /** With argv[0]. */
  readonly args: readonly string[];
  /** The whole environment, KEY=value. */
  readonly env: readonly string[];
  readonly directory: string;
  /** Index i becomes descriptor i of the child; it gets no other. */
  readonly fds: readonly number[];
  /** Fallen back from when not permitted. */
  readonly newPidNamespace: boolean;
  /** Both or neither; neither keeps the caller's. */
  readonly uid?: number;
  readonly gid?: number;
  readonly oomScoreAdj: number;
}

export interface Spawned {
  readonly pid: number;
  readonly pidfd: number;
  readonly pidNamespace: boolean;
  readonly ioFlusher: boolean;
}

const require = createRequire(import.meta.url);
export const native: Native = require('../../build/pageseal.node') as Native;
