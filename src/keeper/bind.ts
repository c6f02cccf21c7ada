// Binds a volume's mount at a path of kubelet's, and takes binds away. What stands at a path is read from mountinfo and
// proven on descriptors, never assumed; mounts that are not ours are left alone.
import { closeSync } from 'node:fs';
import { FsError, fail } from '../base/errors.ts';
import { native } from '../native/native.ts';
import type { KubeletPaths } from './kubelet-paths.ts';
import { type MountEntry, topMount } from './mountinfo.ts';

const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
/** Attributes from memory: a worker that is just being replaced must not hold up the keeper. */
const AT_STATX_DONT_SYNC = 0x4000;
const OPEN_TREE_CLONE = 1;
const OPEN_TREE_CLOEXEC = 0o2000000;
const MOVE_MOUNT_EMPTY_PATHS = 0x04 | 0x40;
const MOUNT_ATTR_RDONLY = 1;
const MS_RDONLY = 1;
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;

export const MOUNT_TYPE = 'fuse.pageseal';
/** Source of the tmpfs below a bind. */
const EMPTY = 'pageseal-empty';
/** A bind, its tmpfs, and what earlier failures may have left; more is somebody's mistake. */
const MAX_LAYERS = 16;

export interface BindSource {
  /** Where the keeper mounted the volume. */
  readonly mountPoint: string;
  /** major:minor. */
  readonly device: string;
}

/** Answers whether the volume stood there already. With `floor`, a read-only empty tmpfs lies below. */
export async function bind(
  paths: KubeletPaths,
  source: BindSource,
  path: string,
  options: { readonly readOnly: boolean; readonly floor: boolean; readonly isLive: (device: string) => boolean },
): Promise<boolean> {
  const plain = paths.check(path);
  let top = topMount(plain);
  while (top !== undefined && isVolume(top) && top.device !== source.device) {
    if (options.isLive(top.device)) throw fail('conflict', `binding at ${path}: another volume is mounted there`);
    await removeTop(paths, plain, true); // left by a keeper that is gone
    top = topMount(plain);
  }
  if (top !== undefined && isVolume(top)) {
    if (top.readOnly !== options.readOnly)
      throw fail('conflict', `binding at ${path}: it is bound ${top.readOnly ? 'read-only' : 'writable'} already`);
    return true;
  }
  if (options.floor && top === undefined) {
    await inside(paths, plain, (fd) => {
      const flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
      native.mount(EMPTY, `/proc/self/fd/${fd}`, 'tmpfs', flags, 'size=4k,nr_inodes=2,mode=0555');
    });
  } else if (top !== undefined && !isFloor(top)) {
    throw fail('failed-precondition', `binding at ${path}: a mount of type ${top.type} stands there`);
  }
  await inside(paths, plain, (fd) => attach(source, fd, path, options.readOnly));
  return false;
}

function attach(source: BindSource, target: number, path: string, readOnly: boolean): void {
  const tree = native.openTree(AT_FDCWD, source.mountPoint, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  try {
    const { devMajor, devMinor } = native.statx(tree, '', AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0);
    if (`${devMajor}:${devMinor}` !== source.device)
      throw fail('internal', `binding at ${path}: device ${devMajor}:${devMinor} found, ${source.device} wanted`);
    if (readOnly) native.mountSetattr(tree, '', AT_EMPTY_PATH, MOUNT_ATTR_RDONLY, 0);
    native.moveMount(tree, '', target, '', MOVE_MOUNT_EMPTY_PATHS);
  } finally {
    closeSync(tree);
  }
}

/** Takes away all of ours at a path; what is missing is done. `detach`: also what is in use. */
export async function unbind(
  paths: KubeletPaths,
  path: string,
  options: {
    readonly device: string | undefined;
    readonly isLive: (device: string) => boolean;
    readonly detach?: boolean;
  },
): Promise<void> {
  const plain = paths.check(path);
  for (let layer = 0; layer < MAX_LAYERS; layer++) {
    const top = topMount(plain);
    if (top === undefined) return;
    if (!isVolume(top) && !isFloor(top))
      throw fail('failed-precondition', `taking away the bind at ${path}: a mount of type ${top.type} stands there`);
    const stale = isVolume(top) && !options.isLive(top.device);
    if (isVolume(top) && !stale && top.device !== options.device)
      throw fail('failed-precondition', `taking away the bind at ${path}: another volume is mounted there`);
    await removeTop(paths, plain, stale || options.detach === true);
  }
  throw fail('failed-precondition', `taking away the bind at ${path}: more than ${MAX_LAYERS} mounts on each other`);
}

/** Where a volume is bound, from what the kernel shows: a target has the floor below it, the staging path has not. */
export function boundAt(
  root: string,
  device: string,
  entries: readonly MountEntry[],
): { readonly stagingPath: string; readonly targets: readonly string[] } {
  // Another root than the volume's own: kubelet's bind of a subPath.
  const paths = entries
    .filter(
      (entry) => isVolume(entry) && entry.device === device && entry.root === '/' && entry.path.startsWith(`${root}/`),
    )
    .map(({ path }) => path);
  const isTarget = (path: string): boolean => entries.some((entry) => entry.path === path && isFloor(entry));
  return { stagingPath: paths.find((path) => !isTarget(path)) ?? '', targets: [...new Set(paths.filter(isTarget))] };
}

async function removeTop(paths: KubeletPaths, path: string, detach: boolean): Promise<void> {
  await paths.viaParent(path, (stable) => removeMount(stable, path, detach));
}

/** One umount; in use: detached when allowed, else `busy`. */
export async function removeMount(stable: string, path: string, detach: boolean): Promise<void> {
  try {
    await native.umountAsync(stable, UMOUNT_NOFOLLOW);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EINVAL' || code === 'ENOENT') return; // nothing is mounted any more
    if (code !== 'EBUSY') throw FsError.from(error, `unmounting ${path}`);
    if (!detach) throw fail('busy', `unmounting ${path}: files in it are in use`, { cause: error });
    await native.umountAsync(stable, UMOUNT_NOFOLLOW | MNT_DETACH);
  }
}

async function inside(paths: KubeletPaths, path: string, work: (fd: number) => void): Promise<void> {
  const done = await paths.within(path, (fd) => {
    work(fd);
    return true;
  });
  if (done === undefined) throw fail('failed-precondition', `binding at ${path}: the folder does not exist`);
}

export const isVolume = (entry: MountEntry): boolean => entry.type === MOUNT_TYPE;
const isFloor = (entry: MountEntry): boolean => entry.type === 'tmpfs' && entry.source === EMPTY;
