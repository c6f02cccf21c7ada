// A small file system in memory behind the Vfs interface, to drive the kernel's side in tests. Counts what the kernel
// holds, so that tests can see lookups and handles go to zero.
import { fail } from '../../src/base/errors.ts';
import {
  type Attr,
  type Caller,
  type DirectoryEntry,
  type Entry,
  type HandleId,
  type Ino,
  NodeType,
  type Opened,
  type OpenPlace,
  type Vfs,
  type VfsAttrChange,
  type VolumeUsage,
} from '../../src/filesystem/vfs/vfs.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
interface Node {
  attr: Mutable<Attr>;
  data: Buffer;
  target: Buffer;
  children: Map<string, Ino>;
  xattrs: Map<string, Buffer>;
}

const now = (): bigint => BigInt(Date.now()) * 1_000_000n;
const key = (name: Buffer): string => name.toString('latin1');
const typeOf = new Map<number, NodeType>([
  [0o010000, NodeType.fifo],
  [0o020000, NodeType.char],
  [0o060000, NodeType.block],
  [0o100000, NodeType.file],
  [0o140000, NodeType.socket],
]);

export class MemoryVfs implements Vfs {
  away = false;
  readonly root: Ino;
  readonly accessLists = false;
  readonly fileCapabilities = false;
  readonly readOnly = false;
  readonly nodes = new Map<Ino, Node>();
  /** Lookups the kernel holds, per inode. */
  readonly lookups = new Map<Ino, bigint>();
  readonly handles = new Map<HandleId, Ino>();
  readonly calls: string[] = [];
  readonly readSizes: number[] = [];
  readonly writeSizes: number[] = [];
  lastCaller: Caller | undefined;
  lastPlaced: boolean | undefined;
  flushedAll = 0;
  entryTimeout = 1000;
  attrTimeout = 1000;
  /** A read of a file with this name hangs until interrupted. */
  hanging = 'hang';
  #nextIno: Ino;
  #nextHandle = 1n;

  constructor(root: Ino = 1n) {
    this.root = root;
    this.#nextIno = root + 1n;
    this.#add(root, NodeType.directory, 0o755, { uid: 0, gid: 0 }, root);
  }

