// The Vfs over metadata and pages: puts the operation families together. No rule of its own.
import type { Log } from '../../base/log.ts';
import { gauge } from '../../base/metrics.ts';
import { endWithin, isAway, noWaits, type Outages, outagesOf } from '../../base/outage.ts';
import type { Caller, Ino } from '../../base/words.ts';
import type { AtimeMode } from '../meta/atime.ts';
import type { Meta } from '../meta/meta.ts';
import type { PageStore } from '../page/page-store.ts';
import { accessed } from './accessed.ts';
import * as attributes from './attributes.ts';
import { Believed, StaleOnce } from './believed.ts';
import type { Compactions } from './compactions.ts';
import { copyRange } from './copy.ts';
import { type Core, changing } from './core.ts';
import { Directories } from './directories.ts';
import { DirtyFiles } from './dirty-files.ts';
import { Handles } from './handles.ts';
import { Inodes } from './inodes.ts';
import { type Lifetimes, usualLifetimes } from './lifetimes.ts';
import { Locks } from './locks.ts';
import { forgetLoss, logInherited, noMarks } from './loss.ts';
import type { UncommittedMarks } from './marks.ts';
import * as names from './names.ts';
import * as opening from './opening.ts';
import { OwnChanges } from './own-changes.ts';
import { ReadAhead } from './read-ahead.ts';
import { Reader } from './reader.ts';
import * as shape from './reshape.ts';
import { Slabs } from './slabs.ts';
import { Transfer } from './transfer.ts';
import type {
  DirectoryEntry,
  Entry,
  FileLock,
  HandleId,
  LockRange,
  Opened,
  OpenPlace,
  Vfs,
  VfsAttrChange,
  VolumeUsage,
} from './vfs.ts';
import type { SecurityAttribute } from './xattrs.ts';
import * as xattrs from './xattrs.ts';

export interface VfsOptions {
  readonly meta: Meta;
  readonly pages: PageStore;
  readonly root: Ino;
  readonly accessLists?: boolean;
  /** Which of the attributes that the kernel looks for all the time are kept; default: none. */
  readonly keptSecurity?: readonly SecurityAttribute[];
  readonly log: Log;
  readonly marks?: UncommittedMarks;
  readonly epoch?: number;
  readonly lifetimes?: Lifetimes;
  /** Default: noatime. */
  readonly atimeMode?: AtimeMode;
  /** Bytes of dirty data in memory. */
  readonly dirtyBytes?: number;
  /** As metadata and pages know them; absent: nothing waits. */
  readonly outages?: Outages;
  /** Absent: chunks are left as they are. Stopped by its owner, after the last flush. */
  readonly compactions?: Compactions;
}

export class VolumeVfs implements Vfs {
  readonly root: Ino;
  readonly readOnly: boolean;
  readonly accessLists: boolean;
  readonly fileCapabilities: boolean;
  readonly negativeTimeout: number;
  /** Inodes of which a predecessor lost data that was acknowledged. */
  readonly lostInodes: number;
  readonly #core: Core;
  readonly #directories: Directories;
  readonly #transfer: Transfer;
  readonly #locks: Locks;

  constructor(options: VfsOptions) {
    const { meta, pages, root, log, marks = noMarks, epoch = 0, lifetimes = usualLifetimes } = options;
    const { outages = outagesOf(log, noWaits) } = options;
    this.root = root;
    this.readOnly = meta.readOnly;
    this.accessLists = options.accessLists === true;
    const keptSecurity = new Set(options.keptSecurity);
    this.fileCapabilities = keptSecurity.has('security.capability');
    this.negativeTimeout = lifetimes.negativeEntry;
    const slabs = new Slabs(pages.pageSize, options.dirtyBytes);
    gauge('pageseal_dirty_bytes', 'Written data in memory that is not committed', () => slabs.used);
    const dirtyFiles = new DirtyFiles(slabs);
    const lost = [...new Set(marks.inherited())];
    logInherited(lost, log);
    this.lostInodes = lost.length;
    const { compactions } = options;
    const inodes = new Inodes(meta, { meta, pages, slabs, dirtyFiles, marks, log, compactions }, lost);
    if (compactions !== undefined) compactions.onReplaced = (ino, indx) => inodes.get(ino)?.views.drop(indx);
    const files: Core['files'] = new Handles(epoch);
    const { readOnly } = this;
    const { atimeMode = 'noatime' } = options;
    const tables = { marks, inodes, files, dirtyFiles, compactions, lockLost: new Set<Ino>() };
    const own = new OwnChanges(lifetimes.attr);
    meta.onTouched((directories) => own.touched(directories));
    const telling = { lifetimes, own, believed: new Believed(lifetimes.attr), staleOnce: new StaleOnce() };
    const parts = { meta, pages, log, outages, root, readOnly, atimeMode, keptSecurity };
    this.#core = { ...parts, ...telling, ...tables, changes: 0, lossesBeforeEnd: undefined };
    const reader = new Reader(pages, log);
    this.#transfer = new Transfer(this.#core, reader, new ReadAhead(reader, pages));
    this.#directories = new Directories(this.#core, epoch);
    this.#locks = new Locks(this.#core);
  }

