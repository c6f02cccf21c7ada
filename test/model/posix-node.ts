// A node of the reference model: attributes, times as spans, and how it compares with what a mount shows.
import { Content } from './content.ts';
import type { NodeKind, Seen } from './orders.ts';

/** A time lies in it; one that was set or seen is exact. Nanoseconds. */
export interface Span {
  readonly from: bigint;
  readonly to: bigint;
}

export const exactly = (time: bigint): Span => ({ from: time, to: time });
/** Until what is on its way has arrived. */
const NOT_YET = 1n << 62n;
/** The server's clock and the client's are one, but they round and read it at different moments. */
const SLACK = 20_000_000n;
export const during = (begun: bigint, ended: bigint): Span => ({ from: begun - SLACK, to: ended + SLACK });
const before = (a: bigint, b: bigint): boolean => a < b;
const joined = (a: Span, b: Span): Span => ({
  from: before(a.from, b.from) ? a.from : b.from,
  to: before(a.to, b.to) ? b.to : a.to,
});

export type Time = 'atime' | 'mtime' | 'ctime';

let serial = 0;

export class PosixNode {
  readonly id = ++serial;
  readonly kind: NodeKind;
  readonly entries = new Map<string, PosixNode>();
  readonly content = new Content();
  readonly xattrs = new Map<string, string>();
  mode: number;
  uid = 0;
  gid = 0;
  links = 1;
  /** mtime and ctime may still move on. */
  late = false;
  /** Names of it in the trash, which has one per hour and place: some clients count them as links. */
  readonly trashed = new Set<string>();
  target = '';
  rdev = 0;
  parent: PosixNode | undefined;
  atime: Span;
  mtime: Span;
  ctime: Span;
  /** As the mounts number it, once seen. */
  ino: number | undefined;

  constructor(kind: NodeKind, mode: number, now: Span) {
    this.kind = kind;
    this.mode = mode;
    this.atime = now;
    this.mtime = now;
    this.ctime = now;
  }

  touch(now: Span, ...times: Time[]): void {
    for (const time of times) this[time] = this.late && time !== 'atime' ? { from: now.from, to: NOT_YET } : now;
  }

  /** Where POSIX, Linux and the format do not say the same. */
  mayTouch(now: Span, ...times: Time[]): void {
    for (const time of times) this[time] = joined(this[time], now);
  }

  nlink(trashToo: boolean): number {
    if (this.kind !== 'directory') return this.links + (trashToo ? this.trashed.size : 0);
    let below = 0;
    for (const entry of this.entries.values()) if (entry.kind === 'directory') below++;
    return 2 + below;
  }

  /** Differences, a line each; takes over what only the mounts can say (inode number, times). */
  compare(path: string, seen: Seen, trashToo = false): string[] {
    const found: string[] = [];
    const differ = (what: string, wanted: unknown, is: unknown): void => {
      if (wanted !== is) found.push(`${path}: ${what} is ${is}, wanted ${wanted}`);
    };
    differ('kind', this.kind, seen.kind);
    differ('mode', this.mode.toString(8), seen.mode.toString(8));
    differ('owner', `${this.uid}:${this.gid}`, `${seen.uid}:${seen.gid}`);
    differ('nlink', this.nlink(trashToo), seen.nlink);
    if (this.kind === 'file') differ('size', this.content.length, seen.size);
    if (this.kind === 'symlink') differ('size', this.target.length, seen.size);
    if (this.kind === 'char' || this.kind === 'block') differ('rdev', this.rdev, seen.rdev);
    if (seen.data !== undefined) differ('content', this.content.digest, seen.data);
    if (seen.target !== undefined) differ('target', this.target, seen.target);
    if (seen.xattrs !== undefined) differ('xattrs', textOf(this.xattrs), textOf(Object.entries(seen.xattrs)));
    this.ino ??= seen.ino;
    differ('inode number', this.ino, seen.ino);
    for (const time of ['atime', 'mtime', 'ctime'] as const) {
      if (this.late && time !== 'atime') continue;
      const is = BigInt(seen[time]);
      const { from, to } = this[time];
      if (is < from || is > to)
        found.push(`${path}: ${time} is ${is}, wanted ${from === to ? from : `${from} to ${to}`}`);
      this[time] = exactly(is);
    }
    return found;
  }
}

const textOf = (entries: Iterable<readonly [string, string]>): string =>
  JSON.stringify([...entries].sort(([a], [b]) => (a < b ? -1 : 1)));
