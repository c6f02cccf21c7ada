// Operations on names: metadata does them; here the read-only rule is kept, and open directories hear of names that went.
import { fail } from '../../base/errors.ts';
import type { Caller, Ino } from '../../base/words.ts';
import { NodeType } from '../meta/types.ts';
import { type Core, changing, entry } from './core.ts';
import type { Entry } from './vfs.ts';

export const lookup = (core: Core, caller: Caller, parent: Ino, name: Buffer): Promise<Entry> =>
  entry(core, () => core.meta.lookup(caller, parent, name));

/** S_IFMT values of <sys/stat.h> to node types; what mknod may make. */
const makeable: ReadonlyMap<number, NodeType> = new Map([
  [0, NodeType.file],
  [0o100000, NodeType.file],
  [0o010000, NodeType.fifo],
  [0o060000, NodeType.block],
  [0o020000, NodeType.char],
  [0o140000, NodeType.socket],
]);
const S_IFMT = 0o170000;

export function mknod(
  core: Core,
  caller: Caller,
  parent: Ino,
  name: Buffer,
  mode: number,
  rdev: number,
): Promise<Entry> {
  const type = makeable.get(mode & S_IFMT);
  if (type === undefined) throw fail('EINVAL', `mknod with mode ${mode.toString(8)}: no kind of node that it can make`);
  return changing(core, 'mknod', () =>
    entry(core, () => core.meta.mknod(caller, parent, name, type, mode & 0o7777, rdev)),
  );
}

export function mkdir(core: Core, caller: Caller, parent: Ino, name: Buffer, mode: number): Promise<Entry> {
  return changing(core, 'mkdir', () => entry(core, () => core.meta.mkdir(caller, parent, name, mode & 0o7777)));
}

export function symlink(core: Core, caller: Caller, parent: Ino, name: Buffer, target: Buffer): Promise<Entry> {
  return changing(core, 'symlink', () => entry(core, () => core.meta.symlink(caller, parent, name, target)));
}

export function link(core: Core, caller: Caller, ino: Ino, parent: Ino, name: Buffer): Promise<Entry> {
  return changing(core, 'link', () => entry(core, () => core.meta.link(caller, ino, parent, name)));
}
