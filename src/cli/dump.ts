// `pageseal dump META-URL [FILE]`: the metadata as JSON, in the original client's form. Needs no key.

import type { Command } from 'commander';
import { fail } from '../base/errors.ts';
import { toJson } from './json.ts';
import { metaUrlArgument } from './meta-url.ts';
import { showProgress } from './progress.ts';

interface Flags {
  readonly subdir?: string;
  readonly keepSecretKey?: boolean;
  readonly skipTrash?: boolean;
  readonly json?: boolean;
}

export function register(program: Command): void {
  program
    .command('dump')
    .description(
      'write all metadata as JSON, in the form of the original client: one consistent moment, no file contents',
    )
    .addArgument(metaUrlArgument())
    .argument('[FILE]', 'where to; packed when it ends in .gz or .zstd; standard output when left out')
    .option('--subdir <dir>', 'only this directory of the volume')
    .option('--keep-secret-key', "keep the store's credentials (careful: the file then gives them away)")
    .option('--skip-trash', 'without what lies in the trash')
    .option('--threads <count>', 'accepted for scripts of the original client; one is enough')
    .option('--fast', 'accepted for scripts of the original client; nothing is loaded into memory')
    .option('--json', 'tell what was written as JSON; wants FILE')
    .action(dump);
}

async function dump(metaUrl: string, file: string | undefined, flags: Flags): Promise<void> {
  if (flags.json && file === undefined)
    throw fail('bad-input', 'dump --json: the dump itself goes to standard output', { hint: 'name a FILE' });
  const { openSnapshot } = await import('../filesystem/sql/open-engine.ts');
  const { dumpMetadata } = await import('../filesystem/dump/dump.ts');
  const { fileOutput, packing, streamOutput } = await import('../filesystem/dump/output.ts');
  const snapshot = await openSnapshot(metaUrl);
  const progress = await showProgress('entries', flags.json);
  try {
    const output = file === undefined ? streamOutput(process.stdout) : await fileOutput(file, packing(file));
    try {
      const summary = await dumpMetadata(snapshot, output.write, {
        ...(flags.subdir !== undefined && { subdir: flags.subdir }),
        keepSecretKey: flags.keepSecretKey === true,
        skipTrash: flags.skipTrash === true,
        progress: progress.on,
      });
      await output.finish();
      progress.end();
      if (flags.json) console.log(toJson({ ...summary, file }));
      else if (file !== undefined)
        console.log(`${summary.name} (${summary.uuid}): ${summary.entries} entries in ${file}`);
      if (summary.orphans > 0)
        process.stderr.write(
          `pageseal: ${summary.orphans} names lead to no inode and were left out; fsck tells which\n`,
        );
    } catch (thrown) {
      await output.abort();
      throw thrown;
    }
  } finally {
    progress.end();
    await snapshot.close();
  }
}