  get away(): boolean {
    return isAway(this.#core.outages);
  }

  endSoon(): void {
    this.#core.lossesBeforeEnd ??= this.#core.inodes.losses;
    endWithin(this.#core.outages);
  }

  /** Before a successor serves: what it goes on with. */
  async adopt(): Promise<void> {
    if (!this.readOnly) await this.#locks.adopt();
  }

  lookup(caller: Caller, parent: Ino, name: Buffer): Promise<Entry> {
    return names.lookup(this.#core, caller, parent, name);
  }

  forget(ino: Ino, _count: bigint): void {
    const { inodes, marks, meta } = this.#core;
    if ((inodes.get(ino)?.handles ?? 0) > 0) return;
    forgetLoss(ino, inodes, marks);
    meta.forgotten(ino);
  }

  getattr(_caller: Caller, ino: Ino, _handle: HandleId | undefined): Promise<Entry> {
    return attributes.getattr(this.#core, ino);
  }

  setattr(caller: Caller, ino: Ino, change: VfsAttrChange, _handle: HandleId | undefined): Promise<Entry> {
    return attributes.setattr(this.#core, caller, ino, change);
  }

  async readlink(_caller: Caller, ino: Ino): Promise<Buffer> {
    const target = await this.#core.meta.readlink(ino);
    await accessed(this.#core, ino);
    return target;
  }

  access(caller: Caller, ino: Ino, mask: number): Promise<void> {
    return attributes.access(this.#core, caller, ino, mask);
  }

  async mknod(caller: Caller, parent: Ino, name: Buffer, mode: number, rdev: number): Promise<Entry> {
    return names.mknod(this.#core, caller, parent, name, mode, rdev);
  }

  async mkdir(caller: Caller, parent: Ino, name: Buffer, mode: number): Promise<Entry> {
    return names.mkdir(this.#core, caller, parent, name, mode);
  }

  async symlink(caller: Caller, parent: Ino, name: Buffer, target: Buffer): Promise<Entry> {
    return names.symlink(this.#core, caller, parent, name, target);
  }

  async link(caller: Caller, ino: Ino, parent: Ino, name: Buffer): Promise<Entry> {
    return names.link(this.#core, caller, ino, parent, name);
  }

  async rename(
    caller: Caller,
    parent: Ino,
    name: Buffer,
    newParent: Ino,
    newName: Buffer,
    flags: number,
  ): Promise<void> {
    await changing(this.#core, 'rename', () => this.#core.meta.rename(caller, parent, name, newParent, newName, flags));
  }

  async unlink(caller: Caller, parent: Ino, name: Buffer): Promise<void> {
    await changing(this.#core, 'unlink', () => this.#core.meta.unlink(caller, parent, name));
  }

  async rmdir(caller: Caller, parent: Ino, name: Buffer): Promise<void> {
    await changing(this.#core, 'rmdir', () => this.#core.meta.rmdir(caller, parent, name));
  }

  open(caller: Caller, ino: Ino, flags: number): Promise<Opened> {
    return opening.open(this.#core, caller, ino, flags);
  }

  create(caller: Caller, parent: Ino, name: Buffer, mode: number, flags: number): Promise<[Entry, Opened]> {
    return opening.create(this.#core, caller, parent, name, mode, flags);
  }

  read(caller: Caller, ino: Ino, handle: HandleId, offset: bigint, size: number): Promise<readonly Buffer[]> {
    return this.#transfer.read(caller, ino, handle, offset, size);
  }

  write(caller: Caller, ino: Ino, handle: HandleId, offset: bigint, data: Buffer, placed?: boolean): Promise<number> {
    return this.#transfer.write(caller, ino, handle, offset, data, placed);
  }

  async flush(caller: Caller, ino: Ino, handle: HandleId, lockOwner?: bigint): Promise<void> {
    try {
      await this.#transfer.flush(caller, ino, handle);
    } finally {
      if (lockOwner !== undefined) await this.#locks.closing(ino, lockOwner);
    }
  }

  fsync(caller: Caller, ino: Ino, handle: HandleId): Promise<void> {
    return this.#transfer.fsync(caller, ino, handle);
  }

  async release(_caller: Caller, ino: Ino, handle: HandleId, flockOwner?: bigint): Promise<void> {
    try {
      await opening.release(this.#core, ino, handle);
    } finally {
      if (flockOwner !== undefined) await this.#locks.releasing(ino, handle, flockOwner);
    }
  }

  getLock(caller: Caller, ino: Ino, handle: HandleId, lock: FileLock): Promise<LockRange | undefined> {
    return this.#locks.get(caller, ino, handle, lock);
  }

  setLock(caller: Caller, ino: Ino, handle: HandleId, lock: FileLock, wait: boolean): Promise<boolean> {
    return this.#locks.set(caller, ino, handle, lock, wait);
  }

  fallocate(caller: Caller, ino: Ino, handle: HandleId, mode: number, offset: bigint, size: bigint): Promise<void> {
    return shape.fallocate(this.#core, caller, ino, handle, mode, offset, size);
  }

  copyRange(caller: Caller, source: OpenPlace, target: OpenPlace, size: bigint): Promise<bigint> {
    return copyRange(this.#core, caller, source, target, size);
  }

  lseek(caller: Caller, ino: Ino, handle: HandleId, offset: bigint, whence: number): Promise<bigint> {
    return shape.lseek(this.#core, caller, ino, handle, offset, whence);
  }

  opendir(_caller: Caller, ino: Ino): Promise<HandleId> {
    return this.#directories.open(ino);
  }

  readdir(
    _caller: Caller,
    ino: Ino,
    handle: HandleId,
    offset: bigint,
    plus: boolean,
    take: (entry: DirectoryEntry) => boolean,
  ): Promise<void> {
    return this.#directories.read(ino, handle, offset, plus, take);
  }

  async releasedir(_caller: Caller, ino: Ino, handle: HandleId): Promise<void> {
    this.#directories.close(ino, handle);
  }

  async fsyncdir(_caller: Caller, _ino: Ino): Promise<void> {
    if (!this.readOnly) await this.#core.meta.sync();
  }

  getxattr(_caller: Caller, ino: Ino, name: string): Promise<Buffer> {
    return xattrs.getxattr(this.#core, ino, name);
  }

  listxattr(_caller: Caller, ino: Ino): Promise<string[]> {
    return xattrs.listxattr(this.#core, ino);
  }

  setxattr(caller: Caller, ino: Ino, name: string, value: Buffer, flags: number): Promise<void> {
    return xattrs.setxattr(this.#core, caller, ino, name, value, flags);
  }

  removexattr(caller: Caller, ino: Ino, name: string): Promise<void> {
    return xattrs.removexattr(this.#core, caller, ino, name);
  }

  onStale(listener: (ino: Ino) => void): void {
    this.#core.inodes.onStale = listener;
  }

  statfs(_caller: Caller, ino: Ino): Promise<VolumeUsage> {
    return this.#core.meta.statfs(ino, this.root);
  }

  flushAll(): Promise<void> {
    return this.#transfer.flushAll();
  }

  /** Stops timers; nothing may be dirty any more (flushAll). */
  stop(): void {
    this.#core.dirtyFiles.stop();
    this.#locks.stop();
  }
}
