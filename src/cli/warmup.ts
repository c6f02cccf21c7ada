// `pageseal warmup [PATH...]`: reads files through their mount, many at a time. Without a disk cache what stays is what
// fits into the kernel's cache and the worker's memory; that every page of a tree can be fetched and opened is seen too.
import type { Command } from 'commander';
import { type FsError, fail } from '../base/errors.ts';
import type { ReadOutcome } from './files/read-all.ts';
import { toJson } from './json.ts';
import { showProgress } from './progress.ts';
import { parseThreads, shownSize } from './sizes.ts';

/** Failures that are named; the rest is counted. */
const MOST_NAMED = 10;

export function register(program: Command): void {
  program
    .command('warmup')
    .description('read files through their mount, so that they are in memory (there is no disk cache yet)')
    .argument('[PATH...]', 'files and folders on mounts')
    .option('-f, --file <file>', 'a file with a path on each line')
    .option('-p, --threads <n>', 'files read at the same time', '50')
    .option('--json', 'as JSON')
    .action(warmup);
}

interface Flags {
  readonly file?: string;
  readonly threads: string;
  readonly json?: boolean;
}

async function warmup(paths: readonly string[], flags: Flags): Promise<void> {
  const threads = parseThreads(flags.threads);
  const { useThreads } = await import('./files/threads.ts');
  useThreads(threads);
  const { readFile } = await import('node:fs/promises');
  const listed =
    flags.file === undefined ? [] : (await readFile(flags.file, 'utf8')).split('\n').map((line) => line.trim());
  const wanted = [...paths, ...listed].filter((path) => path !== '');
  if (wanted.length === 0) throw fail('bad-input', 'warmup: no path was given');
  const { wholeMounts } = await import('./mount/locate.ts');
  for (const path of wanted) wholeMounts(path);
  const { readAll } = await import('./files/read-all.ts');
  const progress = await showProgress('files', flags.json);
  const outcome = await readAll(wanted, threads, progress.on).finally(() => progress.end());
  console.log(flags.json ? toJson({ ...outcome, failures: outcome.failures.map(shown) }) : asText(outcome));
  if (outcome.failed > 0) throw fail('EIO', `warmup: ${outcome.failed} files could not be read`);
}

const shown = ({ path, error }: { readonly path: string; readonly error: FsError }): string =>
  `${path}: ${error.message}`;

function asText({ files, bytes, failed, failures }: ReadOutcome): string {
  const lines = [`read ${files} files, ${shownSize(BigInt(bytes))}`];
  for (const failure of failures.slice(0, MOST_NAMED)) lines.push(`not read: ${shown(failure)}`);
  if (failed > MOST_NAMED) lines.push(`and ${failed - MOST_NAMED} more`);
  return lines.join('\n');
}
