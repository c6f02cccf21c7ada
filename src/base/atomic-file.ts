// Files that appear whole or not at all, and folders made durable. A file is written under a hidden name beside its
// place, its data forced to the disk, then renamed; what the caller sees after a crash is the old file or the new one.
import { type FileHandle, mkdir, open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Lru } from './lru.ts';

/** The same in other hands: a process with the addon makes fewer trips to pool threads. */
export interface FileCalls {
  /** With `withFolder` the folder is forced to the disk as well. */
  replace(file: {
    readonly path: string;
    readonly temporary: string;
    readonly parts: readonly Buffer[];
    readonly mode: number;
    readonly withFolder: boolean;
  }): Promise<void>;
  syncFolder(folder: string): Promise<void>;
  /** A whole file in memory of its own, or undefined when it is longer than `limit`. */
  readSmall(path: string, limit: number): Promise<Buffer | undefined>;
}

/** Folders remembered as durable; a forgotten one costs a few fsyncs again. */
const REMEMBERED_FOLDERS = 4096;

/** Writes `parts` to `temporary`, forces them to the disk and renames it to `path`; no temporary file stays behind. */
export async function replaceFile(
  path: string,
  temporary: string,
  parts: readonly Buffer[],
  options: { readonly mode: number; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  options.signal?.throwIfAborted();
  const file = await open(temporary, 'wx', options.mode);
  try {
    try {
      await writeAll(file, parts);
      await file.datasync();
    } finally {
      await file.close();
    }
    options.signal?.throwIfAborted();
    await rename(temporary, path);
  } catch (thrown) {
    await unlink(temporary).catch(() => undefined);
    throw thrown;
  }
}

/** Bytes copied at once. */
const PIECE = 262_144;

/** The first `size` bytes of `from` under a new name, whole or not at all, like replaceFile. */
export async function copyFile(
  path: string,
  temporary: string,
  from: FileHandle,
  size: number,
  mode: number,
): Promise<void> {
  const file = await open(temporary, 'wx', mode);
  try {
    try {
      const piece = Buffer.allocUnsafe(Math.min(PIECE, size));
      for (let at = 0; at < size; ) {
        const { bytesRead } = await from.read(piece, 0, Math.min(piece.length, size - at), at);
        if (bytesRead === 0) throw new Error(`copy ${path}: the file ended after ${at} of ${size} bytes`);
        await writeAll(file, [piece.subarray(0, bytesRead)]);
        at += bytesRead;
      }
      await file.datasync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (thrown) {
    await unlink(temporary).catch(() => undefined);
    throw thrown;
  }
}

/** write(2) may take less than it was given. */
async function writeAll(file: FileHandle, parts: readonly Buffer[]): Promise<void> {
  let rest = parts.filter((part) => part.length > 0);
  while (rest.length > 0) {
    let { bytesWritten } = await file.writev(rest);
    const left: Buffer[] = [];
    for (const part of rest) {
      if (bytesWritten < part.length) left.push(part.subarray(bytesWritten));
      bytesWritten -= Math.min(bytesWritten, part.length);
    }
    rest = left;
  }
}

/** A file or folder is only found again after a power cut when the folder that names it was forced to the disk. */
export class Folders {
  readonly #root: string;
  readonly #syncFolder: (folder: string) => Promise<void>;
  /** Folders below the root whose whole chain of names is on the disk. */
  readonly #durable = new Lru<string, true>(REMEMBERED_FOLDERS);
  readonly #making = new Map<string, Promise<void>>();
  readonly #syncs = new Map<string, { running: Promise<void>; next: Promise<void> | undefined }>();

  /** `root` must exist; it is never made here (a disk that is not mounted must not be mistaken for an empty one). */
  constructor(root: string, sync: (folder: string) => Promise<void> = syncFolder) {
    this.#root = root;
    this.#syncFolder = sync;
  }

  /** Makes `folder` and the folders above it, up to the root, and makes their names durable; once per folder. */
  ensure(folder: string): Promise<void> {
    if (folder === this.#root || this.#durable.get(folder) !== undefined) return Promise.resolve();
    const making = this.#making.get(folder) ?? this.#make(folder).finally(() => this.#making.delete(folder));
    this.#making.set(folder, making);
    return making;
  }

  /** The folder turned out to be gone: whoever comes next makes it again. */
  forget(folder: string): void {
    for (let each = folder; each.startsWith(this.#root) && each !== this.#root; each = dirname(each))
      this.#durable.delete(each);
  }

  async #make(folder: string): Promise<void> {
    const parent = dirname(folder);
    await this.ensure(parent);
    await mkdir(folder).catch((thrown: NodeJS.ErrnoException) => {
      if (thrown.code !== 'EEXIST') throw thrown;
    });
    // Also when it existed: whoever made it may have died, or be, before this point.
    await this.sync(parent);
    this.#durable.set(folder, true);
  }

  /**
   * Resolves when an fsync of the folder that began after this call has ended. Calls made while one runs share the
   * next one.
   */
  sync(folder: string): Promise<void> {
    const state = this.#syncs.get(folder);
    if (state === undefined) return this.#start(folder);
    state.next ??= state.running.catch(() => undefined).then(() => this.#start(folder));
    return state.next;
  }

  #start(folder: string): Promise<void> {
    const running = this.#syncFolder(folder).finally(() => {
      const state = this.#syncs.get(folder);
      if (state?.running === running && state.next === undefined) this.#syncs.delete(folder);
    });
    this.#syncs.set(folder, { running, next: undefined });
    return running;
  }
}

export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
