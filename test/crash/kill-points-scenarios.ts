// What is done while the process is killed, and what may be there afterwards. A scenario starts from a prepared tree; each
// of its steps is acknowledged when its last call returned, and whoever was killed in step n left the tree as after step
// n - 1, or as after step n; a write that was under way may have come in parts.
import type { Caller, Ino } from '../../src/base/words.ts';
import { clonePath } from '../../src/filesystem/clone-path.ts';
import type { Vfs } from '../../src/filesystem/vfs/vfs.ts';

/** Contents by path; undefined for a directory. */
export type Contents = ReadonlyMap<string, Buffer | undefined>;

export interface Step {
  /** In the process that is killed. */
  run(files: Files): Promise<void>;
  /** What it makes of the tree. */
  after(before: Contents): Contents;
  /** Whether others may see a part of it: bytes of one write, not names. */
  readonly inParts?: boolean;
}

/** Beside steps: what a mount or a tool does by itself, which changes no file. */
export type Act = 'steps' | 'compact' | 'gc' | 'empty the trash';

export interface Scenario {
  readonly trashDays: number;
  readonly prepare: readonly Step[];
  readonly steps: readonly Step[];
}

const root: Caller = { uid: 0, gid: 0, pid: 1, umask: 0o022 };
const O = { writeOnly: 1, readWrite: 2, create: 0o100 } as const;

/** The few calls of a scenario, by path, as an application makes them. */
export class Files {
  readonly #vfs: Vfs;
  readonly #metaUrl: string;

  constructor(vfs: Vfs, metaUrl: string) {
    this.#vfs = vfs;
    this.#metaUrl = metaUrl;
  }

  async write(path: string, offset: number, data: Buffer, fsync = false): Promise<void> {
    const [parent, name] = await this.#place(path);
    const [{ attr }, { handle }] = await this.#vfs.create(root, parent, name, 0o644, O.create | O.readWrite);
    await this.#vfs.write(root, attr.ino, handle, BigInt(offset), data);
    if (fsync) await this.#vfs.fsync(root, attr.ino, handle);
    await this.#vfs.flush(root, attr.ino, handle);
    await this.#vfs.release(root, attr.ino, handle);
  }

  async truncate(path: string, size: number): Promise<void> {
    await this.#vfs.setattr(root, await this.#find(path), { size: BigInt(size) }, undefined);
  }

  async punch(path: string, offset: number, size: number): Promise<void> {
    const ino = await this.#find(path);
    const { handle } = await this.#vfs.open(root, ino, O.writeOnly);
    await this.#vfs.fallocate(root, ino, handle, 3, BigInt(offset), BigInt(size));
    await this.#vfs.release(root, ino, handle);
  }

  async mkdir(path: string): Promise<void> {
    await this.#vfs.mkdir(root, ...(await this.#place(path)), 0o755);
  }

  async rename(from: string, to: string, flags = 0): Promise<void> {
    await this.#vfs.rename(root, ...(await this.#place(from)), ...(await this.#place(to)), flags);
  }

  async unlink(path: string): Promise<void> {
    await this.#vfs.unlink(root, ...(await this.#place(path)));
  }

