// `pageseal clone SRC DST`: copies a file or a tree of a mount without its data, at once or not at all.

import { accessSync, closeSync, constants, fsyncSync, openSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { FsError, fail } from '../base/errors.ts';
import { toJson } from './json.ts';
import { showProgress } from './progress.ts';
import { addStoreOptions, type StoreFlags, storeOption } from './store-options.ts';

interface Flags extends StoreFlags {
  readonly preserve?: boolean;
  readonly json?: boolean;
}

export function register(program: Command): void {
  const command = program
    .command('clone')
    .description('clone a file or a directory on a mount: a copy that shares the data')
    .argument('<SRC>', 'a path on a mount')
    .argument('<DST>', 'its clone, on the same volume; with a slash at the end the directory to put it into')
    .option('-p, --preserve', 'keep owner, mode and times; else they are those of a file that you make now')
    .option('--json', 'what was made, as JSON')
    .addOption(new Option('--threads <count>', 'without effect: batches follow each other').hideHelp());
  addStoreOptions(command).action(clone);
}

async function clone(source: string, destination: string, flags: Flags): Promise<void> {
  const [{ clonePath }, { locate }] = await Promise.all([
    import('../filesystem/clone-path.ts'),
    import('./mount/locate.ts'),
  ]);
  const target = destination.endsWith('/') ? join(destination, basename(resolve(source))) : resolve(destination);
  const from = locate(source);
  const into = locate(dirname(target));
  if (into.metaUrl !== from.metaUrl)
    throw fail('EXDEV', `clone ${source} as ${destination}: they are on different volumes`, { hint: 'cp -a copies' });
  checkRights(source, dirname(target));
  await flush(source);
  const progress = await showProgress('entries', flags.json);
  const cut = new AbortController();
  const end = (): void => cut.abort();
  process.once('SIGINT', end).once('SIGTERM', end);
  try {
    const { ino, entries } = await clonePath({
      metaUrl: from.metaUrl,
      source: from.path,
      directory: into.path,
      name: basename(target),
      caller: { ...self(), pid: process.pid, umask: process.umask() },
      groups: process.getgroups?.() ?? [],
      preserve: flags.preserve === true,
      onProgress: progress.on,
      ...storeOption(flags),
      signal: cut.signal,
    });
    progress.end();
    if (flags.json) console.log(toJson({ source, destination: target, inode: ino, entries }));
    else console.log(`${target} is made: ${entries} ${entries === 1 ? 'entry' : 'entries'}`);
  } finally {
    progress.end();
    process.off('SIGINT', end).off('SIGTERM', end);
  }
}

const self = () => ({ uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 });

/** The kernel knows better than modes do: groups, lists, mounts that are read-only. */
function checkRights(source: string, directory: string): void {
  try {
    accessSync(source, constants.R_OK);
    accessSync(directory, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw FsError.from(error, 'clone');
  }
}

/** What was written on the source's mount and is not committed would be missing. */
async function flush(source: string): Promise<void> {
  const { native } = await import('../native/native.ts');
  const kind = statSync(source);
  // Special files cannot all be opened; the directory is on the same mount.
  const place = kind.isFile() || kind.isDirectory() ? source : dirname(realpathSync(source));
  const descriptor = openSync(place, constants.O_RDONLY);
  try {
    await native.syncfsAsync(descriptor);
    // Not every kernel tells a mount's server of the call before.
    if (kind.isFile()) fsyncSync(descriptor);
  } catch (error) {
    throw FsError.from(error, `write out what is not yet committed on the mount of ${source}`);
  } finally {
    closeSync(descriptor);
  }
}
