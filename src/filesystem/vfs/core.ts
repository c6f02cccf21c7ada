// What the operation families of one mount share, and the few rules that all of them keep.
import { fail } from '../../base/errors.ts';
import { unlessInterrupted } from '../../base/interrupt.ts';
import type { Log } from '../../base/log.ts';
import { isAway, type Outages } from '../../base/outage.ts';
import type { Caller, Ino } from '../../base/words.ts';
import type { AtimeMode } from '../meta/atime.ts';
import type { Meta } from '../meta/meta.ts';
import { type Attr, NodeType, TRASH } from '../meta/types.ts';
import type { PageStore } from '../page/page-store.ts';
import type { Believed, StaleOnce } from './believed.ts';
import type { Compactions } from './compactions.ts';
import type { DirtyFiles } from './dirty-files.ts';
import { type FileHandle, type Handles, O } from './handles.ts';
import type { Inodes, OpenInode } from './inodes.ts';
import type { Lifetimes } from './lifetimes.ts';
import type { UncommittedMarks } from './marks.ts';
import type { OwnChanges } from './own-changes.ts';
import type { Entry, HandleId } from './vfs.ts';
import type { SecurityAttribute } from './xattrs.ts';

export interface Core {
  readonly meta: Meta;
  readonly pages: PageStore;
  readonly log: Log;
  readonly outages: Outages;
  readonly marks: UncommittedMarks;
  readonly root: Ino;
  readonly readOnly: boolean;
  readonly inodes: Inodes;
  readonly files: Handles<FileHandle>;
  readonly dirtyFiles: DirtyFiles;
  readonly compactions: Compactions | undefined;
  readonly lifetimes: Lifetimes;
  readonly believed: Believed;
  readonly own: OwnChanges;
  readonly staleOnce: StaleOnce;
  readonly atimeMode: AtimeMode;
  readonly keptSecurity: ReadonlySet<SecurityAttribute>;
  /** Inodes on which handles of a predecessor held locks that went with the session. */
  readonly lockLost: Set<Ino>;
  /** Counts this client's own changes: what was read before one may be shown no more. */
  changes: number;
  /** Set when the mount is about to end: losses up to then, which somebody was told of. */
  lossesBeforeEnd: number | undefined;
}

export function mayChange(core: Core, attempted: string): void {
  if (core.readOnly) throw fail('EROFS', `${attempted}: mounted read-only`);
  core.changes++;
}

/** Waits until what was written to the file is committed or lost; EINTR when the caller is interrupted while that hangs. */
export function settled(core: Core, caller: Pick<Caller, 'signal'>, inode: OpenInode): Promise<void> {
  if (!inode.writer.dirty) return Promise.resolve();
  return unlessInterrupted(inode.writer.drain(), caller.signal, () => isAway(core.outages));
}

/** Every operation that changes something (but write) runs in here. */
export async function changing<T>(core: Core, attempted: string, work: () => Promise<T>): Promise<T> {
  mayChange(core, attempted);
  core.own.begin();
  try {
    return await work();
  } finally {
    core.own.end();
    core.changes++;
  }
}

/**
 * Links in the trash count in the node's row, but for whoever deleted them they are gone. Only a node that had several
 * names may have some there and some elsewhere (its row names no parent then); undefined until they are counted.
 */
const trashedLinks = ({ type, parent, linksInTrash }: Attr): number | undefined => {
  if (type === NodeType.directory) return 0;
  return parent === 0n ? linksInTrash : parent > TRASH ? 1 : 0;
};

/** An open file may be seen without any name; in the trash itself what lies there has one. */
function shown(core: Core, attr: Attr, trashed: number): Attr {
  if (trashed === 0) return attr;
  const open = (core.inodes.get(attr.ino)?.handles ?? 0) > 0;
  return { ...attr, nlink: Math.max(attr.nlink - trashed, open ? 0 : 1) };
}

function entryWith(core: Core, attr: Attr, since: number, trashed: number): Entry {
  const { lifetimes } = core;
  const current = core.inodes.current(attr, since);
  core.believed.tell(current);
  return {
    attr: shown(core, current, trashed),
    entryTimeout: attr.type === NodeType.directory ? lifetimes.directoryEntry : lifetimes.entry,
    attrTimeout: lifetimes.attr,
  };
}

/** What can be said without another look at metadata. */
export function entryAtOnce(core: Core, attr: Attr, since: number): Entry | undefined {
  const trashed = trashedLinks(attr);
  return trashed === undefined ? undefined : entryWith(core, attr, since, trashed);
}

export async function entryOf(core: Core, attr: Attr, since: number): Promise<Entry> {
  const trashed = trashedLinks(attr) ?? (await core.meta.linksInTrash(attr.ino));
  return entryWith(core, attr, since, trashed);
}

/** Asks metadata for attributes and answers them as this client's users have to see them. */
export async function entry(core: Core, ask: () => Promise<Attr>): Promise<Entry> {
  const since = core.inodes.now;
  return entryOf(core, await ask(), since);
}

/**
 * For a second change made for one request: what is kept under the request's id is the answer to one change only. It may
 * be made again when the request is sent again, since nobody has heard yet that it was made.
 */
export const beyondRequest = ({ uid, gid, pid, umask, vouched = false }: Caller): Caller => ({
  uid,
  gid,
  pid,
  umask,
  vouched,
});

export function newFileHandle(
  core: Core,
  inode: OpenInode,
  id: HandleId,
  flags: number,
  inherited: boolean,
): FileHandle {
  const mode = flags & O.accessMode;
  return core.files.add({
    id,
    inode,
    readable: mode !== O.writeOnly,
    writable: mode !== O.readOnly,
    append: (flags & O.append) !== 0,
    inherited,
    // A predecessor's handle cannot have been told what happened to this process's inode.
    seenErrors: inherited ? 0 : inode.errors,
    seenByWrite: inherited ? 0 : inode.errors,
    lockLost: inherited && core.lockLost.has(inode.ino),
    lossTold: 'no',
    nextRead: 0n,
    streak: 0,
    fetchedTo: 0n,
  });
}

/** The open file behind an id, or a promise of it when a predecessor opened it. */
export function fileHandle(core: Core, caller: Caller, ino: Ino, id: HandleId): FileHandle | Promise<FileHandle> {
  const handle = core.files.get(id);
  if (handle === undefined) return rebuild(core, ino, id);
  if (handle.inode.ino !== ino) throw fail('EBADF', `use handle ${id} as uid ${caller.uid}: not of inode ${ino}`);
  return handle;
}

async function rebuild(core: Core, ino: Ino, id: HandleId): Promise<FileHandle> {
  const parts = core.files.inherited(ino, id, false);
  core.meta.opened(ino);
  try {
    const since = core.inodes.now;
    const attr = await core.meta.getattr(ino);
    const known = core.files.get(id);
    if (known !== undefined) {
      await core.meta.closed(ino);
      return known;
    }
    const { inode } = core.inodes.acquire(attr, since);
    // The kernel's pages are of the predecessor's time and may hold what was lost with it: the next open drops them.
    inode.mixed = true;
    return newFileHandle(core, inode, id, parts.accessMode | (parts.append ? O.append : 0), true);
  } catch (thrown) {
    await core.meta.closed(ino);
    throw thrown;
  }
}
