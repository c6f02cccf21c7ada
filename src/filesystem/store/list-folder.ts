// The files below a folder in byte order of their keys, as a stream. Memory is bounded however many files one folder
// has: names beyond a batch are found again by reading the folder once more.
import { opendir, stat } from 'node:fs/promises';
import type { ObjectInfo } from './store.ts';

/** Names of one folder held at once (about 100 bytes each); most folders of a bucket have fewer than 20,000. */
const BATCH = 65_536;
/** Files whose size and time are asked for at once: as many as the thread pool usually has threads. */
const STATS_AT_ONCE = 4;
/** Folders in folders; keys have at most 6. Ends loops through symbolic links. */
const MAX_DEPTH = 32;
/** What a put leaves behind when it is killed; not an object. */
const temporaryName = /^\.jfs\..*\.tmp\./;

interface Name {
  /** Ends in '/' for folders, so that sorting names sorts keys. */
  readonly key: Buffer;
  readonly folder: boolean;
}

/** `bucket` ends in '/'. A missing folder has no files. */
export async function* listFolder(bucket: string, prefix: string, temporaries = false): AsyncGenerator<ObjectInfo> {
  yield* walk({ bucket, prefix, temporaries }, prefix.slice(0, prefix.lastIndexOf('/') + 1), 0);
}

interface Walk {
  readonly bucket: string;
  readonly prefix: string;
  readonly temporaries: boolean;
}

async function* walk(asked: Walk, folder: string, depth: number): AsyncGenerator<ObjectInfo> {
  if (depth > MAX_DEPTH) return;
  const { bucket } = asked;
  let after: Buffer | undefined;
  for (;;) {
    const names = await nextNames(asked, folder, after);
    for (let i = 0; i < names.length; i += STATS_AT_ONCE) {
      const some = names.slice(i, i + STATS_AT_ONCE);
      const found = await Promise.all(some.map((name) => inspect(bucket, folder, name)));
      for (const each of found) {
        if (each === undefined) continue;
        if (each.folder) yield* walk(asked, each.key, depth + 1);
        else yield each;
      }
    }
    if (names.length < BATCH) return;
    after = names.at(-1)?.key;
  }
}

/** The next BATCH names of a folder after `after`, sorted. */
async function nextNames(asked: Walk, folder: string, after: Buffer | undefined): Promise<Name[]> {
  const { prefix, temporaries } = asked;
  const path = asked.bucket + folder;
  const names: Name[] = [];
  const trim = (): void => {
    names.sort((a, b) => Buffer.compare(a.key, b.key));
    names.length = Math.min(names.length, BATCH);
  };
  let last: Buffer | undefined;
  try {
    for await (const entry of await opendir(path, { bufferSize: 1024 })) {
      if (!temporaries && temporaryName.test(entry.name)) continue;
      const isFolder = entry.isDirectory() || (entry.isSymbolicLink() && (await leadsToFolder(path + entry.name)));
      const name = isFolder ? `${entry.name}/` : entry.name;
      const key = folder + name;
      if (!key.startsWith(prefix) && !(isFolder && prefix.startsWith(key))) continue;
      const bytes = Buffer.from(name);
      if (after !== undefined && Buffer.compare(bytes, after) <= 0) continue;
      if (last !== undefined && Buffer.compare(bytes, last) >= 0) continue;
      names.push({ key: bytes, folder: isFolder });
      if (names.length < 2 * BATCH) continue;
      trim();
      last = names.at(-1)?.key;
    }
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw thrown;
  }
  trim();
  return names;
}

async function inspect(
  bucket: string,
  folder: string,
  name: Name,
): Promise<(ObjectInfo & { readonly folder: false }) | { readonly folder: true; readonly key: string } | undefined> {
  const key = folder + name.key.toString();
  if (name.folder) return { folder: true, key };
  const found = await stat(bucket + key).catch(gone);
  if (!found?.isFile()) return undefined;
  const temporary = temporaryName.test(name.key.toString()) ? { temporary: true as const } : {};
  return { folder: false, key, size: found.size, mtime: found.mtimeMs, ...temporary };
}

const leadsToFolder = async (path: string): Promise<boolean> => (await stat(path).catch(gone))?.isDirectory() ?? false;

/** Removed since the folder was read, or a link to nothing. */
function gone(thrown: NodeJS.ErrnoException): undefined {
  if (thrown.code !== 'ENOENT' && thrown.code !== 'ELOOP') throw thrown;
}
