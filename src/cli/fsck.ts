// `pageseal fsck META-URL`: checks a volume and lists what is wrong; repairs nothing.
import type { Command } from 'commander';
import { toJson } from './json.ts';
import { addKeyOptions, type KeyFlags, keyOfVolume } from './key-options.ts';
import { showProgress } from './progress.ts';

interface Flags extends KeyFlags {
  readonly deep?: boolean;
  readonly bucket?: string;
  readonly json?: boolean;
}

export function register(program: Command): void {
  const command = program
    .command('fsck')
    .description('check a volume: tree, slices, ledger rows, objects; exit code 1 when something is wrong')
    .argument('<META-URL>', 'where the metadata is: sqlite3://FILE')
    .option('--deep', 'read, open and verify every page as well; needs the key')
    .option('--bucket <place>', 'where the objects are, if not where the record says')
    .option('--json', 'the report as JSON');
  addKeyOptions(command).action(check);
}

async function check(metaUrl: string, flags: Flags): Promise<void> {
  const { fsck } = await import('../filesystem/fsck.ts');
  const progress = await showProgress('pages', flags.json);
  const report = await fsck({
    metaUrl,
    progress: progress.on,
    ...(flags.bucket !== undefined && { store: { bucket: flags.bucket } }),
    ...(flags.deep && { deep: await keyOfVolume(metaUrl, flags) }),
  }).finally(progress.end);
  if (report.findings.length > 0) process.exitCode = 1;
  if (flags.json) {
    console.log(toJson(report));
    return;
  }
  for (const note of report.notes) console.log(`note: ${note}`);
  for (const finding of report.findings) console.log(finding);
  const verdict = report.findings.length === 0 ? 'nothing is wrong' : `${report.findings.length} findings`;
  console.log(`${report.name} (${report.uuid}): ${report.slices} slices, ${report.pages} pages, ${verdict}`);
}
