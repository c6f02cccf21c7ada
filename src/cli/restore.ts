// `pageseal restore META-URL HOUR...`: puts what the trash has of an hour back, as the original client's command of that
// name; `pageseal trash restore` is the same.

import type { Command } from 'commander';
import type { Restored } from '../filesystem/trash/restore.ts';
import { toJson } from './json.ts';
import { metaUrlArgument } from './meta-url.ts';
import { showProgress } from './progress.ts';
import { parseThreads } from './sizes.ts';
import { addStoreOptions, type StoreFlags, storeFromFlags } from './store-options.ts';

/** Of many failures, these are told one by one. */
const MOST_SHOWN = 20;

interface Flags extends StoreFlags {
  readonly putBack?: boolean;
  readonly threads: string;
  readonly path?: string;
  readonly json?: boolean;
}

export function register(program: Command): void {
  addRestore(program);
}

/** The command below `parent`. */
export function addRestore(parent: Command): void {
  const command = parent
    .command('restore')
    .description('rebuild deleted trees in the trash, or with --put-back put deleted entries back where they were')
    .addArgument(metaUrlArgument())
    .argument('<HOUR...>', 'hours of the trash (UTC), like 2026-01-31-09')
    .option('--put-back', 'move entries to the directory and the name they had; a name that is taken stays as it is')
    .option('--path <path>', 'only what was at this path of the volume, or below it')
    .option('--threads <count>', 'entries at the same time', '10')
    .option('--json', 'the report as JSON, one line for each hour');
  addStoreOptions(command).action(restore);
}

async function restore(metaUrl: string, hours: string[], flags: Flags): Promise<void> {
  const threads = parseThreads(flags.threads);
  const { openKeyless } = await import('../filesystem/without-key.ts');
  const { findHour, restoreHour } = await import('../filesystem/trash/restore.ts');
  const volume = await openKeyless(metaUrl, storeFromFlags(flags));
  try {
    // All or nothing as far as typing goes: an hour that is not there is told before anything moves.
    for (const hour of hours) await findHour(volume, hour);
    for (const hour of hours) {
      const progress = await showProgress(`restored of ${hour}`, flags.json);
      const { putBack = false, path } = flags;
      const options = { putBack, threads, progress: progress.on, ...(path !== undefined && { path }) };
      const restored = await restoreHour(volume, hour, options).finally(progress.end);
      if (restored.failed > 0) process.exitCode = 1;
      console.log(flags.json ? toJson(restored) : asText(restored));
    }
  } finally {
    await volume.close();
  }
}

function asText({ hour, restored, skipped, failed, failures }: Restored): string {
  const shown = failures.slice(0, MOST_SHOWN).map(({ entry, reason }) => `stays: ${entry}: ${reason}`);
  if (failed > shown.length) shown.push(`and ${failed - shown.length} more that stay`);
  return [...shown, `${hour}: ${restored} restored, ${skipped} skipped, ${failed} failed`].join('\n');
}
