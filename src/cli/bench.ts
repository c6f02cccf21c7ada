// `pageseal bench PATH`: how fast big and small files are written and read there, and small ones looked at. Any folder will
// do; on a mount of ours it also says what that cost behind the scenes.
import type { Command } from 'commander';
import { type FsError, fail } from '../base/errors.ts';
import { KiB, MiB } from '../base/units.ts';
import type { BenchFigures } from './files/bench-files.ts';
import { toJson } from './json.ts';
import { findSocket, type Metrics, readMetrics } from './mount/metrics.ts';
import { showProgress } from './progress.ts';
import { parseCount, parseSize, parseThreads } from './sizes.ts';
import { table } from './table.ts';

export function register(program: Command): void {
  program
    .command('bench')
    .description('measure writing, reading and looking at big and small files in a folder')
    .argument('<PATH>', 'a folder on a mount; what is written there is removed again')
    .option('--block-size <MiB>', 'of one read or write', '1M')
    .option('--big-file-size <MiB>', '0: none', '1G')
    .option('--small-file-size <KiB>', '0: none', '128K')
    .option('--small-file-count <n>', 'for each thread', '100')
    .option('-p, --threads <n>', 'at the same time', '1')
    .option('--keep-caches', "do not drop the kernel's caches (of the whole machine) before reading")
    .option('--json', 'as JSON')
    .action(bench);
}

interface Flags {
  readonly blockSize: string;
  readonly bigFileSize: string;
  readonly smallFileSize: string;
  readonly smallFileCount: string;
  readonly threads: string;
  readonly keepCaches?: boolean;
  readonly json?: boolean;
}

async function bench(path: string, flags: Flags): Promise<void> {
  const options = {
    block: Number(parseSize('--block-size', flags.blockSize, 'M')),
    big: Number(parseSize('--big-file-size', flags.bigFileSize, 'M')),
    small: Number(parseSize('--small-file-size', flags.smallFileSize, 'K')),
    count: Number(parseCount('--small-file-count', flags.smallFileCount)),
    threads: parseThreads(flags.threads),
    keepCaches: flags.keepCaches === true,
  };
  if (options.block < KiB) throw fail('bad-input', `--block-size ${flags.blockSize}: wanted at least 1 KiB`);
  const { useThreads } = await import('./files/threads.ts');
  useThreads(options.threads);
  const before = await metricsOf(path);
  const { benchFiles } = await import('./files/bench-files.ts');
  const progress = await showProgress('steps', flags.json);
  const figures = await benchFiles(path, options, progress.on).finally(() => progress.end());
  const behind = before && behindOf(before, await readMetrics(findSocket(path)));
  if (flags.json) console.log(toJson({ ...options, figures, behind }));
  else console.log(asText(figures, behind));
}

/** None where the folder is no mount of ours, or of somebody who tells nobody. */
async function metricsOf(path: string): Promise<Metrics | undefined> {
  try {
    return await readMetrics(findSocket(path));
  } catch (thrown) {
    if (['bad-input', 'not-found', 'failed-precondition'].includes((thrown as FsError).code)) return undefined;
    throw thrown;
  }
}

const kinds = [
  ['kernel requests', 'pageseal_fuse_requests', ''],
  ['metadata transactions', 'pageseal_metadata_transactions', ''],
  ['object put', 'pageseal_store_requests', '{method="put"}'],
  ['object get', 'pageseal_store_requests', '{method="get"}'],
] as const;

interface Behind {
  readonly what: string;
  readonly count: number;
  readonly milliseconds: number;
}

function behindOf(before: Metrics, after: Metrics): Behind[] {
  const grown = (name: string): number => sum(after, name) - sum(before, name);
  return kinds.map(([what, name, label]) => {
    const count = grown(`${name}_total${label}`);
    const seconds = grown(`${name}_seconds_total${label}`);
    return { what, count, milliseconds: count > 0 ? (seconds / count) * 1000 : 0 };
  });
}

const sum = (metrics: Metrics, name: string): number =>
  [...metrics].reduce((total, [key, value]) => (key === name || key.startsWith(`${name}{`) ? total + value : total), 0);

function asText(figures: readonly BenchFigures[], behind: readonly Behind[] | undefined): string {
  const rows = figures.map(({ what, bytesPerSecond, perSecond, milliseconds }) =>
    bytesPerSecond === undefined
      ? [what, `${perSecond.toFixed(1)} files/s`, `${milliseconds.toFixed(2)} ms/file`]
      : [what, `${(bytesPerSecond / MiB).toFixed(2)} MiB/s`, `${(milliseconds / 1000).toFixed(2)} s/file`],
  );
  for (const { what, count, milliseconds } of behind ?? [])
    rows.push([what, `${count} operations`, `${milliseconds.toFixed(2)} ms/op`]);
  return table(['ITEM', 'VALUE', 'COST'], rows);
}
