// `pageseal load META-URL [FILE]`: a dump, ours or the original client's, into an empty database.

import type { Command } from 'commander';
import { fail } from '../base/errors.ts';
import type { SealedWith } from '../filesystem/load/source.ts';
import { toJson } from './json.ts';
import { addKeyOptions, type KeyFlags, keyFromFlags } from './key-options.ts';
import { metaUrlArgument } from './meta-url.ts';
import { showProgress } from './progress.ts';
import { addStoreOptions, type StoreFlags, storeOption } from './store-options.ts';

interface Flags extends KeyFlags, StoreFlags {
  readonly encryptAlgo: string;
  /** Commander's form of --skip-bucket. */
  readonly skipBucket?: boolean;
  readonly json?: boolean;
}

export function register(program: Command): void {
  const command = program
    .command('load')
    .description('load a dump into an empty database: plain, .gz, .zstd, or a backup out of the store')
    .addArgument(metaUrlArgument('an empty or new database'))
    .argument('[FILE]', 'the dump; standard input when left out')
    .option('--encrypt-algo <name>', 'how a sealed backup is sealed', 'aes256gcm-rsa')
    .option('--skip-bucket', 'do not look at the store: go on with slice ids far above those in the dump')
    .option('--json', 'tell what was loaded as JSON');
  addStoreOptions(addKeyOptions(command))
    .addHelpText(
      'after',
      '\nThe store is only looked at to see which slice ids are taken; the record stays as the dump has it.',
    )
    .action(load);
}

async function load(metaUrl: string, file: string | undefined, flags: Flags): Promise<void> {
  const { dumpText, pipedText } = await import('../filesystem/load/source.ts');
  const { loadMetadata } = await import('../filesystem/load/load.ts');
  const sealed = await sealedWith(flags);
  if (file === undefined && sealed !== undefined)
    throw fail('bad-input', 'load: a sealed backup is read twice', { hint: 'name the FILE' });
  const [progress, objects] = [await showProgress('entries', flags.json), await showProgress('objects', flags.json)];
  try {
    const summary = await loadMetadata({
      metaUrl,
      text: file === undefined ? pipedText(process.stdin) : dumpText(file, sealed),
      skipBucket: flags.skipBucket === true,
      ...storeOption(flags),
      bucketProgress: objects.on,
      progress: (done, total) => {
        objects.end();
        progress.on(done, total);
      },
    });
    progress.end();
    if (flags.json) {
      console.log(toJson(summary));
      return;
    }
    for (const note of summary.notes) console.log(`note: ${note}`);
    const { name, uuid, entries, inodes, usedSpace } = summary;
    console.log(`${name} (${uuid}): ${entries} entries, ${inodes} inodes, ${usedSpace} bytes`);
  } finally {
    objects.end();
    progress.end();
    sealed?.key.wipe();
  }
}

/** The key that the flags name, opened. */
async function sealedWith(flags: Flags): Promise<SealedWith | undefined> {
  const source = await keyFromFlags(flags);
  if (source?.kind !== 'pem') return undefined;
  const { readPrivateKey } = await import('../filesystem/keys/read-key.ts');
  const { parseEncryptAlgo } = await import('../filesystem/page/seal.ts');
  const { wipe } = await import('../base/bytes.ts');
  try {
    return { key: readPrivateKey(source.pem, source.passphrase), algo: parseEncryptAlgo(flags.encryptAlgo) };
  } finally {
    wipe(source.pem, source.passphrase);
  }
}
