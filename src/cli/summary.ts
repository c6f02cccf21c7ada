// `pageseal summary [META-URL] PATH`: what a tree holds, as a table of its biggest entries.

import type { Command } from 'commander';
import { fail } from '../base/errors.ts';
import type { Summary } from '../filesystem/summary.ts';
import { toJson } from './json.ts';
import { pathsArgument, splitMetaUrl } from './meta-url.ts';
import { showProgress } from './progress.ts';
import { shownSize } from './sizes.ts';
import { table } from './table.ts';

/** The original client's bounds. */
const MOST_DEPTH = 10;
const MOST_ENTRIES = 100;

interface Flags {
  readonly depth: string;
  readonly entries: string;
  readonly strict?: boolean;
  readonly csv?: boolean;
  readonly json?: boolean;
}

export function register(program: Command): void {
  program
    .command('summary')
    .description('show what a tree holds: bytes, directories, files, the biggest entries first')
    .usage('[options] [META-URL] PATH')
    .addArgument(pathsArgument('a path on a mount; after a META-URL a path from the root of that volume'))
    .option('-d, --depth <levels>', `levels to show, 0 to ${MOST_DEPTH}`, '2')
    .option('-e, --entries <count>', `biggest entries of each directory to show, up to ${MOST_ENTRIES}`, '10')
    .option('--strict', 'count every entry, instead of the sums that are kept per directory')
    .option('--csv', 'as comma separated values, sizes in bytes')
    .option('--json', 'as JSON')
    .action(show);
}

async function show(given: string[], flags: Flags): Promise<void> {
  const { metaUrl, paths } = splitMetaUrl(given);
  const [path, ...more] = paths;
  if (path === undefined || more.length > 0)
    throw fail('bad-input', 'summary: wanted one path, after a META-URL or alone');
  const options = {
    depth: bounded('--depth', flags.depth, MOST_DEPTH),
    entries: bounded('--entries', flags.entries, MOST_ENTRIES),
    strict: flags.strict === true,
  };
  const { readSummary } = await import('../filesystem/summary.ts');
  const { locate } = await import('./mount/locate.ts');
  const place = metaUrl === undefined ? locate(path) : { metaUrl, path };
  const progress = await showProgress('entries', flags.json || flags.csv);
  const summary = await readSummary(place.metaUrl, place.path, { ...options, progress: progress.on }).finally(
    progress.end,
  );
  if (flags.json) console.log(toJson(summary));
  else console.log(flags.csv ? asCsv(summary) : asTable(summary));
}

function bounded(flag: string, text: string, most: number): number {
  if (!/^\d{1,4}$/.test(text) || Number(text) > most)
    throw fail('bad-input', `summary ${flag} ${text}: wanted 0 to ${most}`);
  return Number(text);
}

interface Line {
  readonly path: string;
  readonly size: bigint;
  readonly dirs: bigint;
  readonly files: bigint;
}

/** Below the path, relative to it; directories end in a slash, what is not shown stands together as "...". */
function* lines(summary: Summary, path = ''): Generator<Line> {
  yield { ...summary, path: path === '' ? '/' : path };
  const below = path === '' || path.endsWith('/') ? path : `${path}/`;
  for (const child of summary.children) yield* lines(child, `${below}${child.name}${child.isDirectory ? '/' : ''}`);
  if (summary.rest !== undefined) yield { ...summary.rest, path: `${below}...` };
}

const quoted = (text: string): string => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

const asCsv = (summary: Summary): string =>
  [
    'PATH,SIZE,DIRS,FILES',
    ...[...lines(summary)].map((line) => [quoted(line.path), line.size, line.dirs, line.files].join(',')),
  ].join('\n');

const asTable = (summary: Summary): string =>
  table(
    ['PATH', 'SIZE', 'DIRS', 'FILES'],
    [...lines(summary)].map(({ path, size, dirs, files }) => [path, shownSize(size), String(dirs), String(files)]),
  );
