// The operations that package fuse-native calls, over a Vfs: by path, in the name of the mounting user. Answers go
// through callbacks as negative errno, or a length where the operation has one.
import { errnoOf } from '../base/errno.ts';
import { fail } from '../base/errors.ts';
import type { Attr, Caller, HandleId, Ino, Vfs } from '../filesystem/vfs/vfs.ts';
import type { EdgeLog } from './edge-log.ts';
import { Paths } from './paths.ts';
import { modeOf } from './reply.ts';

type Reply = (result: number, ...more: unknown[]) => void;
/** Each operation has its own arguments; the package calls it by name. */
type Operation = (...args: never[]) => void;
export type Operations = Readonly<Record<string, Operation>>;

/** Handles of the package are 32-bit numbers. */
interface Open {
  readonly ino: Ino;
  readonly handle: HandleId;
}
const MILLISECOND = 1_000_000n;
const UNCHANGED_ID = 0xffff_ffff;
const STATFS_UNIT = 4096n;

const milliseconds = (time: bigint): number => Number(time / MILLISECOND);

function statOf(attr: Attr) {
  return {
    mode: modeOf(attr),
    uid: attr.uid,
    gid: attr.gid,
    size: Number(attr.length),
    dev: 0,
    nlink: attr.nlink,
    ino: Number(attr.ino & 0xffff_ffffn),
    rdev: attr.rdev,
    blksize: 65_536,
    blocks: Math.ceil(Number(attr.length) / 512),
    atime: milliseconds(attr.atime),
    mtime: milliseconds(attr.mtime),
    ctime: milliseconds(attr.ctime),
  };
}

class Adapter {
  readonly vfs: Vfs;
  readonly caller: Caller;
  readonly paths: Paths;
  readonly edge: EdgeLog;
  readonly #open = new Map<number, Open>();
  #next = 1;

  constructor(vfs: Vfs, edge: EdgeLog) {
    this.vfs = vfs;
    this.edge = edge;
    // The kernel applied the umask already.
    this.caller = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, pid: process.pid, umask: 0 };
    this.paths = new Paths(vfs, this.caller);
  }

  keep(open: Open): number {
    const fd = this.#next++;
    this.#open.set(fd, open);
    return fd;
  }

  held(fd: number): Open {
    const open = this.#open.get(fd);
    if (open === undefined) throw fail('EBADF', `handle ${fd}`);
    return open;
  }

  drop(fd: number): Open {
    const open = this.held(fd);
    this.#open.delete(fd);
    return open;
  }

  /** Runs an operation and answers: nothing, a length, or an error and its further value. */
  run(name: string, reply: Reply, work: () => Promise<readonly [number, ...unknown[]] | undefined>): void {
    work().then(
      (answer) => reply(...(answer ?? ([0] as const))),
      (thrown) => {
        this.edge.failed(name, 0n, thrown);
        reply(-errnoOf(thrown));
      },
    );
  }
}

function attributes(a: Adapter): Operations {
  const { vfs, caller, paths } = a;
  const change = (name: string, path: string, reply: Reply, what: Parameters<Vfs['setattr']>[2]): void =>
    a.run(name, reply, async () => void (await vfs.setattr(caller, await paths.ino(path), what, undefined)));
  return {
    getattr: (path: string, reply: Reply) => a.run('getattr', reply, async () => [0, statOf(await paths.attr(path))]),
    fgetattr: (_path: string, fd: number, reply: Reply) =>
      a.run('fgetattr', reply, async () => {
        const { ino, handle } = a.held(fd);
        return [0, statOf((await vfs.getattr(caller, ino, handle)).attr)];
      }),
    truncate: (path: string, size: number, reply: Reply) => change('truncate', path, reply, { size: BigInt(size) }),
    ftruncate: (_path: string, fd: number, size: number, reply: Reply) =>
      a.run('ftruncate', reply, async () => {
        const { ino, handle } = a.held(fd);
        await vfs.setattr(caller, ino, { size: BigInt(size) }, handle);
        return undefined;
      }),
    chmod: (path: string, mode: number, reply: Reply) => change('chmod', path, reply, { mode: mode & 0o7777 }),
    chown: (path: string, uid: number, gid: number, reply: Reply) =>
      change('chown', path, reply, {
        ...(uid >>> 0 === UNCHANGED_ID ? {} : { uid: uid >>> 0 }),
        ...(gid >>> 0 === UNCHANGED_ID ? {} : { gid: gid >>> 0 }),
      }),
    utimens: (path: string, atime: number, mtime: number, reply: Reply) =>
      change('utimens', path, reply, {
        atime: BigInt(Math.trunc(atime)) * MILLISECOND,
        mtime: BigInt(Math.trunc(mtime)) * MILLISECOND,
      }),
    statfs: (_path: string, reply: Reply) =>
      a.run('statfs', reply, async () => {
        const { totalBytes, usedBytes, totalInodes, usedInodes } = await vfs.statfs(caller, vfs.root);
        const clip = (value: bigint): number => Number(value < 0n ? 0n : value > 0xffff_ffffn ? 0xffff_ffffn : value);
        const free = clip((totalBytes - usedBytes) / STATFS_UNIT);
        const ffree = clip(totalInodes - usedInodes);
        const unit = Number(STATFS_UNIT);
        return [0, {
          bsize: unit, frsize: unit, blocks: clip(totalBytes / STATFS_UNIT), bfree: free, bavail: free,
          files: clip(totalInodes), ffree, favail: ffree, fsid: 0, flag: 0, namemax: 255,
        }]; // biome-ignore format: one field per word of the answer
      }),
  };
}

