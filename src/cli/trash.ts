// `pageseal trash list|restore|empty META-URL`: what was deleted and is still there, putting it back, and removing it for
// good before its time.

import type { Command } from 'commander';
import { fail } from '../base/errors.ts';
import type { HourInfo, TrashedEntry } from '../filesystem/trash/list.ts';
import { toJson } from './json.ts';
import { metaUrlArgument } from './meta-url.ts';
import { showProgress } from './progress.ts';
import { addRestore } from './restore.ts';
import { addStoreOptions, type StoreFlags, storeFromFlags } from './store-options.ts';

export function register(program: Command): void {
  const trash = program.command('trash').description('list, restore or empty what deleted entries left in the trash');
  trash
    .command('list')
    .alias('ls')
    .description('the hours of the trash, or the entries of one with the paths they had')
    .addArgument(metaUrlArgument())
    .argument('[HOUR...]', 'hours of the trash (UTC), like 2026-01-31-09')
    .option('--json', 'as JSON, one line for each')
    .action(list);
  addRestore(trash);
  const removal = trash
    .command('empty')
    .description('remove what is in the trash for good, and the objects of its files')
    .addArgument(metaUrlArgument())
    .option('--before <hour>', 'only what was deleted before this hour (UTC), like 2026-01-31-09')
    .option('--older-than <hours>', 'only what was deleted so many hours ago or earlier')
    .option('--yes', 'do it: nothing brings it back')
    .option('--json', 'the report as JSON');
  addStoreOptions(removal).action(empty);
}

async function list(metaUrl: string, hours: string[], flags: { readonly json?: boolean }): Promise<void> {
  const { openEngine } = await import('../filesystem/sql/open-engine.ts');
  const { listEntries, listHours } = await import('../filesystem/trash/list.ts');
  const engine = await openEngine(metaUrl, { readOnly: true });
  try {
    const all = await listHours(engine);
    const print = flags.json ? toJson : hourText;
    if (hours.length === 0) {
      for (const hour of all) console.log(print(hour));
      if (all.length === 0 && !flags.json) console.log('the trash is empty');
    }
    const wanted = hours.map((name) => all.find(({ hour }) => hour === name) ?? noHour(name));
    for (const { ino } of wanted)
      for await (const entry of listEntries(engine, ino)) console.log(flags.json ? entryJson(entry) : entryText(entry));
  } finally {
    await engine.close();
  }
}

function noHour(name: string): never {
  throw fail('not-found', `the trash has nothing of the hour ${name}`);
}

const hourText = ({ hour, entries, bytes, expires }: HourInfo): string =>
  `${hour}  ${entries} entries  ${bytes} bytes${expires === undefined ? '' : `  kept until ${expires}`}`;

const entryJson = ({ entry, path, attr }: TrashedEntry): string =>
  toJson({ entry, path, inode: attr?.ino, type: attr?.type, length: attr?.length, ctime: attr?.ctime });

const entryText = ({ entry, path, attr }: TrashedEntry): string =>
  `${entry}  ${attr?.length ?? '?'} bytes  was ${path ?? 'in a directory that is gone'}`;

interface EmptyFlags extends StoreFlags {
  readonly before?: string;
  readonly olderThan?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

async function empty(metaUrl: string, flags: EmptyFlags): Promise<void> {
  const limit = await limitOf(flags);
  if (!flags.yes)
    throw fail('refused', 'trash empty removes files for good: give --yes to do it', {
      hint: 'pageseal trash list META-URL shows what would go',
    });
  const { openKeyless } = await import('../filesystem/without-key.ts');
  const volume = await openKeyless(metaUrl, storeFromFlags(flags));
  const progress = await showProgress('removed', flags.json);
  try {
    const report = await volume.meta.emptyTrash(limit, ({ removed }) => progress.on(removed, undefined));
    progress.end();
    if (report.kept > 0) process.exitCode = 1;
    console.log(flags.json ? toJson(report) : `${report.removed} entries removed, ${report.kept} could not be`);
  } finally {
    progress.end();
    await volume.close();
  }
}

/** Milliseconds; hours that began before it go. */
async function limitOf({ before, olderThan }: EmptyFlags): Promise<number> {
  if (before !== undefined && olderThan !== undefined)
    throw fail('bad-input', 'trash empty: give --before or --older-than, not both');
  if (before !== undefined) {
    const { hourOf } = await import('../filesystem/meta/trash-expiry.ts');
    const time = hourOf(Buffer.from(before));
    if (time === undefined)
      throw fail('bad-input', `trash empty --before ${before}: wanted an hour like 2026-01-31-09 (UTC)`);
    return time;
  }
  if (olderThan === undefined) return Number.POSITIVE_INFINITY;
  if (!/^\d{1,7}$/.test(olderThan))
    throw fail('bad-input', `trash empty --older-than ${olderThan}: wanted a number of hours`);
  // An hour holds what was deleted until its end.
  const { hoursAgo } = await import('../filesystem/trash/list.ts');
  return hoursAgo(Number(olderThan) + 1, Date.now()) + 1;
}
