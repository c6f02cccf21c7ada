// Embedded mode's directory on the disk: makes and checks the folders below it one name at a time, through descriptors
// that follow no symbolic link, so that nothing planted in between leads out of it.
import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open } from 'node:fs/promises';
import { fail } from '../base/errors.ts';

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
/** Objects and metadata of volumes are for their worker and the controller only. */
const FOLDER_MODE = 0o700;

const codeOf = (thrown: unknown): string | undefined => (thrown as NodeJS.ErrnoException | null)?.code;

/** The folder `path`, below `root`, without following a link; makes what is missing when told to. */
async function openBelow(root: string, path: string, make: boolean): Promise<FileHandle | undefined> {
  let folder = await open(root, DIRECTORY).catch((cause: unknown) => {
    throw fail('failed-precondition', 'embedded directory: cannot be opened on this node', { cause });
  });
  for (const name of path.slice(root.length + 1).split('/')) {
    const parent = folder;
    try {
      const child = `/proc/self/fd/${parent.fd}/${name}`;
      if (make) await mkdir(child, FOLDER_MODE).catch(ignoreExisting);
      folder = await open(child, DIRECTORY);
    } catch (thrown) {
      if (codeOf(thrown) === 'ENOENT') return undefined;
      if (codeOf(thrown) === 'ELOOP' || codeOf(thrown) === 'ENOTDIR')
        throw fail('refused', 'embedded directory: a path below it leads through a link or a file', { cause: thrown });
      throw fail('store-unavailable', 'embedded directory: a folder below it cannot be opened', { cause: thrown });
    } finally {
      await parent.close();
    }
  }
  return folder;
}

function ignoreExisting(thrown: unknown): void {
  if (codeOf(thrown) !== 'EEXIST') throw thrown;
}

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf('/'));

/** Of a file system, as far as they are here; the rest is in a database or a store elsewhere. */
export interface Files {
  readonly database: string | undefined;
  readonly bucket: string | undefined;
}

/** The folders that a new file system needs. */
export async function makeFolders(root: string, { database, bucket }: Files): Promise<void> {
  for (const path of [database && parentOf(database), bucket])
    if (path !== undefined && path !== root) await (await openBelow(root, path, true))?.close();
}

/** 'missing' when there is no database; a database or bucket that is reached through a link, or is none, is refused. */
export async function inspectFiles(root: string, { database, bucket }: Files): Promise<'present' | 'missing'> {
  if (bucket !== undefined) await (await openBelow(root, bucket, false))?.close();
  if (database === undefined) return 'present';
  const parent =
    parentOf(database) === root ? await open(root, DIRECTORY) : await openBelow(root, parentOf(database), false);
  if (parent === undefined) return 'missing';
  try {
    const found = await lstat(`/proc/self/fd/${parent.fd}/${database.slice(parentOf(database).length + 1)}`);
    if (!found.isFile()) throw fail('refused', 'embedded directory: the metadata database is not a plain file');
    return 'present';
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return 'missing';
    throw thrown;
  } finally {
    await parent.close();
  }
}
