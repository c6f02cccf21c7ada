// `pageseal info [META-URL] PATH...`: a file's attributes and where its bytes lie, as the metadata has them. What a mount has
// not committed yet is not shown: a mount of ours has no control file that could be asked.

import type { Command } from 'commander';
import { fail } from '../base/errors.ts';
import type { FileInfo } from '../filesystem/file-info.ts';
import { toJson } from './json.ts';
import { pathsArgument, splitMetaUrl } from './meta-url.ts';

/** Of a much overwritten file, these many records are shown. */
const MOST_SLICES = 100;

export function register(program: Command): void {
  program
    .command('info')
    .description('show inode, slices and objects of a path on a mount, or with META-URL of a path inside a volume')
    .usage('[options] [META-URL] PATH...')
    .addArgument(pathsArgument())
    .option('-i, --inode', 'PATH are inode numbers of the volume that META-URL names, or the current directory is on')
    .option('-r, --recursive', 'what everything below a directory adds up to, instead of its entries')
    .option('--strict', 'count every entry below it, instead of the sums that are kept per directory')
    .option('--raw', 'the records of a file without the objects behind them')
    .option('--json', 'as JSON, one line for each')
    .action(show);
}

interface Flags {
  readonly inode?: boolean;
  readonly recursive?: boolean;
  readonly strict?: boolean;
  readonly raw?: boolean;
  readonly json?: boolean;
}

async function show(given: string[], flags: Flags): Promise<void> {
  const { metaUrl, paths } = splitMetaUrl(given);
  if (paths.length === 0) throw fail('bad-input', 'info: a path is missing after the META-URL');
  const { readInfo } = await import('../filesystem/file-info.ts');
  const { locate } = await import('./mount/locate.ts');
  for (const path of paths) {
    const place = metaUrl === undefined ? locate(flags.inode ? '.' : path) : { metaUrl, path };
    const info = await readInfo(place.metaUrl, flags.inode ? inodeOf(path) : place.path, flags);
    console.log(flags.json ? toJson(info) : asText(info, flags.raw));
  }
}

function inodeOf(text: string): bigint {
  if (!/^[1-9][0-9]{0,18}$/.test(text)) throw fail('bad-input', `info --inode ${text}: wanted a number`);
  return BigInt(text);
}

function asText({ path, type, attr, target, slices, sums, paths }: FileInfo, raw = false): string {
  const time = (ns: bigint): string => `${new Date(Number(ns / 1_000_000n)).toISOString()}`;
  const lines = [
    `${path}:`,
    `  inode   ${attr.ino}  ${type}${target === undefined ? '' : ` -> ${target}`}`,
    `  mode    ${attr.mode.toString(8).padStart(4, '0')}  uid ${attr.uid}  gid ${attr.gid}  links ${attr.nlink}`,
    `  length  ${sums.length}  size ${sums.size}  files ${sums.files}  dirs ${sums.dirs}`,
    `  mtime   ${time(attr.mtime)}  ctime ${time(attr.ctime)}`,
    `  parent  ${attr.parent === 0n ? 'several' : attr.parent}`,
    ...paths.map((one) => `  path    ${one}`),
  ];
  for (const slice of slices.slice(0, MOST_SLICES)) {
    const what = slice.id === 0n ? 'hole' : `slice ${slice.id} from ${slice.off} of ${slice.size}`;
    lines.push(`  chunk ${slice.chunk} at ${slice.pos}: ${slice.len} bytes, ${what}`);
    if (!raw) lines.push(...slice.objects.map((key) => `    ${key}`));
  }
  if (slices.length > MOST_SLICES) lines.push(`  and ${slices.length - MOST_SLICES} more`);
  return lines.join('\n');
}
