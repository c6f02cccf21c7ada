// `pageseal rmr [META-URL] PATH...`: removes trees through the metadata, faster than rm -r through a mount.

import { type Command, Option } from 'commander';
import { fail } from '../base/errors.ts';
import { toJson } from './json.ts';
import { pathsArgument, splitMetaUrl } from './meta-url.ts';
import { showProgress } from './progress.ts';
import { parseThreads } from './sizes.ts';
import { addStoreOptions, type StoreFlags, storeOption } from './store-options.ts';

interface Flags extends StoreFlags {
  readonly skipTrash?: boolean;
  readonly threads: number;
  readonly json?: boolean;
}

export function register(program: Command): void {
  const command = program
    .command('rmr')
    .description('remove directories with everything in them, on a mount, or with META-URL inside a volume')
    .usage('[options] [META-URL] PATH...')
    .addArgument(pathsArgument())
    .option('--skip-trash', 'delete at once and for good; root only')
    .addOption(new Option('-p, --threads <count>', 'removals at the same time').default(50).argParser(parseThreads))
    .option('--json', 'what was removed, as JSON, one line for each path');
  addStoreOptions(command).action(remove);
}

async function remove(given: string[], flags: Flags): Promise<void> {
  const { metaUrl, paths } = splitMetaUrl(given);
  if (paths.length === 0) throw fail('bad-input', 'rmr: a path is missing after the META-URL');
  const { removePaths } = await import('../filesystem/removal/remove-paths.ts');
  const { locateEntry } = await import('./mount/locate.ts');
  // All are found before the first goes.
  const places = paths.map((path) => (metaUrl === undefined ? locateEntry(path) : { metaUrl, path }));
  const caller = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0, pid: process.pid, umask: 0 };
  const progress = await showProgress('removed', flags.json);
  let before = 0;
  try {
    for (const [at, place] of places.entries()) {
      const [removed = 0] = await removePaths({
        metaUrl: place.metaUrl,
        paths: [place.path],
        caller,
        groups: process.getgroups?.() ?? [],
        skipTrash: flags.skipTrash === true,
        threads: flags.threads,
        onProgress: (count) => progress.on(before + count, undefined),
        ...storeOption(flags),
      });
      before += removed;
      if (flags.json) console.log(toJson({ path: paths[at], removed }));
    }
  } finally {
    progress.end();
  }
  if (!flags.json) console.log(`${before} entries removed`);
}
