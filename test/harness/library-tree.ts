// The tree of a file system as the library shows it, in the form of test/volumes' manifests.
import { createHash } from 'node:crypto';
import { hasCode } from '../../src/base/errors.ts';
import type { Caller, Ino } from '../../src/base/words.ts';
import { type Attr, NodeType, type Opened, type Vfs } from '../../src/filesystem/vfs/vfs.ts';
import type { Tree, TreeEntry } from './tree.ts';

const caller: Caller = { uid: 0, gid: 0, pid: 1, umask: 0 };
/** As the kernel reads. */
const READ = 128 * 1024;

const types: Readonly<Record<NodeType, TreeEntry['type']>> = {
  [NodeType.file]: 'file',
  [NodeType.directory]: 'dir',
  [NodeType.symlink]: 'symlink',
  [NodeType.fifo]: 'fifo',
  [NodeType.block]: 'block',
  [NodeType.char]: 'char',
  [NodeType.socket]: 'socket',
};

/** Everything below `top` and itself, under paths that begin with `prefix` ('' for the whole file system). */
export async function readLibraryTree(vfs: Vfs, top: Ino, prefix = ''): Promise<Tree> {
  const tree: Record<string, TreeEntry> = {};
  const visit = async (ino: Ino, path: Buffer): Promise<void> => {
    const { attr } = await vfs.getattr(caller, ino, undefined);
    tree[keyOf(path)] = await entryOf(vfs, attr, path);
    if (attr.type !== NodeType.directory) return;
    const children: { name: Buffer; ino: Ino }[] = [];
    const handle = await vfs.opendir(caller, ino);
    await vfs.readdir(caller, ino, handle, 0n, true, ({ name, ino: child }) => {
      // Files with several names come without attributes: those cost another look.
      if (!/^\.\.?$/.test(name.toString('latin1'))) children.push({ name, ino: child });
      return true;
    });
    await vfs.releasedir(caller, ino, handle);
    for (const { name, ino: child } of children) await visit(child, Buffer.concat([path, Buffer.from('/'), name]));
  };
  await visit(top, Buffer.from(prefix));
  return tree;
}

async function entryOf(vfs: Vfs, attr: Attr, path: Buffer): Promise<TreeEntry> {
  const names = await vfs.listxattr(caller, attr.ino);
  const xattrs: Record<string, string> = {};
  for (const name of names) xattrs[name] = (await vfs.getxattr(caller, attr.ino, name)).toString('base64');
  return {
    type: types[attr.type],
    ino: Number(attr.ino),
    mode: attr.mode,
    uid: attr.uid,
    gid: attr.gid,
    size: Number(attr.length),
    mtime: attr.mtime.toString(),
    nlink: attr.nlink,
    ...(attr.type === NodeType.file && { sha256: await hashOf(vfs, attr) }),
    ...(attr.type === NodeType.symlink && { target: keyOf(await vfs.readlink(caller, attr.ino)) }),
    ...((attr.type === NodeType.block || attr.type === NodeType.char) && { rdev: attr.rdev }),
    ...(names.length > 0 && { xattrs }),
    ...(keyOf(path) !== path.toString() && { pathB64: path.toString('base64') }),
  };
}

export async function hashOf(vfs: Vfs, attr: Attr): Promise<string> {
  const hash = createHash('sha256');
  // As the kernel does: what was deleted is opened at the second try, after its name was looked up anew.
  const open = (): Promise<Opened> => vfs.open(caller, attr.ino, 0);
  const { handle } = await open().catch((thrown: unknown) => {
    if (hasCode(thrown, 'ESTALE')) return open();
    throw thrown;
  });
  for (let at = 0; at < attr.length; ) {
    for (const piece of await vfs.read(caller, attr.ino, handle, BigInt(at), READ)) {
      hash.update(piece);
      at += piece.length;
    }
  }
  await vfs.release(caller, attr.ino, handle);
  return hash.digest('hex');
}

/** Bytes that are no UTF-8 as %XX, as the manifests have them. */
function keyOf(path: Buffer): string {
  const text = path.toString();
  if (Buffer.from(text).equals(path)) return text === '' ? '/' : text;
  const printable = (byte: number): boolean => byte >= 32 && byte < 127 && byte !== 37;
  const escaped = (byte: number): string => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  return [...path].map((byte) => (printable(byte) ? String.fromCharCode(byte) : escaped(byte))).join('');
}