  #add(ino: Ino, type: NodeType, mode: number, owner: { uid: number; gid: number }, parent: Ino, rdev = 0): Node {
    const time = now();
    const { uid, gid } = owner;
    const attr: Mutable<Attr> = {
      ino, type, flags: 0, mode: mode & 0o7777, uid, gid, atime: time, mtime: time, ctime: time,
      nlink: type === NodeType.directory ? 2 : 1, length: 0n, rdev, parent, accessAcl: 0, defaultAcl: 0, tier: 0,
    }; // biome-ignore format: a list of plain fields
    const node = { attr, data: Buffer.alloc(0), target: Buffer.alloc(0), children: new Map(), xattrs: new Map() };
    this.nodes.set(ino, node);
    return node;
  }

  #node(ino: Ino): Node {
    const node = this.nodes.get(ino);
    if (node === undefined) throw fail('ESTALE', `inode ${ino}`);
    return node;
  }

  #entry(node: Node, looked = true): Entry {
    const { ino } = node.attr;
    if (looked) this.lookups.set(ino, (this.lookups.get(ino) ?? 0n) + 1n);
    return { attr: { ...node.attr }, entryTimeout: this.entryTimeout, attrTimeout: this.attrTimeout };
  }

  #child(parent: Ino, name: Buffer): Node {
    const ino = this.#node(parent).children.get(key(name));
    if (ino === undefined) throw fail('ENOENT', `${parent}/${name}`);
    return this.#node(ino);
  }

  #make(caller: Caller, parent: Ino, name: Buffer, type: NodeType, mode: number, rdev = 0): Node {
    this.lastCaller = caller;
    const directory = this.#node(parent);
    if (name.length > 255) throw fail('ENAMETOOLONG', 'name');
    if (directory.children.has(key(name))) throw fail('EEXIST', `${parent}/${name}`);
    const node = this.#add(this.#nextIno++, type, mode & ~caller.umask, caller, parent, rdev);
    directory.children.set(key(name), node.attr.ino);
    if (type === NodeType.directory) directory.attr.nlink++;
    directory.attr.mtime = directory.attr.ctime = now();
    return node;
  }

  #resize(node: Node, length: number): void {
    if (length <= node.data.length) node.data = node.data.subarray(0, length);
    else node.data = Buffer.concat([node.data, Buffer.alloc(length - node.data.length)], length);
    node.attr.length = BigInt(length);
    node.attr.mtime = node.attr.ctime = now();
  }

  #handle(ino: Ino): HandleId {
    const handle = this.#nextHandle++;
    this.handles.set(handle, ino);
    return handle;
  }

  async lookup(_: Caller, parent: Ino, name: Buffer): Promise<Entry> {
    this.calls.push('lookup');
    return this.#entry(this.#child(parent, name));
  }

  forget(ino: Ino, count: bigint): void {
    const left = (this.lookups.get(ino) ?? 0n) - count;
    if (left === 0n) this.lookups.delete(ino);
    else this.lookups.set(ino, left);
  }

  async getattr(_: Caller, ino: Ino): Promise<Entry> {
    this.calls.push('getattr');
    return this.#entry(this.#node(ino), false);
  }

  async setattr(caller: Caller, ino: Ino, change: VfsAttrChange): Promise<Entry> {
    this.lastCaller = caller;
    const node = this.#node(ino);
    const { size, atime, mtime, mode, uid, gid } = change;
    if (size !== undefined) this.#resize(node, Number(size));
    if (mode !== undefined) node.attr.mode = mode;
    if (uid !== undefined) node.attr.uid = uid;
    if (gid !== undefined) node.attr.gid = gid;
    if (atime !== undefined) node.attr.atime = atime === 'now' ? now() : atime;
    if (mtime !== undefined) node.attr.mtime = mtime === 'now' ? now() : mtime;
    node.attr.ctime = now();
    return this.#entry(node, false);
  }

  async readlink(_: Caller, ino: Ino): Promise<Buffer> {
    return this.#node(ino).target;
  }

  async access(): Promise<void> {}

  async mknod(caller: Caller, parent: Ino, name: Buffer, mode: number, rdev: number): Promise<Entry> {
    const type = typeOf.get(mode & 0o170000);
    if (type === undefined) throw fail('EINVAL', `mode ${mode}`);
    return this.#entry(this.#make(caller, parent, name, type, mode, rdev));
  }

  async mkdir(caller: Caller, parent: Ino, name: Buffer, mode: number): Promise<Entry> {
    return this.#entry(this.#make(caller, parent, name, NodeType.directory, mode));
  }

  async symlink(caller: Caller, parent: Ino, name: Buffer, target: Buffer): Promise<Entry> {
    const node = this.#make(caller, parent, name, NodeType.symlink, 0o777);
    node.target = target;
    node.attr.length = BigInt(target.length);
    return this.#entry(node);
  }

  async link(_: Caller, ino: Ino, parent: Ino, name: Buffer): Promise<Entry> {
    const node = this.#node(ino);
    this.#node(parent).children.set(key(name), ino);
    node.attr.nlink++;
    return this.#entry(node);
  }

  async rename(_: Caller, parent: Ino, name: Buffer, newParent: Ino, newName: Buffer, flags: number): Promise<void> {
    const from = this.#node(parent).children;
    const to = this.#node(newParent).children;
    const { ino } = this.#child(parent, name).attr;
    const other = to.get(key(newName));
    if ((flags & 1) !== 0 && other !== undefined) throw fail('EEXIST', `${newName}`);
    if ((flags & 2) !== 0) {
      if (other === undefined) throw fail('ENOENT', `${newName}`);
      from.set(key(name), other);
    } else from.delete(key(name));
    to.set(key(newName), ino);
  }

  async unlink(_: Caller, parent: Ino, name: Buffer): Promise<void> {
    const node = this.#child(parent, name);
    node.attr.nlink--;
    this.#node(parent).children.delete(key(name));
  }

  async rmdir(_: Caller, parent: Ino, name: Buffer): Promise<void> {
    const node = this.#child(parent, name);
    if (node.children.size > 0) throw fail('ENOTEMPTY', `${name}`);
    this.#node(parent).children.delete(key(name));
    this.#node(parent).attr.nlink--;
  }

  async open(caller: Caller, ino: Ino, flags: number): Promise<Opened> {
    this.lastCaller = caller;
    if ((flags & 0o1000) !== 0) this.#resize(this.#node(ino), 0);
    return { handle: this.#handle(ino), keepCache: false, directIo: false };
  }

  async create(caller: Caller, parent: Ino, name: Buffer, mode: number, flags: number): Promise<[Entry, Opened]> {
    const node = this.#make(caller, parent, name, NodeType.file, mode);
    return [this.#entry(node), await this.open(caller, node.attr.ino, flags & ~0o1000)];
  }

  async read(caller: Caller, ino: Ino, _: HandleId, offset: bigint, size: number): Promise<readonly Buffer[]> {
    const node = this.#node(ino);
    this.readSizes.push(size);
    const hung = this.#node(this.root).children.get(this.hanging) === ino;
    if (hung) {
      const { promise, reject } = Promise.withResolvers<never>();
      const { signal } = caller;
      signal?.addEventListener('abort', () => reject(signal.reason));
      await promise;
    }
    const end = Math.min(Number(offset) + size, node.data.length);
    const pieces: Buffer[] = [];
    for (let at = Number(offset); at < end; at += 65_536)
      pieces.push(node.data.subarray(at, Math.min(at + 65_536, end)));
    return pieces;
  }

  async write(caller: Caller, ino: Ino, _: HandleId, offset: bigint, data: Buffer, placed?: boolean): Promise<number> {
    this.lastCaller = caller;
    this.lastPlaced = placed;
    const node = this.#node(ino);
    this.writeSizes.push(data.length);
    const at = Number(offset);
    if (at + data.length > node.data.length) this.#resize(node, at + data.length);
    data.copy(node.data, at);
    node.attr.mtime = node.attr.ctime = now();
    return data.length;
  }

  async flush(): Promise<void> {
    this.calls.push('flush');
  }

  async fsync(): Promise<void> {
    this.calls.push('fsync');
  }

  async release(_: Caller, __: Ino, handle: HandleId): Promise<void> {
    this.handles.delete(handle);
  }

  async fallocate(_: Caller, ino: Ino, mode: number | bigint, __: number, offset: bigint, size = 0n): Promise<void> {
    this.calls.push(`fallocate ${mode}`);
    const node = this.#node(ino);
    const end = Number(offset + size);
    if (end > node.data.length) this.#resize(node, end);
  }

  async copyRange(_: Caller, source: OpenPlace, target: OpenPlace, size: bigint): Promise<bigint> {
    this.calls.push(`copy ${size}`);
    const { data } = this.#node(source.ino);
    const part = Buffer.from(data.subarray(Number(source.offset), Number(source.offset + size)));
    await this.write(_, target.ino, target.handle, target.offset, part);
    return BigInt(part.length);
  }

  async lseek(_: Caller, ino: Ino, __: HandleId, offset: bigint, whence: number): Promise<bigint> {
    const { length } = this.#node(ino).attr;
    if (offset >= length) throw fail('ENXIO', 'beyond the end');
    return whence === 3 ? offset : length;
  }

  async opendir(_: Caller, ino: Ino): Promise<HandleId> {
    return this.#handle(ino);
  }

  async readdir(
    _: Caller,
    ino: Ino,
    __: HandleId,
    offset: bigint,
    plus: boolean,
    take: (entry: DirectoryEntry) => boolean,
  ): Promise<void> {
    this.calls.push(plus ? 'readdirplus' : 'readdir');
    const node = this.#node(ino);
    const { parent } = node.attr;
    const names: [string, Ino][] = [['.', ino], ['..', parent], ...node.children];
    for (let at = Number(offset); at < names.length; at++) {
      const [name, child] = names[at] ?? ['', 0n];
      const found = this.#node(child);
      const shown = {
        name: Buffer.from(name, 'latin1'),
        ino: child,
        type: found.attr.type,
        nextOffset: BigInt(at + 1),
      };
      if (!plus || at < 2) {
        if (!take(shown)) return;
      } else {
        const entry = this.#entry(found);
        if (take({ ...shown, entry })) continue;
        this.forget(child, 1n);
        return;
      }
    }
  }

  async releasedir(_: Caller, __: Ino, handle: HandleId): Promise<void> {
    this.handles.delete(handle);
  }

  async fsyncdir(): Promise<void> {
    this.calls.push('fsyncdir');
  }

  onStale(): void {
    // Nobody else changes anything here.
  }

  async getLock(): Promise<undefined> {
    this.calls.push('getLock');
  }

  async setLock(): Promise<boolean> {
    this.calls.push('setLock');
    return false;
  }

  async getxattr(_: Caller, ino: Ino, name: string): Promise<Buffer> {
    this.calls.push(`getxattr ${name}`);
    const value = this.#node(ino).xattrs.get(name);
    if (value === undefined) throw fail('ENODATA', name);
    return value;
  }

  async listxattr(_: Caller, ino: Ino): Promise<string[]> {
    return [...this.#node(ino).xattrs.keys()];
  }

  async setxattr(_: Caller, ino: Ino, name: string, value: Buffer, flags: number): Promise<void> {
    const { xattrs } = this.#node(ino);
    if (flags === 1 && xattrs.has(name)) throw fail('EEXIST', name);
    if (flags === 2 && !xattrs.has(name)) throw fail('ENODATA', name);
    xattrs.set(name, value);
  }

  async removexattr(_: Caller, ino: Ino, name: string): Promise<void> {
    if (!this.#node(ino).xattrs.delete(name)) throw fail('ENODATA', name);
  }

  async statfs(): Promise<VolumeUsage> {
    return { totalBytes: 1n << 40n, usedBytes: 1n << 30n, totalInodes: 1000n, usedInodes: BigInt(this.nodes.size) };
  }

  async flushAll(): Promise<void> {
    this.flushedAll++;
  }

  endSoon(): void {
    this.calls.push('endSoon');
  }
}
