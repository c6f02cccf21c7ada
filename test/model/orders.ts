// What the client of a random run can be told to do: the words between generator, model and client.py.

export type NodeKind = 'file' | 'directory' | 'symlink' | 'fifo' | 'socket' | 'char' | 'block';

/** Paths and names are bytes as Latin-1, relative to the mount; '' is its top. */
interface At {
  readonly p: string;
}
interface Two extends At {
  readonly q: string;
}
interface Bytes {
  readonly at: number;
  readonly len: number;
  /** Of the bytes; '' for zeros. */
  readonly seed: string;
}
interface Slot {
  readonly slot: number;
}

interface Arguments {
  create: At & { readonly mode: number; readonly exclusive: boolean };
  write: At & Bytes & { readonly truncate: boolean };
  append: At & Omit<Bytes, 'at'>;
  read: At & { readonly at: number; readonly len: number };
  mapped: At & Bytes;
  truncate: At & { readonly len: number };
  fallocate: At & { readonly mode: number; readonly at: number; readonly len: number };
  copy: Two & { readonly at: number; readonly to: number; readonly len: number };
  mkdir: At & { readonly mode: number };
  mknod: At & { readonly kind: 'fifo' | 'socket' | 'char' | 'block'; readonly mode: number; readonly rdev: number };
  symlink: At & { readonly target: string };
  link: Two;
  rename: Two & { readonly flags: number };
  unlink: At;
  rmdir: At;
  chmod: At & { readonly mode: number };
  chown: At & { readonly uid: number; readonly gid: number };
  /** Nanoseconds, in decimal. */
  utimens: At & { readonly atime: string; readonly mtime: string };
  setxattr: At & { readonly name: string; readonly value: string; readonly flags: number };
  getxattr: At & { readonly name: string };
  removexattr: At & { readonly name: string };
  stat: At;
  readlink: At;
  readdir: At;
  hold: At & Slot & { readonly how: 'r' | 'w' | 'a' };
  heldWrite: Slot & Bytes & { readonly how: 'w' | 'a' };
  heldRead: Slot & { readonly at: number; readonly len: number };
  heldMapped: Slot;
  heldStat: Slot;
  heldTruncate: Slot & { readonly len: number };
  heldChmod: Slot & { readonly mode: number };
  heldSync: Slot;
  drop: Slot;
}

export type OrderName = keyof Arguments;
export type OrderOf<K extends OrderName> = Arguments[K] & { readonly op: K; readonly m: number };
export type Order = { [K in OrderName]: OrderOf<K> }[OrderName];

/** One entry of what `tree` and `stat` answer. */
export interface Seen {
  readonly kind: NodeKind;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly nlink: number;
  readonly ino: number;
  readonly atime: string;
  readonly mtime: string;
  readonly ctime: string;
  readonly size?: number;
  readonly rdev?: number;
  readonly target?: string;
  readonly data?: string;
  readonly xattrs?: Readonly<Record<string, string>>;
}

export interface Answer {
  /** errno, or -1 for what can never be right. */
  readonly e: number;
  readonly v: unknown;
  readonly t: readonly [begun: string, ended: string];
}
