// `pageseal compact [META-URL] PATH...`: makes one slice of many where files were written in small pieces.

import { type Command, Option } from 'commander';
import { fail } from '../base/errors.ts';
import { toJson } from './json.ts';
import { addKeyOptions, type KeyFlags, keyFromFlags, keyOfRecord } from './key-options.ts';
import { pathsArgument, splitMetaUrl } from './meta-url.ts';
import { showProgress } from './progress.ts';
import { parseThreads } from './sizes.ts';
import { addStoreOptions, type StoreFlags, storeOption } from './store-options.ts';

interface Flags extends KeyFlags, StoreFlags {
  readonly threads: number;
  readonly json?: boolean;
}

export function register(program: Command): void {
  const command = program
    .command('compact')
    .description('compact the chunks of files and of all below directories, on a mount or with META-URL in a volume')
    .usage('[options] [META-URL] PATH...')
    .addArgument(pathsArgument())
    .addOption(new Option('-p, --threads <count>', 'chunks at the same time').default(4).argParser(parseThreads))
    .option('--json', 'the report as JSON, one line for each volume');
  addStoreOptions(addKeyOptions(command))
    .addHelpText('after', '\nPages are read and written anew: it needs the key, as mount does.')
    .action(compact);
}

async function compact(given: string[], flags: Flags): Promise<void> {
  const { metaUrl: named, paths } = splitMetaUrl(given);
  if (paths.length === 0) throw fail('bad-input', 'compact: a path is missing after the META-URL');
  const { compactPaths } = await import('../filesystem/compact-paths.ts');
  const { locate } = await import('./mount/locate.ts');
  const volumes = new Map<string, string[]>();
  for (const path of paths) {
    const place = named === undefined ? locate(path) : { metaUrl: named, path };
    volumes.set(place.metaUrl, [...(volumes.get(place.metaUrl) ?? []), place.path]);
  }
  for (const [metaUrl, inside] of volumes) {
    const key = (await keyFromFlags(flags)) ?? (await keyOfRecord(metaUrl, flags));
    const progress = await showProgress('chunks', flags.json);
    const report = await compactPaths({
      metaUrl,
      paths: inside,
      threads: flags.threads,
      onProgress: progress.on,
      ...(key && { key }),
      ...storeOption(flags),
    }).finally(progress.end);
    if (report.failed > 0) process.exitCode = 1;
    if (flags.json) {
      console.log(toJson({ metaUrl, ...report }));
      continue;
    }
    for (const failure of report.failures) console.log(failure);
    const failed = report.failed === 0 ? '' : `, ${report.failed} failed`;
    console.log(`${report.compacted} of ${report.chunks} chunks compacted, ${report.records} records less${failed}`);
  }
}
