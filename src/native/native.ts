// The typed face of the C addon: thin system calls, no policy. Every call throws an Error with `code` (errno name) and
// `syscall`. Built by setup/addon.mjs into build/pageseal.node.
import { createRequire } from 'node:module';

export interface Native {
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
  memfdCreate(name: string, flags: number): number;

  // process.c
  /** prctl(PR_SET_DUMPABLE); false also sets RLIMIT_CORE to 0. */
  setDumpable(dumpable: boolean): void;
  /** PR_SET_IO_FLUSHER for this process. */
  setIoFlusher(): void;
  /** clone3 and execve; returns once exec has happened, throws what failed in the child. */
  spawn(plan: SpawnPlan): Spawned;
  /** Calls back once with exit code and signal (one of them 0), then closes the descriptor. */
  watchExit(pidfd: number, ended: (code: number, signal: number) => void): void;
  /** pidfd_send_signal(2). */
  signalProcess(pidfd: number, signal: number): void;
  /** socketpair(2), unix stream, close-on-exec. */
  socketPair(): [number, number];
  /** flock(2), exclusive, at once; false when another description holds it. Lasts as long as the description. */
  tryLock(fd: number): boolean;
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
