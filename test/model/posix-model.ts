// The reference: a file system as Linux has it, for a caller who is root, in plain maps. It is told an order after the
// client has carried it out, and says what must have come of it. A run on a local disk shows that it is right.
import { errnoNumbers } from '../../src/base/errno.ts';
import type { ErrnoCode } from '../../src/base/errors.ts';
import { pattern } from './content.ts';
import type { NodeKind, Order, OrderName, OrderOf, Seen } from './orders.ts';
import { during, exactly, PosixNode, type Span } from './posix-node.ts';

class Refusal extends Error {
  readonly code: ErrnoCode;

  constructor(code: ErrnoCode) {
    super(code);
    this.code = code;
  }
}

const refuse = (condition: boolean, code: ErrnoCode): void => {
  if (condition) throw new Refusal(code);
};

export interface Expected {
  readonly e: number;
  /** undefined: not to be compared. */
  readonly v?: unknown;
  /** To be compared with an answer of attributes. */
  readonly node?: PosixNode;
}

export interface ModelOptions {
  /** Mounts that move the times of a file once more when data goes up that was written through an open file. */
  readonly lateTimes?: readonly number[];
  /** A client may leave a directory's times as they are when it changed them just before (the original's default). */
  readonly lazyDirectories?: boolean;
}

export interface HeldSlot {
  readonly node: PosixNode;
  readonly how: 'r' | 'w' | 'a';
  readonly m: number;
}

const HOUR = 3_600_000_000_000n;
const UMASK = 0o022;
const SETUID = 0o4000;
const SETGID = 0o2000;
const MAX_NAME = 255;
const KEEP_SIZE = 1;
/** Punch a hole, or zero a range. */
const CLEARS = 0x12;
const NOREPLACE = 1;
const EXCHANGE = 2;

interface Place {
  readonly parent: PosixNode;
  readonly name: string;
  readonly node: PosixNode | undefined;
}

export class PosixModel {
  readonly root: PosixNode;
  readonly slots = new Map<number, HeldSlot>();
  trashIsOn = true;
  readonly #options: ModelOptions;
  #now: Span = exactly(0n);

  constructor(root: Seen, options: ModelOptions = {}) {
    this.#options = options;
    this.root = new PosixNode('directory', root.mode, exactly(0n));
    this.root.uid = root.uid;
    this.root.gid = root.gid;
    this.root.compare('', root);
  }

  /** What the order must have answered; the model is as it left things. */
  apply(order: Order, begun: bigint, ended: bigint): Expected {
    this.#now = during(begun, ended);
    try {
      const act = this.#acts[order.op] as (order: Order) => unknown;
      const v = act(order);
      return v instanceof PosixNode ? { e: 0, node: v } : { e: 0, v };
    } catch (thrown) {
      if (thrown instanceof Refusal) return { e: errnoNumbers[thrown.code] };
      throw thrown;
    }
  }

  /** Path to node, the top first, parents before children. */
  walk(from = this.root, path = '', found: [string, PosixNode][] = []): [string, PosixNode][] {
    found.push([path, from]);
    for (const [name, node] of from.entries) this.walk(node, path === '' ? name : `${path}/${name}`, found);
    return found;
  }

  synced(): void {
    for (const { node } of this.slots.values()) node.late = false;
  }

  /** The node of a path, symbolic links not followed; undefined where there is none. */
  find(path: string): PosixNode | undefined {
    try {
      return this.#place(path).node;
    } catch {
      return undefined;
    }
  }

