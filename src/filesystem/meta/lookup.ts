// lookup, getattr and readlink: reads of single nodes. An edge without its node is invisible.
import { nowNs } from '../../base/clock.ts';
import { fail } from '../../base/errors.ts';
import { type Op, query, read } from '../sql/op.ts';
import { checkName, isDots, isTrashName, shown } from './names.ts';
import { numberAt } from './rows.ts';
import { childByName, nodeById, symlinkTarget } from './statements.ts';
import { defaultRoot, defaultTrash } from './trash.ts';
import { type Attr, type Ino, NodeType, ROOT, TRASH } from './types.ts';

export const getattrOp = (ino: Ino): (() => Op<Attr>) =>
  function* () {
    const [[node]] = yield* read(nodeById(ino));
    if (node !== undefined) return node;
    if (ino === ROOT) return defaultRoot(nowNs());
    if (ino === TRASH) return defaultTrash(nowNs());
    throw fail('ENOENT', `inode ${ino}: no such node`);
  };

export const linksInTrashOp = (ino: Ino): (() => Op<number>) =>
  function* () {
    const text = 'SELECT COUNT(*) FROM jfs_edge e WHERE e.inode = ? AND e.parent > ?';
    const [[count = 0]] = yield* read(query(text, [ino, TRASH], (row) => numberAt(row, 0)));
    return count;
  };

/** Also '.' and '..', and '.trash' in the root. */
export const lookupOp = (parent: Ino, name: Buffer): (() => Op<Attr>) => {
  if (isTrashName(parent, name)) return getattrOp(TRASH);
  if (isDots(name)) return lookupDots(parent, name.length === 2);
  checkName(name);
  return function* () {
    const [[node]] = yield* read(childByName(parent, name));
    if (node === undefined) throw fail('ENOENT', `look up ${shown(name)} in directory ${parent}: no such entry`);
    return node;
  };
};

const lookupDots = (ino: Ino, up: boolean): (() => Op<Attr>) =>
  function* () {
    const directory = yield* getattrOp(ino)();
    if (directory.type !== NodeType.directory) throw fail('ENOTDIR', `look up in inode ${ino}: not a directory`);
    return up ? yield* getattrOp(directory.parent)() : directory;
  };

export const readlinkOp = (ino: Ino): (() => Op<Buffer>) =>
  function* () {
    const [targets, nodes] = yield* read(symlinkTarget(ino), nodeById(ino));
    const [[target], [node]] = [targets, nodes];
    if (node === undefined) throw fail('ENOENT', `read the target of inode ${ino}: no such node`);
    if (node.type !== NodeType.symlink) throw fail('EINVAL', `read the target of inode ${ino}: not a symbolic link`);
    if (target === undefined) throw fail('EIO', `read the target of inode ${ino}: its row is missing`);
    return target;
  };
