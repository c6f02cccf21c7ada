// Stand-ins for metadata and pages with switches for failures: files only, the rules of the format for their contents.
import { fail } from '../../../src/base/errors.ts';
import type { Log } from '../../../src/base/log.ts';
import type { Caller, Ino, LedgerEntry, SliceId } from '../../../src/base/words.ts';
import { conflictOf, type LockRange, LockType, placeRange } from '../../../src/filesystem/meta/lock-ranges.ts';
import type { HeldLocks, LockAnswer, LockFamily, LockRequest } from '../../../src/filesystem/meta/locks.ts';
import type {
  Appended,
  ChunkView,
  Copied,
  CreateResult,
  Meta,
  Place,
  SliceCommit,
} from '../../../src/filesystem/meta/meta.ts';
import { paint } from '../../../src/filesystem/meta/overlap.ts';
import { chunkOf, larger, offsetOf, posInChunk, smaller } from '../../../src/filesystem/meta/position.ts';
import { type Attr, type AttrChange, CHUNK_SIZE, type Dirent, type Slice } from '../../../src/filesystem/meta/types.ts';
import type { PagePlace, PageStore } from '../../../src/filesystem/page/page-store.ts';

export const caller: Caller = { uid: 0, gid: 0, pid: 1, umask: 0o022 };

export const silent: Log = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
  child: () => silent,
};

interface FileNode {
  attr: Attr;
  chunks: Map<number, { slices: Slice[]; ledger: LedgerEntry[] }>;
}

const unused = (): never => {
  throw fail('ENOSYS', 'not in this double');
};

export class MemoryMeta implements Meta {
  readonly readOnly: boolean = false;
  readonly names = new Map<string, Ino>();
  readonly nodes = new Map<Ino, FileNode>();
  /** Called before each commit; may throw or wait. */
  beforeCommit: (ino: Ino, commits: readonly SliceCommit[]) => Promise<void> | void = () => undefined;
  /** The answer of readChunk may be old when it arrives. */
  afterReadChunk: () => Promise<void> | void = () => undefined;
  readonly committed: SliceCommit[] = [];
  readonly handles = new Map<Ino, number>();
  syncs = 0;
  /** Locks by family and inode; session 1 is this one. */
  readonly locks = new Map<string, HeldLocks[]>();
  sessionId = 1n;
  shared = false;
  /** Called before a lock is set; may throw or wait. */
  beforeLock: (request: LockRequest) => Promise<void> | void = () => undefined;
  lockCalls = 0;
  sessionLost: () => void = () => undefined;
  #nextIno = 2n;
  #nextSlice = 1n;
  #clock = 1_700_000_000_000_000_000n;

  now(): bigint {
    this.#clock += 1000n;
    return this.#clock;
  }

  node(ino: Ino): FileNode {
    const node = this.nodes.get(ino);
    if (node === undefined) throw fail('ENOENT', `inode ${ino}`);
    return node;
  }

