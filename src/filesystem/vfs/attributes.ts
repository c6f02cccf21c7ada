// getattr, setattr, access: what an inode is, with what is still dirty counted in.
import { fail } from '../../base/errors.ts';
import type { Caller, Ino } from '../../base/words.ts';
import type { Attr } from '../meta/types.ts';
import { beyondRequest, type Core, changing, entry, entryOf, settled } from './core.ts';
import { truncate } from './reshape.ts';
import type { Entry, VfsAttrChange } from './vfs.ts';

export async function getattr(core: Core, ino: Ino): Promise<Entry> {
  const own = core.own.directory(ino);
  if (own === undefined) return await entry(core, () => core.meta.getattr(ino));
  return { attr: own.attr, entryTimeout: own.left, attrTimeout: own.left };
}

export const setattr = (core: Core, caller: Caller, ino: Ino, change: VfsAttrChange): Promise<Entry> =>
  changing(core, `change attributes of inode ${ino}`, () => doSetattr(core, caller, ino, change));

async function doSetattr(core: Core, caller: Caller, ino: Ino, change: VfsAttrChange): Promise<Entry> {
  const { size, ...rest } = change;
  const inode = core.inodes.get(ino);
  let since = core.inodes.now;
  let attr: Attr | undefined;
  const more = Object.values(rest).some((value) => value !== undefined);
  if (size !== undefined) {
    attr = await truncate(core, more ? beyondRequest(caller) : caller, ino, size);
    since = core.inodes.now;
  } else if (inode !== undefined && (rest.mtime !== undefined || rest.atime !== undefined)) {
    // The commit of what was written before would put its own time over the one asked for.
    await settled(core, caller, inode);
  }
  if (more) {
    const change = (): Promise<Attr> => core.meta.setattr(caller, ino, rest);
    if (inode === undefined) attr = await change();
    else {
      attr = await inode.order.run(async () => {
        const after = await change();
        inode.adopt(after);
        return after;
      });
    }
    since = core.inodes.now;
  }
  return attr === undefined ? getattr(core, ino) : entryOf(core, attr, since);
}

/** By mode bits and the caller's two ids; supplementary groups are not known here. */
export async function access(core: Core, caller: Caller, ino: Ino, mask: number): Promise<void> {
  const attr = await core.meta.getattr(ino);
  if ((mask & 2) !== 0 && core.readOnly) throw fail('EROFS', `write to inode ${ino}: mounted read-only`);
  if (mask === 0) return;
  if (caller.uid === 0) {
    if ((mask & 1) === 0 || attr.type === 2 || (attr.mode & 0o111) !== 0) return;
  } else {
    const shift = caller.uid === attr.uid ? 6 : caller.gid === attr.gid ? 3 : 0;
    if (((attr.mode >> shift) & mask) === mask) return;
  }
  throw fail('EACCES', `access inode ${ino} with mask ${mask} as uid ${caller.uid}: mode ${attr.mode.toString(8)}`);
}
