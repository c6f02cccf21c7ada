// `pageseal gc META-URL`: what takes space and belongs to no file. A dry run unless told to delete.

import { type Command, Option } from 'commander';
import { fail } from '../base/errors.ts';
import type { GcReport } from '../filesystem/gc/gc.ts';
import { toJson } from './json.ts';
import { addKeyOptions, type KeyFlags, keyOfVolume } from './key-options.ts';
import { metaUrlArgument } from './meta-url.ts';
import { showProgress } from './progress.ts';
import { parseThreads } from './sizes.ts';
import { addStoreOptions, type StoreFlags, storeOption } from './store-options.ts';

interface Flags extends KeyFlags, StoreFlags {
  readonly compact?: boolean;
  readonly delete?: boolean;
  readonly threads: number;
  readonly olderThan?: number;
  readonly json?: boolean;
}

export function register(program: Command): void {
  const command = program
    .command('gc')
    .description('find objects and rows that belong to no file; a dry run without --delete')
    .addArgument(metaUrlArgument())
    .option('--delete', 'delete what leaked, and what waits for its deletion at once; needs no key')
    .option('--compact', 'first make one slice of what overwriting left in many; needs the key')
    .addOption(new Option('-p, --threads <count>', 'deletes at the same time').default(10).argParser(parseThreads))
    .option('--older-than <seconds>', 'leave younger objects alone: they may belong to an upload (3600)', seconds)
    .option('--json', 'the report as JSON');
  addStoreOptions(addKeyOptions(command)).action(collect);
}

function seconds(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw fail('bad-input', `gc --older-than ${text}: wanted a number of seconds`);
  return Number(text);
}

/** The original client's name for the same. */
function ageFromEnvironment(): number | undefined {
  const text = process.env['JFS_GC_SKIPPEDTIME'];
  return text === undefined || text === '' ? undefined : seconds(text);
}

async function collect(metaUrl: string, flags: Flags): Promise<void> {
  const { collectGarbage } = await import('../filesystem/gc/gc.ts');
  const progress = await showProgress('rows and objects', flags.json);
  const olderThanSeconds = flags.olderThan ?? ageFromEnvironment();
  const report = await collectGarbage({
    metaUrl,
    threads: flags.threads,
    onProgress: progress.on,
    ...(flags.delete && { delete: true }),
    ...(flags.compact && { compact: await keyOfVolume(metaUrl, flags) }),
    ...(olderThanSeconds !== undefined && { olderThanSeconds }),
    ...storeOption(flags),
  }).finally(progress.end);
  if ((report.compacted?.failed ?? 0) > 0) process.exitCode = 1;
  console.log(flags.json ? toJson(report, 2) : asText(report));
}

function asText(report: GcReport): string {
  const { name, uuid, slices, objects, rows, compacted, deleted, deletedObjects, notes } = report;
  const line = (what: string, { count, bytes }: { count: number; bytes: number }, more = ''): string =>
    `  ${what.padEnd(14)}${String(count).padStart(10)}  ${bytes} bytes${more}`;
  const row = (what: string, count: number | string): string => `  ${what.padEnd(14)}${String(count).padStart(10)}`;
  const lines = [
    `${name} (${uuid}): ${slices.count} slices in use, ${slices.bytes} bytes`,
    deleted ? 'objects, after the rows were cleaned up' : 'objects',
    line('scanned', objects.scanned),
    line('valid', objects.valid),
    line('compacted', objects.delayed, ' (kept as long as the trash is)'),
    line('pending', objects.pending, ' (of slices without references)'),
    line('leaked', objects.leaked, ' (no row knows of them)'),
    line('temporary', objects.temporary, ' (of writes that were cut short)'),
    line('unreferenced', objects.unreferenced, ' (counted as used: fsck --repair)'),
    line('skipped', objects.skipped, ' (too young to be judged)'),
    line('foreign', objects.foreign, ' (no names of pages, never touched)'),
    deleted ? 'rows that were found and cleaned up' : 'rows that wait to be cleaned up',
    row('slices', rows.pendingSlices),
    line('deleted files', rows.deletedFiles),
    row('delayed', `${rows.delayedDue} of ${rows.delayed}`),
    row('trash hours', rows.expiredHours),
    row('half clones', rows.detachedTrees),
    row('ledger rows', rows.ledgerRows),
    ...(compacted === undefined ? [] : [`${compacted.compacted} of ${compacted.chunks} chunks compacted`]),
    ...(compacted?.failures ?? []),
    ...notes.map((note) => `note: ${note}`),
  ];
  if (deleted) lines.push(`${deletedObjects} objects deleted`);
  else if (isDirty(objects, rows)) lines.push('nothing was changed: --delete deletes what is leaked or waits');
  return lines.join('\n');
}

const isDirty = ({ leaked, temporary, pending }: GcReport['objects'], rows: GcReport['rows']): boolean =>
  leaked.count + temporary.count + pending.count > 0 ||
  rows.pendingSlices + rows.deletedFiles.count + rows.delayedDue + rows.expiredHours > 0 ||
  rows.detachedTrees + rows.ledgerRows > 0;
