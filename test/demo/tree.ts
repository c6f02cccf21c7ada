// The real tree that the demo copies, file by file as an application would, and how it compares two of them.
import { lstat, mkdir, readdir, readFile, readlink, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MiB } from '../../src/base/units.ts';

/** Prebuilt programs in node_modules are a hundred times what everything else is; the demo is about many files. */
const MAX_FILE = 2 * MiB;
/** Files at once, as a parallel copy tool has them. */
const PARALLEL = 16;

export interface Entry {
  readonly path: string;
  readonly kind: 'folder' | 'file' | 'link';
  readonly size: number;
  readonly mode: number;
}

/** Folders before what is in them. */
export async function listTree(root: string, limit: number): Promise<Entry[]> {
  const found: Entry[] = [];
  const waiting = [''];
  for (let folder = waiting.shift(); folder !== undefined && found.length < limit; folder = waiting.shift())
    for (const name of (await readdir(join(root, folder))).sort()) {
      const path = join(folder, name);
      const stat = await lstat(join(root, path));
      const kind = stat.isDirectory() ? 'folder' : stat.isSymbolicLink() ? 'link' : 'file';
      if (kind === 'file' && (!stat.isFile() || stat.size > MAX_FILE)) continue;
      if (kind === 'folder') waiting.push(path);
      found.push({ path, kind, size: kind === 'file' ? stat.size : 0, mode: stat.mode & 0o777 });
    }
  return found;
}

export async function copyTree(from: string, to: string, entries: readonly Entry[], tick: Tick): Promise<void> {
  for (const { path, kind, mode } of entries) if (kind === 'folder') await mkdir(join(to, path), { mode });
  await inParallel(entries, tick, async ({ path, kind, mode }) => {
    if (kind === 'file') await writeFile(join(to, path), await readFile(join(from, path)), { mode });
    else if (kind === 'link') await symlink(await readlink(join(from, path)), join(to, path));
  });
}

/** Paths that are not byte for byte what they were. */
export async function compareTree(from: string, to: string, entries: readonly Entry[], tick: Tick): Promise<string[]> {
  const different: string[] = [];
  await inParallel(entries, tick, async ({ path, kind }) => {
    if (!(await isSame(join(from, path), join(to, path), kind))) different.push(path);
  });
  return different;
}

async function isSame(a: string, b: string, kind: Entry['kind']): Promise<boolean> {
  try {
    if (kind === 'file') return (await readFile(a)).equals(await readFile(b));
    if (kind === 'link') return (await readlink(a)) === (await readlink(b));
    return (await lstat(b)).isDirectory();
  } catch {
    return false;
  }
}

export type Tick = (done: number, all: number) => void;

async function inParallel(entries: readonly Entry[], tick: Tick, work: (entry: Entry) => Promise<void>): Promise<void> {
  let next = 0;
  let done = 0;
  const runner = async (): Promise<void> => {
    for (let entry = entries[next++]; entry !== undefined; entry = entries[next++]) {
      await work(entry);
      tick(++done, entries.length);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, runner));
}