  #set(ino: Ino, change: Partial<Attr>): Attr {
    const node = this.node(ino);
    node.attr = { ...node.attr, ...change, ctime: this.now() };
    return node.attr;
  }

  #append(ino: Ino, indx: number, slice: Slice): void {
    const { chunks } = this.node(ino);
    const chunk = chunks.get(indx) ?? { slices: [], ledger: [] };
    chunk.slices.push(slice);
    chunks.set(indx, chunk);
  }

  #zero(ino: Ino, from: bigint, to: bigint): void {
    if (from >= to) return;
    const [first, last] = [chunkOf(from), chunkOf(to - 1n)];
    // A chunk without records is zeros already, and there may be 2^31 of them.
    for (const indx of new Set([first, ...this.node(ino).chunks.keys(), last])) {
      if (indx < first || indx > last) continue;
      const pos = indx === first ? posInChunk(from) : 0;
      const end = Number(smaller(BigInt(CHUNK_SIZE), to - offsetOf(indx, 0)));
      this.#append(ino, indx, { pos, id: 0n, size: 0, off: 0, len: end - pos });
    }
  }

  async lookup(_caller: Caller, _parent: Ino, name: Buffer): Promise<Attr> {
    return this.node(this.names.get(name.toString()) ?? 0n).attr;
  }

  async getattr(ino: Ino): Promise<Attr> {
    if (ino === 1n) return { ...this.#blank(1n, 0o755), type: 2 };
    return this.node(ino).attr;
  }

  async setattr(_caller: Caller, ino: Ino, change: AttrChange): Promise<Attr> {
    const { mtime, atime, ...rest } = change;
    const times = mtime === undefined ? {} : { mtime: mtime === 'now' ? this.now() : mtime };
    return this.#set(ino, { ...rest, ...times, ...(atime === undefined ? {} : { atime: this.now() }) });
  }

  async accessed(): Promise<void> {}

  async linksInTrash(): Promise<number> {
    return 0;
  }

  #blank(ino: Ino, mode: number): Attr {
    const now = this.now();
    const times = { atime: now, mtime: now, ctime: now };
    const ids = { uid: 0, gid: 0, flags: 0, rdev: 0, parent: 1n, accessAcl: 0, defaultAcl: 0, tier: 0 };
    return { ino, type: 1, mode, nlink: 1, length: 0n, ...ids, ...times };
  }

  async create(_c: Caller, _p: Ino, name: Buffer, mode: number, exclusive: boolean): Promise<CreateResult> {
    const known = this.names.get(name.toString());
    if (known !== undefined && exclusive) throw fail('EEXIST', 'create');
    if (known !== undefined) return { attr: this.node(known).attr, created: false };
    const ino = this.#nextIno++;
    this.nodes.set(ino, { attr: this.#blank(ino, mode), chunks: new Map() });
    this.names.set(name.toString(), ino);
    return { attr: this.node(ino).attr, created: true };
  }

  async truncate(_caller: Caller, ino: Ino, length: bigint): Promise<Attr> {
    const { attr } = this.node(ino);
    this.#zero(ino, smaller(attr.length, length), larger(attr.length, length));
    return this.#set(ino, { length, mtime: this.now() });
  }

  async fallocate(_caller: Caller, ino: Ino, mode: number, offset: bigint, size: bigint): Promise<Attr> {
    const { attr } = this.node(ino);
    if ((mode & 0x12) !== 0) this.#zero(ino, offset, smaller(offset + size, attr.length));
    const length = (mode & 1) === 0 ? larger(attr.length, offset + size) : attr.length;
    return this.#set(ino, { length, mtime: this.now() });
  }

  async copyRange(_caller: Caller, source: Place, target: Place, size: bigint): Promise<Copied> {
    const [from, to] = [this.node(source.ino), this.node(target.ino)];
    const end = smaller(source.offset + size, from.attr.length);
    let [at, length] = [target.offset, to.attr.length];
    const overlapping = at < end && source.offset < at + end - source.offset;
    if (source.ino === target.ino && overlapping) throw fail('EINVAL', 'overlapping');
    const pieces = [];
    for (let offset = source.offset; offset < end; offset = offsetOf(chunkOf(offset) + 1, 0)) {
      const last = Number(smaller(BigInt(CHUNK_SIZE), end - offsetOf(chunkOf(offset), 0)));
      pieces.push(...paint(from.chunks.get(chunkOf(offset))?.slices ?? [], posInChunk(offset), last));
    }
    for (const { len, layer, skip } of pieces) {
      for (let done = 0; done < len; ) {
        const n = Math.min(len - done, CHUNK_SIZE - posInChunk(at));
        const piece = { size: 0, id: 0n, ...layer, pos: posInChunk(at), off: (layer?.off ?? 0) + skip + done, len: n };
        this.#append(target.ino, chunkOf(at), piece);
        done += n;
        at += BigInt(n);
      }
    }
    // Each entry once: a file copied onto itself again and again would have twice as many every time.
    const all = [...from.chunks.values()].flatMap(({ ledger }) => ledger);
    for (const chunk of to.chunks.values()) chunk.ledger = [...new Set([...chunk.ledger, ...all])];
    if (pieces.length > 0) length = larger(length, at);
    return { attr: this.#set(target.ino, { length, mtime: this.now() }), copied: at - target.offset };
  }

  async readChunk(ino: Ino, indx: number): Promise<ChunkView> {
    const chunk = this.node(ino).chunks.get(indx);
    const view = { slices: [...(chunk?.slices ?? [])], ledger: [...(chunk?.ledger ?? [])] };
    await this.afterReadChunk();
    return view;
  }

  async chunkIndexes(ino: Ino, from: number, limit: number): Promise<number[]> {
    const all = [...this.node(ino).chunks.keys()].filter((indx) => indx >= from).sort((a, b) => a - b);
    return all.slice(0, limit);
  }

  async commitSlices(_caller: Caller, ino: Ino, commits: readonly SliceCommit[]): Promise<Attr> {
    await this.beforeCommit(ino, commits);
    let { length } = this.node(ino).attr;
    for (const commit of commits) {
      this.#append(ino, commit.indx, commit.slice);
      this.node(ino)
        .chunks.get(commit.indx)
        ?.ledger.push(...commit.ledger);
      this.committed.push(commit);
      length = larger(length, offsetOf(commit.indx, commit.slice.pos + commit.slice.len));
    }
    return this.#set(ino, { length, mtime: commits.at(-1)?.mtime ?? 0n });
  }

  async commitAppended(ino: Ino, commits: readonly SliceCommit[]): Promise<Appended> {
    await this.beforeCommit(ino, commits);
    let { length } = this.node(ino).attr;
    const records: SliceCommit[] = [];
    for (const commit of commits)
      for (let off = 0; off < commit.slice.size; ) {
        const pos = posInChunk(length);
        const len = Math.min(commit.slice.size - off, CHUNK_SIZE - pos);
        records.push({ ...commit, indx: chunkOf(length), slice: { ...commit.slice, pos, off, len } });
        off += len;
        length += BigInt(len);
      }
    for (const { indx, slice, ledger } of records) {
      this.#append(ino, indx, slice);
      this.node(ino)
        .chunks.get(indx)
        ?.ledger.push(...ledger);
    }
    this.committed.push(...records);
    return { attr: this.#set(ino, { length, mtime: commits.at(-1)?.mtime ?? 0n }), records };
  }

  async setLock(request: LockRequest): Promise<LockAnswer> {
    this.lockCalls++;
    await this.beforeLock(request);
    const { family, ino, owner, type } = request;
    const sid = this.sessionId;
    const all = this.locks.get(`${family} ${ino}`) ?? [];
    const own = all.find((one) => one.sid === sid && one.owner === owner);
    const inTheWay = all.filter((one) => one !== own && conflictOf(one.ranges, request) !== undefined);
    const granted = type === LockType.none || inTheWay.length === 0;
    const ranges = granted ? placeRange(own?.ranges ?? [], request) : family === 'flock' ? [] : (own?.ranges ?? []);
    const rest = all.filter((one) => one !== own);
    this.locks.set(`${family} ${ino}`, ranges.length === 0 ? rest : [...rest, { sid, owner, ranges }]);
    return { granted, elsewhere: inTheWay.some((one) => one.sid !== sid), shared: this.shared };
  }

  async conflictingLock({ family, ino, owner, ...range }: LockRequest): Promise<LockRange | undefined> {
    const others = (this.locks.get(`${family} ${ino}`) ?? []).filter((one) => one.owner !== owner);
    return others.map(({ ranges }) => conflictOf(ranges, range)).find((found) => found !== undefined);
  }

  async locksOn(family: LockFamily, ino: Ino): Promise<readonly HeldLocks[]> {
    return this.locks.get(`${family} ${ino}`) ?? [];
  }

  async inheritedLocks(): Promise<Pick<LockRequest, 'family' | 'ino' | 'owner'>[]> {
    return [...this.locks].flatMap(([key, all]) => {
      const [family, ino = ''] = key.split(' ') as [LockFamily, string];
      return all.filter(({ sid }) => sid === this.sessionId).map(({ owner }) => ({ family, ino: BigInt(ino), owner }));
    });
  }

  async hasOtherSessions(): Promise<boolean> {
    return this.shared;
  }

  onTouched(): void {}

  onSessionLost(listener: () => void): void {
    this.sessionLost = listener;
  }

  async newSliceId(): Promise<SliceId> {
    return this.#nextSlice++;
  }

  async sync(): Promise<void> {
    this.syncs++;
  }

  opened(ino: Ino): void {
    this.handles.set(ino, (this.handles.get(ino) ?? 0) + 1);
  }

  async closed(ino: Ino): Promise<void> {
    this.handles.set(ino, (this.handles.get(ino) ?? 0) - 1);
  }

  forgotten(): void {
    // Nothing is sustained here.
  }

  async readdir(_ino: Ino, after: Buffer | undefined, limit: number, plus: boolean): Promise<Dirent[]> {
    const names = [...this.names].map(([name, ino]) => ({ name: Buffer.from(name), ino }));
    const sorted = names.sort((a, b) => a.name.compare(b.name));
    const rest = sorted.filter(({ name }) => after === undefined || name.compare(after) > 0).slice(0, limit);
    return rest.map((at) => ({ ...at, type: 1 as const, ...(plus ? { attr: this.node(at.ino).attr } : {}) }));
  }

  async readdirAt(ino: Ino, position: number, limit: number, plus: boolean): Promise<Dirent[]> {
    return (await this.readdir(ino, undefined, Number.POSITIVE_INFINITY, plus)).slice(position, position + limit);
  }

  async unlink(_caller: Caller, _parent: Ino, name: Buffer): Promise<void> {
    this.names.delete(name.toString());
  }

  async statfs(): Promise<{ totalBytes: bigint; usedBytes: bigint; totalInodes: bigint; usedInodes: bigint }> {
    return { totalBytes: 1n, usedBytes: 0n, totalInodes: 1n, usedInodes: 0n };
  }

  async close(): Promise<void> {
    // Memory only.
  }

  readlink = unused;
  mknod = unused;
  mkdir = unused;
  symlink = unused;
  link = unused;
  rename = unused;
  rmdir = unused;
  getxattr = unused;
  listxattr = unused;
  setxattr = unused;
  removexattr = unused;
}

/** Pages in a map. `beforeWrite` may throw or wait. */
export class MemoryPages implements PageStore {
  readonly pageSize: number;
  readonly encrypted = true;
  readonly objects = new Map<string, Buffer>();
  readonly reads: string[] = [];
  beforeWrite: (place: PagePlace) => Promise<void> | void = () => undefined;
  /** Whether `cached` answers. */
  warm = false;

  constructor(pageSize: number) {
    this.pageSize = pageSize;
  }

  key(place: PagePlace): string {
    return `${place.sliceId}_${place.indx}_${place.length}`;
  }

  hold(): () => void {
    return () => undefined;
  }

  async write(place: PagePlace, plain: Buffer): Promise<LedgerEntry> {
    if (plain.length !== place.length) throw fail('internal', 'length of a page');
    if (this.objects.has(this.key(place))) throw fail('internal', `page ${this.key(place)} written twice`);
    await this.beforeWrite(place);
    this.objects.set(this.key(place), Buffer.from(plain));
    return { sliceId: place.sliceId, indx: place.indx, tag: Buffer.alloc(16), pageKey: Buffer.alloc(61) };
  }

  async read(place: PagePlace, entry: LedgerEntry | undefined): Promise<Buffer> {
    this.reads.push(this.key(place));
    if (entry?.sliceId !== place.sliceId || entry.indx !== place.indx) throw fail('page-unledgered', this.key(place));
    const found = this.objects.get(this.key(place));
    if (found === undefined) throw fail('object-missing', this.key(place));
    return found;
  }

  cached(place: PagePlace): Buffer | undefined {
    return this.warm ? this.objects.get(this.key(place)) : undefined;
  }

  async remove(sliceId: SliceId): Promise<void> {
    for (const key of this.objects.keys()) if (key.startsWith(`${sliceId}_`)) this.objects.delete(key);
  }

  async close(): Promise<void> {
    // Memory only.
  }
}