  /** As the command does: past the mount. */
  async clone(source: string, directory: string, name: string): Promise<void> {
    await clonePath({ metaUrl: this.#metaUrl, source, directory, name, caller: root, preserve: true });
  }

  async #place(path: string): Promise<[Ino, Buffer]> {
    const at = path.lastIndexOf('/');
    return [await this.#find(path.slice(0, Math.max(at, 0))), Buffer.from(path.slice(at + 1))];
  }

  async #find(path: string): Promise<Ino> {
    let ino = this.#vfs.root;
    for (const name of path.split('/').filter((part) => part !== ''))
      ino = (await this.#vfs.lookup(root, ino, Buffer.from(name))).attr.ino;
    return ino;
  }
}

const KiB = 1024;
/** The same bytes in the process that writes and in the one that checks. */
const bytes = (length: number, seed: number): Buffer =>
  Buffer.alloc(
    length,
    Buffer.from(Array.from({ length: 251 }, (_, i) => (i * 7 + seed * 13 + ((i * seed) >> 3)) & 0xff)),
  );

const changed = (before: Contents, change: (tree: Map<string, Buffer | undefined>) => void): Contents => {
  const tree = new Map(before);
  change(tree);
  return tree;
};

const over = (base: Buffer | undefined, offset: number, data: Buffer): Buffer => {
  const result = Buffer.alloc(Math.max(base?.length ?? 0, offset + data.length));
  base?.copy(result);
  data.copy(result, offset);
  return result;
};

const write = (path: string, offset: number, data: Buffer, fsync = false): Step => ({
  run: (files) => files.write(path, offset, data, fsync),
  after: (before) => changed(before, (tree) => tree.set(path, over(tree.get(path), offset, data))),
  inParts: true,
});

const resize = (path: string, size: number): Step => ({
  run: (files) => files.truncate(path, size),
  after: (before) =>
    changed(before, (tree) => {
      const old = tree.get(path) ?? Buffer.alloc(0);
      tree.set(path, Buffer.concat([old.subarray(0, size), Buffer.alloc(Math.max(0, size - old.length))]));
    }),
});

const punch = (path: string, offset: number, size: number): Step => ({
  run: (files) => files.punch(path, offset, size),
  after: (before) => changed(before, (tree) => tree.set(path, over(tree.get(path), offset, Buffer.alloc(size)))),
});

const mkdir = (path: string): Step => ({
  run: (files) => files.mkdir(path),
  after: (before) => changed(before, (tree) => tree.set(path, undefined)),
});

const EXCHANGE = 2;

/** With what lies below. */
const move = (from: string, to: string, flags = 0): Step => ({
  run: (files) => files.rename(from, to, flags),
  after: (before) =>
    changed(before, (tree) => {
      const moved = [...tree].filter(([path]) => path === from || path.startsWith(`${from}/`));
      const back = flags === EXCHANGE ? [...tree].filter(([path]) => path === to || path.startsWith(`${to}/`)) : [];
      for (const [path] of [...moved, ...back]) tree.delete(path);
      for (const [path, data] of moved) tree.set(to + path.slice(from.length), data);
      for (const [path, data] of back) tree.set(from + path.slice(to.length), data);
    }),
});

const unlink = (path: string): Step => ({
  run: (files) => files.unlink(path),
  after: (before) => changed(before, (tree) => tree.delete(path)),
});

/** With what lies below, into the root. */
const clone = (from: string, to: string): Step => ({
  run: (files) => files.clone(from, '/', to),
  after: (before) =>
    changed(before, (tree) => {
      for (const [path, data] of before)
        if (path === from || path.startsWith(`${from}/`)) tree.set(to + path.slice(from.length), data);
    }),
});

/** Many records in one chunk. */
const pieces = (path: string, count: number): Step[] =>
  Array.from({ length: count }, (_, i) => write(path, i * 5 * KiB, bytes(7 * KiB, i + 1)));

const names = [mkdir('from'), mkdir('to'), mkdir('from/sub'), write('from/sub/deep', 0, bytes(3000, 1))];
const pair = [write('a', 0, bytes(150 * KiB, 2)), write('b', 0, bytes(90 * KiB, 3))];

export const scenarios: Readonly<Record<string, Scenario>> = {
  write: {
    trashDays: 0,
    prepare: [write('old', 0, bytes(200 * KiB, 4))],
    steps: [
      write('new', 0, bytes(200 * KiB, 5)),
      write('old', 100 * KiB, bytes(70 * KiB, 6), true),
      write('old', 200 * KiB, bytes(10 * KiB, 7)),
      write('empty', 0, Buffer.alloc(0)),
    ],
  },
  rename: {
    trashDays: 0,
    prepare: [...names, ...pair],
    steps: [move('a', 'b'), move('from/sub', 'to/moved'), move('b', 'to', EXCHANGE), move('b/moved/deep', 'deep')],
  },
  'rename into the trash': {
    trashDays: 1,
    prepare: [...names, ...pair],
    steps: [move('a', 'b'), move('b', 'from/sub/deep'), unlink('from/sub/deep')],
  },
  truncate: {
    trashDays: 0,
    prepare: pair,
    steps: [resize('a', 1000), resize('a', 100 * KiB), punch('b', 10 * KiB, 64 * KiB), resize('b', 0)],
  },
  compaction: { trashDays: 0, prepare: [...pieces('a', 12), ...pieces('c', 9), ...pair.slice(1)], steps: [] },
  'compaction with trash': { trashDays: 1, prepare: [...pieces('a', 12), ...pair.slice(1)], steps: [] },
  gc: { trashDays: 1, prepare: [...pieces('a', 12), ...names, ...pair], steps: [] },
  trash: {
    trashDays: 1,
    prepare: [...names, ...pair, ...pieces('many', 4), unlink('a'), unlink('many'), unlink('from/sub/deep')],
    steps: [],
  },
  clone: {
    trashDays: 0,
    prepare: [...names, write('from/sub/in', 0, bytes(100 * KiB, 8)), ...pair],
    steps: [clone('a', 'c'), clone('from', 'copy'), unlink('from/sub/in'), clone('copy', 'again')],
  },
  unlink: { trashDays: 0, prepare: [...names, ...pair], steps: [unlink('a'), unlink('from/sub/deep'), unlink('b')] },
};
