// Mounts a Vfs through package fuse-native (libfuse 2.9): the second transport, where the kernel's own protocol is not
// wanted. It gives no caller ids, so it serves the mounting user only. What else it cannot do: rename flags, locks,
// fallocate, lseek for holes, readdirplus, requests above 128 KiB (writes come in 4 KiB pieces), names and link targets
// that are not UTF-8, times finer than a millisecond, setting mtime apart from atime, flags of open at create (O_APPEND),
// interrupts, take-over by a successor; a file unlinked while open shows as .fuse_hidden until it is closed.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { FsError, fail } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { Vfs } from '../filesystem/vfs/vfs.ts';
import { native } from '../native/native.ts';
import { EdgeLog } from './edge-log.ts';
import { operationsOf } from './fuse-native-operations.ts';
import { unmountFuse } from './mount.ts';
import { DEFAULT_FLAGS, MountFlag, type MountOptions } from './mount-options.ts';

/** How often to look whether somebody else unmounted: the package does not say. */
const LOOK_MS = 500;
const MS_REMOUNT = 32;
const MS_BIND = 4096;
/** Of the whole superblock, which the package makes without them. */
const SUPERBLOCK_FLAGS = MountFlag.SYNCHRONOUS | MountFlag.DIRSYNC;

type Callback = (error?: Error | null) => void;
interface FuseNative {
  mount(callback: Callback): void;
  unmount(callback: Callback): void;
}
interface FuseNativeClass {
  new (target: string, operations: object, options: object): FuseNative;
  unmount(target: string, callback: Callback): void;
}

export interface FuseNativeMount {
  /** Resolves when the mount is gone, whoever took it, and everything dirty was flushed. */
  readonly stopped: Promise<void>;
  unmount(): Promise<void>;
}

export interface FuseNativeRequest {
  readonly target: string;
  readonly source: string;
  readonly vfs: Vfs;
  readonly log: Log;
  readonly options: MountOptions;
}

function load(): FuseNativeClass {
  const require = createRequire(import.meta.url);
  try {
    // The package's addon wants libfuse.so.2 from the system; the one beside it will do if it is there first.
    const beside = dirname(require.resolve('fuse-native/package.json'));
    native.loadLibrary(join(beside, 'prebuilds', `linux-${process.arch}`, 'libfuse.so'));
    const Fuse = require('fuse-native') as FuseNativeClass;
    // The package calls fusermount, which need not be installed, and unmounting is what we can do ourselves.
    Fuse.unmount = (target, callback) => {
      unmountFuse(target, true).then(
        () => callback(null),
        () => callback(null),
      );
    };
    return Fuse;
  } catch (cause) {
    throw fail('unsupported', `transport fuse-native on ${process.arch}`, {
      cause,
      hint: 'package fuse-native has a build for x64 only; use -o transport=kernel',
    });
  }
}

function isMounted(target: string): boolean {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return lines.some((line) => line.split(' ')[4] === target);
}

function refuseWhatItCannot(options: MountOptions): void {
  const hint = 'leave it out, or use transport=kernel';
  if (options.allowOther)
    throw fail('unsupported', 'mount option allow_other with transport=fuse-native: it gives no caller ids', { hint });
  if (options.contexts.length > 0)
    throw fail('unsupported', `mount option ${options.contexts[0]} with transport=fuse-native`, { hint });
  if ((options.flags & SUPERBLOCK_FLAGS) !== 0)
    throw fail('unsupported', 'mount options sync and dirsync with transport=fuse-native', { hint });
}

/** The package takes no mount(2) flags; on a pool thread, so that a request in between is answered. */
async function setFlags(target: string, flags: number): Promise<void> {
  if (flags === DEFAULT_FLAGS) return;
  try {
    await native.mountAsync('', target, '', MS_REMOUNT | MS_BIND | flags, '');
  } catch (thrown) {
    await unmountFuse(target, true).catch(() => undefined);
    throw FsError.from(thrown, `setting the mount options of ${target}`);
  }
}

export async function mountFuseNative(request: FuseNativeRequest): Promise<FuseNativeMount> {
  const { target, source, vfs, log, options } = request;
  refuseWhatItCannot(options);
  const Fuse = load();
  const fuse = new Fuse(target, operationsOf(vfs, new EdgeLog(log)), {
    fsname: (options.source ?? source).replaceAll(',', '_'),
    subtype: 'pageseal',
    defaultPermissions: true,
    // The Vfs bounds its own waiting.
    timeout: false,
  });
  await promised((callback) => fuse.mount(callback));
  await setFlags(target, options.flags);
  const stopped = (async () => {
    while (isMounted(target)) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    await promised((callback) => fuse.unmount(callback));
    vfs.endSoon();
    await vfs.flushAll();
  })();
  // Whoever asks gets the error; nobody has to.
  stopped.catch(() => undefined);
  return {
    stopped,
    async unmount() {
      await unmountFuse(target, true).catch(() => undefined);
      await stopped;
    },
  };
}

const promised = (call: (callback: Callback) => void): Promise<void> =>
  new Promise((resolve, reject) => call((error) => (error ? reject(error) : resolve())));
