// `pageseal destroy META-URL UUID`: a whole file system, objects and metadata, for good.

import type { Command } from 'commander';
import { askYes } from './ask.ts';
import { toJson } from './json.ts';
import { metaUrlArgument } from './meta-url.ts';
import { showProgress } from './progress.ts';
import { addStoreOptions, type StoreFlags, storeOption } from './store-options.ts';

interface Flags extends StoreFlags {
  readonly yes?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
}

export function register(program: Command): void {
  const command = program
    .command('destroy')
    .description('destroy a file system: every object, then the metadata; cannot be undone')
    .addArgument(metaUrlArgument())
    .argument('<UUID>', 'of the file system, as pageseal status shows it')
    .option('-y, --yes', 'do not ask')
    .option('--force', 'also while clients have it mounted, and what an operator or controller has made')
    .option('--json', 'what was destroyed, as JSON');
  addStoreOptions(command).action(destroy);
}

async function destroy(metaUrl: string, uuid: string, flags: Flags): Promise<void> {
  const { placeOfObjects } = await import('../filesystem/describe.ts');
  const { checkDoomed, destroyVolume } = await import('../filesystem/removal/destroy-volume.ts');
  const { setting } = await checkDoomed(metaUrl, uuid);
  const place = placeOfObjects({ ...setting, ...(flags.bucket !== undefined && { bucket: flags.bucket }) });
  if (!flags.yes) await askYes('destroy', `Destroy ${setting.name} for good, with every object in ${place}?`);
  const progress = await showProgress('objects', flags.json);
  const done = await destroyVolume({
    metaUrl,
    uuid,
    owner: 'user',
    onProgress: progress.on,
    ...(flags.force && { force: true }),
    ...storeOption(flags),
  }).finally(progress.end);
  console.log(flags.json ? toJson(done) : `${done.name} (${done.uuid}) destroyed: ${done.objects} objects deleted`);
}
