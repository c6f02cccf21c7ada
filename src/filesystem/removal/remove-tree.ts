// Removes a directory with everything in it, entry by entry, through the metadata's own rules: what its files leave behind
// (trash, objects, usage) is then what any unlink leaves. Memory depends on the tree's depth, not on its size.
import { fail, hasCode } from '../../base/errors.ts';
import type { Caller, Ino } from '../../base/words.ts';
import type { Meta } from '../meta/meta.ts';
import { type Attr, type Dirent, NodeType } from '../meta/types.ts';

/** Entries per look at a directory. */
const PAGE = 512;
const PARALLEL = 8;
/** Looks at a directory that somebody keeps filling. */
const MAX_REFILLS = 20;

type Tree = Pick<Meta, 'readdir' | 'unlink' | 'rmdir' | 'getattr'>;

export interface RemoveTreeOptions {
  readonly caller: Caller;
  readonly skipTrash?: boolean;
  /** Entries removed at the same time. */
  readonly parallel?: number;
  /** Asked of each directory before its first entry goes; throws what forbids it. */
  readonly check?: (directory: Attr) => void;
  readonly onProgress?: (removed: number) => void;
}

/** Answers how many entries went. A name that is gone already is fine. */
export async function removeEntry(
  tree: Tree,
  parent: Ino,
  entry: Pick<Dirent, 'name' | 'ino' | 'type'>,
  options: RemoveTreeOptions,
): Promise<number> {
  const removal = new TreeRemoval(tree, options);
  await removal.remove(parent, entry, new Set([parent]));
  return removal.removed;
}

/** The same for everything in a directory, which itself stays. */
export async function emptyDirectory(tree: Tree, ino: Ino, options: RemoveTreeOptions): Promise<number> {
  const removal = new TreeRemoval(tree, options);
  await removal.empty(ino, new Set());
  return removal.removed;
}

class TreeRemoval {
  removed = 0;
  readonly #tree: Tree;
  readonly #options: RemoveTreeOptions;

  constructor(tree: Tree, options: RemoveTreeOptions) {
    this.#tree = tree;
    this.#options = options;
  }

  /** `above`: the directories on the way here. False when there was nothing any more. */
  async remove(parent: Ino, entry: Pick<Dirent, 'name' | 'ino' | 'type'>, above: ReadonlySet<Ino>): Promise<boolean> {
    const { caller, skipTrash = false } = this.#options;
    if (entry.type !== NodeType.directory)
      return this.#count(this.#tree.unlink(caller, parent, entry.name, { skipTrash }));
    for (let refill = 0; ; refill++) {
      await this.empty(entry.ino, above);
      try {
        return await this.#count(this.#tree.rmdir(caller, parent, entry.name, { skipTrash }));
      } catch (thrown) {
        if (!hasCode(thrown, 'ENOTEMPTY') || refill === MAX_REFILLS) throw thrown;
      }
    }
  }

  /** Files several at once, folders one after the other: else a broad tree would be in memory all at once. */
  async empty(ino: Ino, above: ReadonlySet<Ino>): Promise<void> {
    if (above.has(ino))
      throw fail('metadata-damaged', `remove directory ${ino}: it contains itself`, {
        hint: 'pageseal fsck --repair takes such loops apart',
      });
    const path = new Set([...above, ino]);
    await this.#check(ino);
    const parallel = this.#options.parallel ?? PARALLEL;
    for (;;) {
      const entries = await ignoreMissing(this.#tree.readdir(ino, undefined, PAGE, false));
      if (entries === undefined || entries.length === 0) return;
      const files = entries.filter(({ type }) => type !== NodeType.directory);
      let removed = 0;
      for (let at = 0; at < files.length; at += parallel) {
        const gone = await Promise.all(files.slice(at, at + parallel).map((file) => this.remove(ino, file, path)));
        removed += gone.filter((each) => each).length;
      }
      for (const entry of entries)
        if (entry.type === NodeType.directory && (await this.remove(ino, entry, path))) removed++;
      if (removed === 0) throw fail('metadata-damaged', `remove directory ${ino}: it lists entries that do not exist`);
    }
  }

  async #check(ino: Ino): Promise<void> {
    if (this.#options.check === undefined) return;
    const attr = await ignoreMissing(this.#tree.getattr(ino));
    if (attr !== undefined) this.#options.check(attr);
  }

  async #count(work: Promise<void>): Promise<boolean> {
    if ((await ignoreMissing(work.then(() => true))) === undefined) return false;
    this.removed++;
    this.#options.onProgress?.(this.removed);
    return true;
  }
}

async function ignoreMissing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (thrown) {
    if (!hasCode(thrown, 'ENOENT')) throw thrown;
    return undefined;
  }
}
