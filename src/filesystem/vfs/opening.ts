// open, create, release: handles and what they keep alive.
import { FsError, fail } from '../../base/errors.ts';
import type { Caller, Ino } from '../../base/words.ts';
import { type Attr, NodeFlag, NodeType, TRASH } from '../meta/types.ts';
import { accessed } from './accessed.ts';
import { beyondRequest, type Core, changing, entryOf, mayChange, newFileHandle } from './core.ts';
import { O } from './handles.ts';
import { truncate } from './reshape.ts';
import type { Entry, HandleId, Opened } from './vfs.ts';

const SET_IDS = 0o6000;

const writes = (flags: number): boolean => (flags & O.accessMode) !== O.readOnly || (flags & O.truncate) !== 0;

/** What the kernel cannot check for us: kinds, node flags, the trash (spec 5, 5.2). */
function checkOpen(attr: Attr, flags: number): void {
  const what = `open inode ${attr.ino}`;
  if (attr.type === NodeType.directory) throw fail('EISDIR', `${what} as a file: it is a directory`);
  if (attr.type === NodeType.symlink) throw fail('ELOOP', `${what}: it is a symbolic link`);
  if (!writes(flags)) return;
  if (attr.parent > TRASH) throw fail('EPERM', `${what} for writing: it is in the trash`);
  if ((attr.flags & NodeFlag.immutable) !== 0) throw fail('EPERM', `${what} for writing: it is immutable`);
  if ((attr.flags & NodeFlag.append) === 0) return;
  if ((flags & O.append) === 0 || (flags & O.truncate) !== 0)
    throw fail('EPERM', `${what} for writing: it is append-only`);
}

export async function open(core: Core, caller: Caller, ino: Ino, flags: number): Promise<Opened> {
  if (writes(flags)) mayChange(core, `open inode ${ino} for writing`);
  // Counted before it is looked at: an unlink in between then keeps the file.
  core.meta.opened(ino);
  try {
    const since = core.inodes.now;
    const attr = await core.meta.getattr(ino);
    const deleted = attr.nlink === 0 || attr.parent > TRASH;
    if (!deleted) core.staleOnce.found(caller.pid);
    else if (core.staleOnce.first(caller.pid))
      throw fail('ESTALE', `open inode ${ino}: it is deleted, and its name may lead elsewhere by now`);
    checkOpen(attr, flags);
    if ((flags & O.accessMode) !== O.writeOnly && (flags & O.noAtime) === 0) await accessed(core, ino, attr);
    return await opened(core, caller, attr, since, flags);
  } catch (thrown) {
    await core.meta.closed(ino);
    throw thrown;
  }
}

async function opened(core: Core, caller: Caller, attr: Attr, since: number, flags: number): Promise<Opened> {
  const { inode, keepCache } = core.inodes.acquire(attr, since);
  try {
    if ((flags & O.truncate) !== 0 && inode.length > 0n) await truncate(core, caller, attr.ino, 0n);
  } catch (thrown) {
    core.inodes.release(inode);
    throw thrown;
  }
  const handle = newFileHandle(core, inode, core.files.newId(flags, false), flags, false);
  return {
    handle: handle.id,
    keepCache: keepCache && (flags & O.truncate) === 0,
    directIo: false,
    attributesChanged: core.believed.otherwise(core.inodes.current(attr, since)),
    plain: attr.type === NodeType.file && (attr.mode & SET_IDS) === 0,
  };
}

export async function create(
  core: Core,
  caller: Caller,
  parent: Ino,
  name: Buffer,
  mode: number,
  flags: number,
): Promise<[Entry, Opened]> {
  const since = core.inodes.now;
  const exclusive = (flags & O.exclusive) !== 0;
  const { attr, created } = await changing(core, 'create a file', () =>
    core.meta.create(caller, parent, name, mode & 0o7777, exclusive),
  );
  core.meta.opened(attr.ino);
  try {
    if (!created) checkOpen(attr, flags);
    const handle = await opened(core, beyondRequest(caller), attr, since, created ? flags & ~O.truncate : flags);
    const inode = core.inodes.get(attr.ino);
    return [await entryOf(core, inode?.known ?? attr, core.inodes.now), handle];
  } catch (thrown) {
    await core.meta.closed(attr.ino);
    throw thrown;
  }
}

export async function release(core: Core, ino: Ino, id: HandleId): Promise<void> {
  const handle = core.files.get(id);
  // A predecessor's handle that was never used here: the kernel's forget of the inode tells metadata.
  if (handle === undefined) return void core.files.inherited(ino, id, false);
  core.files.delete(id);
  const { inode } = handle;
  const errors = inode.errors;
  // Pages of a shared mapping may have come after the last close(2); there is nobody to tell but the log, which has it.
  await inode.writer.drain();
  if (inode.errors !== errors) core.log.warn('data was lost after the last close of a file', { inode: ino });
  core.inodes.release(inode);
  try {
    await core.meta.closed(ino);
  } catch (thrown) {
    throw FsError.from(thrown, `close inode ${ino}`);
  }
}
