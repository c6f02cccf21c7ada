// Recursive removal of paths of a volume through its metadata, for tools: like `rm -r` on a mount, without a kernel between.
import { fail } from '../../base/errors.ts';
import type { Caller, Ino } from '../../base/words.ts';
import type { Meta } from '../meta/meta.ts';
import { mayAccess } from '../meta/permission.ts';
import { type Attr, ROOT } from '../meta/types.ts';
import type { StoreSettings } from '../store/store.ts';
import { openKeyless } from '../without-key.ts';
import { removeEntry } from './remove-tree.ts';

export interface RemovePathsOptions {
  readonly metaUrl: string;
  /** From the root of the volume. */
  readonly paths: readonly string[];
  readonly caller: Caller;
  /** Supplementary groups of the caller. */
  readonly groups?: readonly number[];
  /** For root only. */
  readonly skipTrash?: boolean;
  readonly threads?: number;
  readonly store?: Partial<StoreSettings>;
  readonly onProgress?: (removed: number) => void;
}

const READ_WRITE_SEARCH = 7;
const WRITE_SEARCH = 3;

/** Answers how many entries went, for each path. Stops at the first that cannot be removed. */
export async function removePaths(options: RemovePathsOptions): Promise<number[]> {
  const { caller, skipTrash = false } = options;
  if (skipTrash && caller.uid !== 0) throw fail('EPERM', 'remove past the trash: only root may');
  const { meta, close } = await openKeyless(options.metaUrl, options.store);
  try {
    const counts: number[] = [];
    let before = 0;
    for (const path of options.paths) {
      const removed = await removePath(meta, path, options, (count) => options.onProgress?.(before + count));
      before += removed;
      counts.push(removed);
    }
    return counts;
  } finally {
    await close();
  }
}

async function removePath(
  meta: Meta,
  path: string,
  options: RemovePathsOptions,
  onProgress: (count: number) => void,
): Promise<number> {
  const { caller, groups = [], skipTrash = false, threads } = options;
  const names = path.split('/').filter((name) => name !== '');
  const last = names.pop();
  if (last === undefined) throw fail('bad-input', 'remove /: the root of a volume stays; see pageseal destroy');
  const allow = (directory: Attr, mask: number): void => {
    // A member of several groups may do what any of them may.
    const gids = [caller.gid, ...groups];
    if (gids.some((gid) => mayAccess(directory, { ...caller, gid }, mask))) return;
    throw fail('EACCES', `remove ${path}: user ${caller.uid} may not change directory ${directory.ino}`);
  };
  let parent: Ino = ROOT;
  for (const name of names) {
    const attr = await lookup(meta, caller, parent, name, path);
    allow(attr, 1);
    parent = attr.ino;
  }
  allow(await meta.getattr(parent), WRITE_SEARCH);
  const attr = await lookup(meta, caller, parent, last, path);
  return removeEntry(
    meta,
    parent,
    { name: Buffer.from(last), ino: attr.ino, type: attr.type },
    {
      caller,
      skipTrash,
      onProgress,
      check: (directory) => allow(directory, READ_WRITE_SEARCH),
      ...(threads !== undefined && { parallel: threads }),
    },
  );
}

async function lookup(meta: Meta, caller: Caller, parent: Ino, name: string, path: string): Promise<Attr> {
  try {
    return await meta.lookup(caller, parent, Buffer.from(name));
  } catch (cause) {
    throw fail('not-found', `remove ${path}: no such path`, { cause });
  }
}
