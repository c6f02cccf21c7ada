// `pageseal fsck META-URL`: checks a volume or a part of it and lists what is wrong; repairs it when told to.

import { type Command, InvalidArgumentError, Option } from 'commander';
import { fail } from '../base/errors.ts';
import type { OnProgress } from '../base/progress.ts';
import type { AdoptReport } from '../filesystem/fsck/adopt.ts';
import type { FsckReport } from '../filesystem/fsck/fsck.ts';
import type { RepairReport } from '../filesystem/fsck/repair.ts';
import { toJson } from './json.ts';
import { addKeyOptions, type KeyFlags, keyOfVolume } from './key-options.ts';
import { metaUrlArgument } from './meta-url.ts';
import { showProgress } from './progress.ts';
import { addStoreOptions, type StoreFlags, storeOption } from './store-options.ts';

interface Flags extends KeyFlags, StoreFlags {
  readonly path?: string;
  readonly recursive?: boolean;
  readonly repair?: boolean;
  readonly repairDirMode: number;
  readonly syncDirStat?: boolean;
  readonly deep?: boolean;
  readonly adopt?: boolean;
  readonly ledger?: string;
  readonly json?: boolean;
}

export function register(program: Command): void {
  const command = program
    .command('fsck')
    .description('check a volume: tree, slices, ledger rows, objects; exit code 1 when something is wrong')
    .addArgument(metaUrlArgument())
    .option('--path <path>', 'only this path, from the root of the volume')
    .option('-r, --recursive', 'with --path: and everything below it')
    .option('--repair', 'repair what can be; nothing that holds data is thrown away')
    .option('--sync-dir-stat', 'compare figures also while clients are at work')
    .addOption(
      new Option('--repair-dir-mode <mode>', 'permissions of directories that are made again')
        .default(0o755, '0755')
        .argParser(octal),
    )
    .option('--deep', 'read, open and verify every page as well; needs the key')
    .option('--adopt', 'give pages without a ledger row one, trusting what the store holds now; needs the key')
    .addOption(
      new Option('--ledger <mode>', 'with --adopt: refuse pages without a row from then on').choices(['strict']),
    )
    .option('--json', 'the report as JSON');
  addStoreOptions(addKeyOptions(command)).action(check);
}

function octal(text: string): number {
  if (!/^0?[0-7]{1,4}$/.test(text)) throw new InvalidArgumentError('wanted an octal mode like 0755.');
  return Number.parseInt(text, 8);
}

async function check(metaUrl: string, flags: Flags): Promise<void> {
  if (flags.recursive && flags.path === undefined)
    throw fail('bad-input', 'fsck --recursive: without --path the whole volume is checked anyway');
  if (flags.ledger !== undefined && !flags.adopt)
    throw fail('bad-input', 'fsck --ledger strict: only with --adopt, which sees to it that every page has its row');
  const progress = await showProgress('rows and pages', flags.json);
  const options = {
    metaUrl,
    progress: progress.on,
    recursive: flags.recursive === true,
    figures: flags.syncDirStat === true,
    ...(flags.path !== undefined && { path: flags.path }),
    ...storeOption(flags),
    ...(flags.deep && { deep: await keyOfVolume(metaUrl, flags) }),
  };
  const adopted = flags.adopt ? await adoptPages(metaUrl, flags, progress.on).finally(progress.end) : undefined;
  const { fsck } = await import('../filesystem/fsck/fsck.ts');
  const { repair } = await import('../filesystem/fsck/repair.ts');
  const report = await (flags.repair
    ? repair({ ...options, directoryMode: flags.repairDirMode })
    : fsck(options)
  ).finally(progress.end);
  if (report.findings.length > 0 || (adopted?.failures.length ?? 0) > 0) process.exitCode = 1;
  if (flags.json) console.log(toJson({ ...report, ...(adopted && { adopted }) }));
  else console.log([...(adopted ? sayAdopted(adopted) : []), asText(report)].join('\n'));
}

async function adoptPages(metaUrl: string, flags: Flags, progress: OnProgress): Promise<AdoptReport> {
  const { key } = await keyOfVolume(metaUrl, flags);
  if (key === undefined) throw fail('key-required', 'fsck --adopt: the volume has no key, or it was not given');
  const { adopt } = await import('../filesystem/fsck/adopt.ts');
  return adopt({
    metaUrl,
    key,
    progress,
    strict: flags.ledger === 'strict',
    ...storeOption(flags),
  });
}

const sayAdopted = ({ adopted, failures, left, mode }: AdoptReport): string[] => [
  `adopted: ${adopted} pages, as the store holds them now (trust on first use: nothing shows that they are the ones once written)`,
  ...failures.map((failure) => `not adopted: ${failure}`),
  left === 0 ? `every page has its ledger row; the ledger is ${mode}` : `${left} pages have no ledger row still`,
];

function asText(report: FsckReport | RepairReport): string {
  const { name, uuid, slices, pages, findings, notes } = report;
  const lines = [...notes.map((note) => `note: ${note}`)];
  if ('repairs' in report) {
    const { repairs, repaired, refused } = report;
    lines.push(...repairs.map((what) => `repaired: ${what}`));
    if (repaired > repairs.length) lines.push(`repaired: and ${repaired - repairs.length} more`);
    lines.push(...refused.map((what) => `not repaired: ${what}`));
    if (repaired > 0 && findings.length > 0) lines.push('what is left:');
  }
  const verdict = findings.length === 0 ? 'nothing is wrong' : `${findings.length} findings`;
  return [...lines, ...findings, `${name} (${uuid}): ${slices} slices, ${pages} pages, ${verdict}`].join('\n');
}