  #place(path: string): Place {
    if (path === '') return { parent: this.root, name: '', node: this.root };
    const names = path.split('/');
    const name = names.pop() ?? '';
    let at = this.root;
    for (const step of names) {
      refuse(step.length > MAX_NAME, 'ENAMETOOLONG');
      const next = at.entries.get(step);
      // Symbolic links lead nowhere in these runs.
      if (next === undefined || next.kind === 'symlink') throw new Refusal('ENOENT');
      refuse(next.kind !== 'directory', 'ENOTDIR');
      at = next;
    }
    return { parent: at, name, node: at.entries.get(name) };
  }

  #existing(path: string): Place & { readonly node: PosixNode } {
    const { parent, name, node } = this.#place(path);
    refuse(name.length > MAX_NAME, 'ENAMETOOLONG');
    if (node === undefined) throw new Refusal('ENOENT');
    return { parent, name, node };
  }

  #followed(path: string): PosixNode {
    const { node } = this.#existing(path);
    refuse(node.kind === 'symlink', 'ENOENT');
    return node;
  }

  /** For opening; special files are not opened in these runs. */
  #file(path: string, writing: boolean): PosixNode {
    const node = this.#followed(path);
    refuse(node.kind === 'directory' && writing, 'EISDIR');
    return node;
  }

  #free(path: string): Place {
    const place = this.#place(path);
    refuse(place.name.length > MAX_NAME, 'ENAMETOOLONG');
    refuse(place.node !== undefined, 'EEXIST');
    return place;
  }

  #make(path: string, kind: NodeKind, mode: number): PosixNode {
    const { parent, name } = this.#free(path);
    const node = new PosixNode(kind, mode, this.#now);
    if ((parent.mode & SETGID) !== 0) {
      node.gid = parent.gid;
      if (kind === 'directory') node.mode |= SETGID;
    }
    this.#enter(parent, name, node);
    return node;
  }

  #enter(parent: PosixNode, name: string, node: PosixNode): void {
    parent.entries.set(name, node);
    if (node.kind === 'directory') node.parent = parent;
    this.#touchDirectory(parent);
  }

  #touchDirectory(node: PosixNode): void {
    if (this.#options.lazyDirectories) node.mayTouch(this.#now, 'mtime', 'ctime');
    else node.touch(this.#now, 'mtime', 'ctime');
  }

  #lose({ parent, name }: Place, node: PosixNode): void {
    node.links--;
    if (this.trashIsOn) node.trashed.add(`${this.#now.to / HOUR}-${parent.id}-${name}`);
    node.mayTouch(this.#now, 'ctime');
  }

  #put(node: PosixNode, at: number, data: Buffer): void {
    if (data.length === 0) return;
    node.content.write(at, data);
    node.touch(this.#now, 'mtime', 'ctime');
  }

  #resize(node: PosixNode, length: number): void {
    if (length === node.content.length) {
      node.mayTouch(this.#now, 'mtime', 'ctime');
    } else {
      node.content.truncate(length);
      node.touch(this.#now, 'mtime', 'ctime');
    }
  }

  #slot(slot: number): HeldSlot {
    const held = this.slots.get(slot);
    if (held === undefined) throw new Error(`no slot ${slot}`);
    return held;
  }

  readonly #acts: { readonly [K in OrderName]: (order: OrderOf<K>) => unknown } = {
    create: ({ p, mode, exclusive }) => {
      const { node } = this.#place(p);
      if (node === undefined || exclusive) return void this.#make(p, 'file', mode & ~UMASK);
      refuse(node.kind === 'symlink', 'ENOENT');
      refuse(node.kind === 'directory', 'EISDIR');
    },
    write: ({ p, at, len, seed, truncate }) => {
      const node = this.#file(p, true);
      if (truncate) this.#resize(node, 0);
      this.#put(node, at, pattern(seed, len));
    },
    append: ({ p, len, seed }) => {
      const node = this.#file(p, true);
      this.#put(node, node.content.length, pattern(seed, len));
    },
    read: ({ p, at, len }) => {
      const node = this.#file(p, false);
      refuse(node.kind === 'directory', 'EISDIR');
      return node.content.digestOfPart(at, len);
    },
    mapped: ({ p, at, len, seed }) => {
      const node = this.#file(p, true);
      const { content } = node;
      const before = content.digestOfPart(0, content.length);
      this.#put(node, at, pattern(seed, len).subarray(0, Math.max(0, content.length - at)));
      return before;
    },
    truncate: ({ p, len }) => this.#resize(this.#file(p, true), len),
    fallocate: ({ p, mode, at, len }) => this.#fallocate(this.#file(p, true), mode, at, len),
    copy: (order) => this.#copy(order),
    mkdir: ({ p, mode }) => void this.#make(p, 'directory', mode & ~UMASK & 0o1777),
    mknod: ({ p, kind, mode, rdev }) => {
      const node = this.#make(p, kind, mode & ~UMASK);
      if (kind === 'char' || kind === 'block') node.rdev = rdev;
    },
    symlink: ({ p, target }) => {
      this.#make(p, 'symlink', 0o777).target = target;
    },
    link: ({ p, q }) => {
      const { node } = this.#existing(p);
      const { parent, name } = this.#free(q);
      refuse(node.kind === 'directory', 'EPERM');
      node.links++;
      node.touch(this.#now, 'ctime');
      this.#enter(parent, name, node);
    },
    rename: (order) => this.#rename(order),
    unlink: ({ p }) => {
      const { parent, name, node } = this.#existing(p);
      refuse(node.kind === 'directory', 'EISDIR');
      parent.entries.delete(name);
      this.#touchDirectory(parent);
      this.#lose({ parent, name, node }, node);
    },
    rmdir: ({ p }) => {
      const { parent, name, node } = this.#existing(p);
      refuse(node.kind !== 'directory', 'ENOTDIR');
      refuse(node.entries.size > 0, 'ENOTEMPTY');
      parent.entries.delete(name);
      this.#touchDirectory(parent);
    },
    chmod: ({ p, mode }) => this.#chmod(this.#followed(p), mode),
    chown: ({ p, uid, gid }) => this.#chown(this.#existing(p).node, uid, gid),
    utimens: ({ p, atime, mtime }) => {
      const { node } = this.#existing(p);
      const same = node.atime.from === BigInt(atime) && node.mtime.from === BigInt(mtime);
      if (same) node.mayTouch(this.#now, 'ctime');
      else node.touch(this.#now, 'ctime');
      node.atime = exactly(BigInt(atime));
      node.mtime = exactly(BigInt(mtime));
    },
    setxattr: ({ p, name, value, flags }) => {
      const node = this.#withXattr(p, name, 'EPERM');
      refuse(flags === 1 && node.xattrs.has(name), 'EEXIST');
      refuse(flags === 2 && !node.xattrs.has(name), 'ENODATA');
      node.xattrs.set(name, value);
      node.mayTouch(this.#now, 'ctime');
    },
    getxattr: ({ p, name }) => {
      const value = this.#withXattr(p, name, 'ENODATA').xattrs.get(name);
      if (value === undefined) throw new Refusal('ENODATA');
      return value;
    },
    removexattr: ({ p, name }) => {
      const node = this.#withXattr(p, name, 'EPERM');
      refuse(!node.xattrs.delete(name), 'ENODATA');
      node.mayTouch(this.#now, 'ctime');
    },
    stat: ({ p }) => this.#existing(p).node,
    readlink: ({ p }) => {
      const { node } = this.#existing(p);
      refuse(node.kind !== 'symlink', 'EINVAL');
      return node.target;
    },
    readdir: ({ p }) => {
      const node = this.#followed(p);
      refuse(node.kind !== 'directory', 'ENOTDIR');
      return [...node.entries.keys()].sort();
    },
    hold: ({ p, slot, how, m }) => {
      const node = this.#file(p, how !== 'r');
      this.slots.set(slot, { node, how, m });
    },
    heldWrite: ({ slot, how, at, len, seed, m }) => {
      const { node } = this.#slot(slot);
      node.late ||= this.#options.lateTimes?.includes(m) === true && len > 0;
      this.#put(node, how === 'a' ? node.content.length : at, pattern(seed, len));
    },
    heldRead: ({ slot, at, len }) => this.#slot(slot).node.content.digestOfPart(at, len),
    heldMapped: ({ slot }) => {
      const { content } = this.#slot(slot).node;
      return content.digestOfPart(0, content.length);
    },
    heldStat: ({ slot }) => this.#slot(slot).node,
    heldTruncate: ({ slot, len }) => this.#resize(this.#slot(slot).node, len),
    heldChmod: ({ slot, mode }) => this.#chmod(this.#slot(slot).node, mode),
    heldSync: () => undefined,
    drop: ({ slot }) => {
      this.#slot(slot).node.late = false;
      this.slots.delete(slot);
    },
  };

  #withXattr(path: string, name: string, code: ErrnoCode): PosixNode {
    const { node } = this.#existing(path);
    refuse(name.startsWith('user.') && node.kind !== 'file' && node.kind !== 'directory', code);
    return node;
  }

  #fallocate(node: PosixNode, mode: number, at: number, len: number): void {
    const { content } = node;
    const end = at + len;
    if ((mode & CLEARS) !== 0) content.zero(at, Math.min(end, content.length));
    if ((mode & KEEP_SIZE) === 0 && end > content.length) {
      content.truncate(end);
      node.touch(this.#now, 'mtime', 'ctime');
    } else node.mayTouch(this.#now, 'mtime', 'ctime');
  }

  #copy({ p, q, at, to, len }: OrderOf<'copy'>): number {
    const target = this.#file(p, true);
    const source = this.#file(q, false);
    refuse(source.kind === 'directory', 'EISDIR');
    const bytes = source.content.read(at, len);
    this.#put(target, to, bytes);
    return bytes.length;
  }

  #chmod(node: PosixNode, mode: number): void {
    if (node.mode === mode) node.mayTouch(this.#now, 'ctime');
    else node.touch(this.#now, 'ctime');
    node.mode = mode;
  }

  #chown(node: PosixNode, uid: number, gid: number): void {
    let { mode } = node;
    if (node.kind !== 'directory') {
      mode &= ~SETUID;
      if ((mode & 0o010) !== 0) mode &= ~SETGID;
    }
    const same = node.uid === uid && node.gid === gid && node.mode === mode;
    if (same) node.mayTouch(this.#now, 'ctime');
    else node.touch(this.#now, 'ctime');
    Object.assign(node, { uid, gid, mode });
  }

  #rename({ p, q, flags }: OrderOf<'rename'>): void {
    refuse(flags === (NOREPLACE | EXCHANGE), 'EINVAL');
    const from = this.#place(p);
    const to = this.#place(q);
    refuse(from.name.length > MAX_NAME, 'ENAMETOOLONG');
    const { node: source } = from;
    const { node: target } = to;
    if (source === undefined) throw new Refusal('ENOENT');
    refuse(to.name.length > MAX_NAME, 'ENAMETOOLONG');
    refuse(flags === NOREPLACE && target !== undefined, 'EEXIST');
    refuse(flags === EXCHANGE && target === undefined, 'ENOENT');
    refuse(this.#within(to.parent, source), 'EINVAL');
    if (target !== undefined) refuse(this.#within(from.parent, target), flags === EXCHANGE ? 'EINVAL' : 'ENOTEMPTY');
    if (source === target) return;
    if (target !== undefined && flags !== EXCHANGE) {
      refuse(source.kind === 'directory' && target.kind !== 'directory', 'ENOTDIR');
      refuse(source.kind !== 'directory' && target.kind === 'directory', 'EISDIR');
      refuse(target.entries.size > 0, 'ENOTEMPTY');
      this.#lose(to, target);
    }
    if (flags === EXCHANGE && target !== undefined) {
      target.mayTouch(this.#now, 'ctime');
      this.#enter(from.parent, from.name, target);
    } else from.parent.entries.delete(from.name);
    this.#touchDirectory(from.parent);
    this.#enter(to.parent, to.name, source);
    source.mayTouch(this.#now, 'ctime');
  }

  #within(node: PosixNode, above: PosixNode): boolean {
    for (let at: PosixNode | undefined = node; at !== undefined; at = at.parent) if (at === above) return true;
    return false;
  }
}
