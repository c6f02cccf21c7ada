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
  setDumpable(dumpable: boolean): void;
  /** PR_SET_IO_FLUSHER for this process. */
  setIoFlusher(): void;
}

const require = createRequire(import.meta.url);
export const native: Native = require('../../build/pageseal.node') as Native;
