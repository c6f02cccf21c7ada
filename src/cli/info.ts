// `pageseal info META-URL PATH...`: a file's attributes and where its bytes lie. Through the metadata and not through a
// mount: a mount of ours has no control file that could be asked.
import type { Command } from 'commander';
import type { FileInfo } from '../filesystem/describe.ts';

/** Of a much overwritten file, these many records are shown. */
const MOST_SLICES = 100;

export function register(program: Command): void {
  program
    .command('info')
    .description('show inode, slices and objects of a path inside a volume')
    .argument('<META-URL>', 'where the metadata is: sqlite3://FILE')
    .argument('<PATH...>', 'paths inside the volume, from its root')
    .option('--json', 'as JSON')
    .action(async (metaUrl: string, paths: string[], flags: { json?: boolean }) => {
      const { readInfo } = await import('../filesystem/describe.ts');
      for (const path of paths) {
        const info = await readInfo(metaUrl, path);
        console.log(flags.json ? asJson(info) : asText(info));
      }
    });
}

const asJson = (info: FileInfo): string =>
  JSON.stringify(info, (_, value: unknown) => (typeof value === 'bigint' ? value.toString() : value));

function asText({ path, type, attr, target, slices }: FileInfo): string {
  const time = (ns: bigint): string => `${new Date(Number(ns / 1_000_000n)).toISOString()}`;
  const lines = [
    `${path}:`,
    `  inode   ${attr.ino}  ${type}${target === undefined ? '' : ` -> ${target}`}`,
    `  mode    ${attr.mode.toString(8).padStart(4, '0')}  uid ${attr.uid}  gid ${attr.gid}  links ${attr.nlink}`,
    `  length  ${attr.length}`,
    `  mtime   ${time(attr.mtime)}  ctime ${time(attr.ctime)}`,
    `  parent  ${attr.parent === 0n ? 'several' : attr.parent}`,
  ];
  for (const slice of slices.slice(0, MOST_SLICES)) {
    const what = slice.id === 0n ? 'hole' : `slice ${slice.id} from ${slice.off} of ${slice.size}`;
    lines.push(`  chunk ${slice.chunk} at ${slice.pos}: ${slice.len} bytes, ${what}`);
    lines.push(...slice.objects.map((key) => `    ${key}`));
  }
  if (slices.length > MOST_SLICES) lines.push(`  and ${slices.length - MOST_SLICES} more`);
  return lines.join('\n');
}
