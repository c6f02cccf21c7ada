// Open directories: a cursor in the order of names, some hundred entries in memory, whatever the directory's size. Offsets
// are positions, so that seekdir and a successor of this process find their place.
import { fail } from '../../base/errors.ts';
import type { Ino } from '../../base/words.ts';
import { type Dirent, NodeType } from '../meta/types.ts';
import { accessed } from './accessed.ts';
import { type Core, entryAtOnce } from './core.ts';
import { Handles } from './handles.ts';
import type { DirectoryEntry, HandleId } from './vfs.ts';

/** Entries fetched at a time: a few kernel replies. */
const FETCH = 256;
/** Fetched when attributes are asked for and this mount is busy changing things: about what one reply takes. */
const FETCH_BUSY = 48;
/** Page starts remembered for seekdir; beyond them positions are counted by the database. */
const MAX_STARTS = 4096;
/** '.' and '..' come first. */
const DOTS = 2;

interface OpenDirectory {
  readonly id: HandleId;
  readonly ino: Ino;
  readonly parent: Ino;
  /** Position of the first entry of `page`, not counting the dots. */
  start: number;
  page: readonly Dirent[];
  /** Nothing came behind the page. */
  last: boolean;
  plus: boolean;
  /** What this client had changed when the page was asked for. */
  changes: number;
  since: number;
  fetchedAt: number;
  /** Position -> the name before it. */
  starts: Map<number, Buffer>;
}

/** Attributes older than this are not handed to the kernel, which would believe them anew. */
const FRESH_MS = 500;

export class Directories {
  readonly #core: Core;
  readonly #open: Handles<OpenDirectory>;

  constructor(core: Core, epoch: number) {
    this.#core = core;
    this.#open = new Handles(epoch);
  }

  /** Moves on with every change of this client's, begun or done. */
  get #changes(): number {
    return this.#core.changes + this.#core.inodes.now;
  }

  async open(ino: Ino): Promise<HandleId> {
    const attr = await this.#core.meta.getattr(ino);
    if (attr.type !== NodeType.directory) throw fail('ENOTDIR', `open inode ${ino} as a directory`);
    return this.#add(ino, attr.parent, this.#open.newId(0, true)).id;
  }

  close(ino: Ino, id: HandleId): void {
    if (!this.#open.delete(id)) this.#open.inherited(ino, id, true);
  }

  #add(ino: Ino, parent: Ino, id: HandleId): OpenDirectory {
    return this.#open.add({
      id,
      ino,
      parent,
      start: 0,
      page: [],
      last: false,
      plus: false,
      changes: -1,
      since: 0,
      fetchedAt: 0,
      starts: new Map(),
    });
  }

  async #find(ino: Ino, id: HandleId): Promise<OpenDirectory> {
    const known = this.#open.get(id);
    if (known !== undefined) return known;
    this.#open.inherited(ino, id, true);
    const attr = await this.#core.meta.getattr(ino);
    return this.#open.get(id) ?? this.#add(ino, attr.parent, id);
  }

  async read(
    ino: Ino,
    id: HandleId,
    offset: bigint,
    plus: boolean,
    take: (entry: DirectoryEntry) => boolean,
  ): Promise<void> {
    const directory = await this.#find(ino, id);
    let at = Number(offset);
    if (at === 0) {
      await accessed(this.#core, ino);
      // The start and rewinddir(3): what has changed since must show.
      directory.page = [];
      directory.last = false;
      directory.start = 0;
      directory.starts.clear();
      if (!take(dot('.', ino, 1n))) return;
      at = 1;
    }
    if (at === 1) {
      if (!take(dot('..', ino === this.#core.root ? ino : directory.parent, 2n))) return;
      at = DOTS;
    }
    for (let position = at - DOTS; ; position++) {
      let dirent = this.#buffered(directory, position, plus);
      if (dirent === undefined && this.#ends(directory, position)) return;
      if (dirent === undefined) [dirent] = await this.#fetch(directory, position, plus);
      if (dirent === undefined || !take(this.#entry(directory, dirent, position, plus))) return;
    }
  }

  #buffered(directory: OpenDirectory, position: number, plus: boolean): Dirent | undefined {
    if (position < directory.start || (plus && !directory.plus)) return undefined;
    if (plus && !this.#isFresh(directory)) return undefined;
    return directory.page[position - directory.start];
  }

  /** Known without asking, so that a small directory takes one look. */
  #ends(directory: OpenDirectory, position: number): boolean {
    return directory.last && position === directory.start + directory.page.length && this.#isFresh(directory);
  }

  #isFresh({ changes, fetchedAt }: OpenDirectory): boolean {
    return changes === this.#changes && Date.now() - fetchedAt <= FRESH_MS;
  }

  /** The page from `position` on, also for a reader whose handle another one moved meanwhile. */
  async #fetch(directory: OpenDirectory, position: number, plus: boolean): Promise<readonly Dirent[]> {
    const { meta, inodes } = this.#core;
    const after = this.#nameBefore(directory, position);
    const busy = directory.changes !== -1 && directory.changes !== this.#changes;
    const limit = plus && busy ? FETCH_BUSY : FETCH;
    const changes = this.#changes;
    const since = inodes.now;
    const page =
      position === 0 || after !== undefined
        ? await meta.readdir(directory.ino, after, limit, plus)
        : await meta.readdirAt(directory.ino, position, limit, plus);
    directory.start = position;
    directory.page = page;
    directory.last = page.length < limit;
    directory.plus = plus;
    directory.changes = changes;
    directory.since = since;
    directory.fetchedAt = Date.now();
    const last = page.at(-1);
    if (last === undefined) return page;
    directory.starts.set(position + page.length, last.name);
    for (const oldest of directory.starts.keys()) {
      if (directory.starts.size <= MAX_STARTS) break;
      directory.starts.delete(oldest);
    }
    return page;
  }

  #nameBefore(directory: OpenDirectory, position: number): Buffer | undefined {
    return directory.page[position - 1 - directory.start]?.name ?? directory.starts.get(position);
  }

  #entry(directory: OpenDirectory, dirent: Dirent, position: number, plus: boolean): DirectoryEntry {
    const { name, ino, type, attr } = dirent;
    const nextOffset = BigInt(position + DOTS + 1);
    if (!plus || attr === undefined) return { name, ino, type, nextOffset };
    const entry = entryAtOnce(this.#core, attr, directory.since);
    return { name, ino, type, nextOffset, ...(entry && { entry }) };
  }
}

const dot = (name: string, ino: Ino, nextOffset: bigint): DirectoryEntry => ({
  name: Buffer.from(name),
  ino,
  type: NodeType.directory,
  nextOffset,
});