function names(a: Adapter): Operations {
  const { vfs, caller, paths } = a;
  const made = (entry: { readonly attr: Attr }): undefined => void vfs.forget(entry.attr.ino, 1n);
  const at = (name: string, path: string, reply: Reply, act: (parent: Ino, last: Buffer) => Promise<undefined>): void =>
    a.run(name, reply, async () => {
      const { parent, name: last } = await paths.place(path);
      return act(parent, last);
    });
  return {
    mknod: (path: string, mode: number, dev: number, reply: Reply) =>
      at('mknod', path, reply, async (parent, last) => made(await vfs.mknod(caller, parent, last, mode, dev))),
    mkdir: (path: string, mode: number, reply: Reply) =>
      at('mkdir', path, reply, async (parent, last) => made(await vfs.mkdir(caller, parent, last, mode & 0o7777))),
    symlink: (target: string, path: string, reply: Reply) =>
      at('symlink', path, reply, async (parent, last) =>
        made(await vfs.symlink(caller, parent, last, Buffer.from(target))),
      ),
    link: (from: string, path: string, reply: Reply) =>
      at('link', path, reply, async (parent, last) =>
        made(await vfs.link(caller, await paths.ino(from), parent, last)),
      ),
    unlink: (path: string, reply: Reply) =>
      at('unlink', path, reply, async (parent, last) => void (await vfs.unlink(caller, parent, last))),
    rmdir: (path: string, reply: Reply) =>
      at('rmdir', path, reply, async (parent, last) => void (await vfs.rmdir(caller, parent, last))),
    rename: (from: string, path: string, reply: Reply) =>
      at('rename', path, reply, async (parent, last) => {
        const old = await paths.place(from);
        await vfs.rename(caller, old.parent, old.name, parent, last, 0);
        return undefined;
      }),
    readlink: (path: string, reply: Reply) =>
      a.run('readlink', reply, async () => [0, (await vfs.readlink(caller, await paths.ino(path))).toString()]),
    readdir: (path: string, reply: Reply) =>
      a.run('readdir', reply, async () => {
        const ino = await paths.ino(path);
        const handle = await vfs.opendir(caller, ino);
        const found: string[] = [];
        await vfs.readdir(caller, ino, handle, 0n, false, ({ name }) => found.push(name.toString()) > 0);
        await vfs.releasedir(caller, ino, handle);
        return [0, found];
      }),
  };
}

function files(a: Adapter): Operations {
  const { vfs, caller, paths } = a;
  return {
    open: (path: string, flags: number, reply: Reply) =>
      a.run('open', reply, async () => {
        const ino = await paths.ino(path);
        return [0, a.keep({ ino, handle: (await vfs.open(caller, ino, flags)).handle })];
      }),
    create: (path: string, mode: number, reply: Reply) =>
      a.run('create', reply, async () => {
        const { parent, name } = await paths.place(path);
        const readWrite = 2;
        const [entry, { handle }] = await vfs.create(caller, parent, name, mode & 0o7777, readWrite);
        vfs.forget(entry.attr.ino, 1n);
        return [0, a.keep({ ino: entry.attr.ino, handle })];
      }),
    read: (_path: string, fd: number, room: Buffer, length: number, offset: number, reply: Reply) =>
      a.run('read', reply, async () => {
        const { ino, handle } = a.held(fd);
        let at = 0;
        for (const piece of await vfs.read(caller, ino, handle, BigInt(offset), length)) at += piece.copy(room, at);
        return [at];
      }),
    write: (_path: string, fd: number, data: Buffer, length: number, offset: number, reply: Reply) =>
      a.run('write', reply, async () => {
        const { ino, handle } = a.held(fd);
        return [await vfs.write(caller, ino, handle, BigInt(offset), data.subarray(0, length))];
      }),
    flush: (_path: string, fd: number, reply: Reply) =>
      a.run('flush', reply, async () => vfs.flush(caller, a.held(fd).ino, a.held(fd).handle).then(() => undefined)),
    fsync: (_path: string, _datasync: boolean, fd: number, reply: Reply) =>
      a.run('fsync', reply, async () => vfs.fsync(caller, a.held(fd).ino, a.held(fd).handle).then(() => undefined)),
    release: (_path: string, fd: number, reply: Reply) =>
      a.run('release', reply, async () => {
        const { ino, handle } = a.drop(fd);
        await vfs.release(caller, ino, handle);
        return undefined;
      }),
  };
}

function xattrs(a: Adapter): Operations {
  const { vfs, caller, paths } = a;
  return {
    setxattr: (path: string, name: string, value: Buffer, _position: number, flags: number, reply: Reply) =>
      a.run('setxattr', reply, async () => {
        await vfs.setxattr(caller, await paths.ino(path), name, Buffer.from(value), flags);
        return undefined;
      }),
    getxattr: (path: string, name: string, _position: number, reply: Reply) =>
      a.run('getxattr', reply, async () => [0, await vfs.getxattr(caller, await paths.ino(path), name)]),
    listxattr: (path: string, reply: Reply) =>
      a.run('listxattr', reply, async () => [0, await vfs.listxattr(caller, await paths.ino(path))]),
    removexattr: (path: string, name: string, reply: Reply) =>
      a.run('removexattr', reply, async () => {
        await vfs.removexattr(caller, await paths.ino(path), name);
        return undefined;
      }),
  };
}

export function operationsOf(vfs: Vfs, edge: EdgeLog): Operations {
  const adapter = new Adapter(vfs, edge);
  return { ...attributes(adapter), ...names(adapter), ...files(adapter), ...xattrs(adapter) };
}
