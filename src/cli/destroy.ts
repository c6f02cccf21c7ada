// `pageseal destroy META-URL UUID`: a whole file system, objects and metadata, for good.
import type { Command } from 'commander';
import { askYes } from './ask.ts';
import { toJson } from './json.ts';
import { showProgress } from './progress.ts';

interface Flags {
  readonly yes?: boolean;
  readonly force?: boolean;
  readonly bucket?: string;
  readonly json?: boolean;
}

export function register(program: Command): void {
  program
    .command('destroy')
    .description('destroy a file system: every object, then the metadata; cannot be undone')
    .argument('<META-URL>', 'where the metadata is: sqlite3://FILE')
    .argument('<UUID>', 'of the file system, as pageseal status shows it')
    .option('-y, --yes', 'do not ask')
    .option('--force', 'also while clients have it mounted')
    .option('--bucket <place>', 'where the objects are, if not where the record says')
    .option('--json', 'what was destroyed, as JSON')
    .action(destroy);
}

async function destroy(metaUrl: string, uuid: string, flags: Flags): Promise<void> {
  const { checkDoomed, destroyVolume } = await import('../filesystem/removal/destroy-volume.ts');
  const { setting } = await checkDoomed(metaUrl, uuid);
  const place = `${flags.bucket ?? setting.bucket}${setting.name}/`;
  if (!flags.yes) await askYes('destroy', `Destroy ${setting.name} for good, with every object in ${place}?`);
  const progress = await showProgress('objects', flags.json);
  const done = await destroyVolume({
    metaUrl,
    uuid,
    onProgress: progress.on,
    ...(flags.force && { force: true }),
    ...(flags.bucket !== undefined && { store: { bucket: flags.bucket } }),
  }).finally(progress.end);
  console.log(flags.json ? toJson(done) : `${done.name} (${done.uuid}) destroyed: ${done.objects} objects deleted`);
}
