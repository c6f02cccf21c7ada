// `pageseal quota set|get|delete|list|check META-URL`: limits of directories, users and groups, in the words and tables of
// the original client.

import type { Command } from 'commander';
import { fail } from '../base/errors.ts';
import type { Limits } from '../filesystem/meta/quota-rows.ts';
import type { QuotaMismatch, ShownQuota, Subject } from '../filesystem/quota.ts';
import { toJson } from './json.ts';
import { metaUrlArgument } from './meta-url.ts';
import { showProgress } from './progress.ts';
import { parseCount, parseSize, shownSize } from './sizes.ts';
import { table } from './table.ts';

const MOST_ID = 0xffff_fffen;

interface Flags {
  readonly path?: string;
  readonly uid?: string;
  readonly gid?: string;
  readonly capacity?: string;
  readonly inodes?: string;
  readonly create?: boolean;
  readonly repair?: boolean;
  readonly json?: boolean;
}

export function register(program: Command): void {
  const quota = program.command('quota').description('limit what directories, users and groups may hold');
  const add = (name: string, description: string): Command =>
    quota
      .command(name)
      .description(description)
      .addArgument(metaUrlArgument())
      .option('--path <path>', 'a directory, from the root of the volume')
      .option('--uid <id>', 'a user')
      .option('--gid <id>', 'a group')
      .option('--json', 'as JSON');
  add('set', 'set limits; what is not given stays as it is')
    .option('--capacity <size>', 'most space, in GiB or with a unit, as 500M; 0 is no limit')
    .option('--inodes <count>', 'most files and directories; 0 is no limit')
    .option('--create', 'make the directory when it is missing')
    .option('--strict', 'usage is counted strictly in any case')
    .action(set);
  add('get', 'show limits and usage').action(get);
  add('delete', 'take limits away').alias('del').action(remove);
  add('list', 'show everything that has limits').alias('ls').action(list);
  add('check', 'compare what is kept as used with what is there; without --path, --uid or --gid everything')
    .option('--repair', 'make it so where it differs')
    .option('--strict', 'usage is counted strictly in any case')
    .action(check);
}

function subjectOf({ path, uid, gid }: Flags): Subject | undefined {
  if ([path, uid, gid].filter((flag) => flag !== undefined).length > 1)
    throw fail('bad-input', 'quota: give one of --path, --uid and --gid');
  if (path !== undefined) return { kind: 'directory', path };
  if (uid !== undefined) return { kind: 'user', id: idOf('--uid', uid) };
  return gid === undefined ? undefined : { kind: 'group', id: idOf('--gid', gid) };
}

function idOf(flag: string, text: string): bigint {
  const id = parseCount(flag, text);
  if (id === 0n) throw fail('refused', `quota ${flag} 0: root is not limited`);
  if (id > MOST_ID) throw fail('bad-input', `quota ${flag} ${text}: wanted 1 to ${MOST_ID}`);
  return id;
}

function neededSubject(flags: Flags): Subject {
  const subject = subjectOf(flags);
  if (subject === undefined) throw fail('bad-input', 'quota: whose? give --path, --uid or --gid');
  return subject;
}

async function set(metaUrl: string, flags: Flags): Promise<void> {
  const subject = neededSubject(flags);
  const limits: Limits = {
    ...(flags.capacity !== undefined && { maxSpace: parseSize('--capacity', flags.capacity, 'G') }),
    ...(flags.inodes !== undefined && { maxInodes: parseCount('--inodes', flags.inodes) }),
  };
  const { setQuotaOf } = await import('../filesystem/quota.ts');
  const progress = await showProgress('mounts to wait for', flags.json);
  const onWaiting = (mounts: number): void => progress.on(mounts, undefined);
  const options = { onWaiting, ...(flags.create === true && { create: true }) };
  const { quota, notes } = await setQuotaOf(metaUrl, subject, limits, options).finally(progress.end);
  for (const note of notes) process.stderr.write(`pageseal: ${note}\n`);
  print([quota], flags);
}

async function get(metaUrl: string, flags: Flags): Promise<void> {
  const { getQuotaOf } = await import('../filesystem/quota.ts');
  print([await getQuotaOf(metaUrl, neededSubject(flags))], flags);
}

async function remove(metaUrl: string, flags: Flags): Promise<void> {
  const { deleteQuotaOf } = await import('../filesystem/quota.ts');
  await deleteQuotaOf(metaUrl, neededSubject(flags));
}

async function list(metaUrl: string, flags: Flags): Promise<void> {
  const subject = subjectOf(flags);
  const { getQuotaOf, listQuotas } = await import('../filesystem/quota.ts');
  print(subject === undefined ? await listQuotas(metaUrl) : [await getQuotaOf(metaUrl, subject)], flags);
}

async function check(metaUrl: string, flags: Flags): Promise<void> {
  const subject = subjectOf(flags);
  const { checkQuotas } = await import('../filesystem/quota.ts');
  const what = subject?.kind === 'directory' ? { directory: subject.path } : { owners: subject !== undefined };
  const wrong = await checkQuotas(metaUrl, what, flags.repair === true);
  if (wrong.length > 0 && flags.repair !== true) process.exitCode = 1;
  if (flags.json) {
    console.log(toJson(wrong));
    return;
  }
  for (const one of wrong) console.log(mismatchText(one, flags.repair === true));
  if (wrong.length === 0) console.log('what is kept as used is what is there');
  else if (flags.repair !== true) process.stderr.write('hint: quota check --repair makes it so\n');
}

const figures = ({ space, inodes }: { readonly space: bigint; readonly inodes: bigint }): string =>
  `${space} bytes, ${inodes} inodes`;

const mismatchText = ({ of, says, found }: QuotaMismatch, repaired: boolean): string =>
  `${of}: ${says === undefined ? 'nothing' : figures(says)} kept, ${figures(found)} found${repaired ? ', repaired' : ''}`;

function print(quotas: readonly ShownQuota[], flags: Flags): void {
  if (flags.json) {
    console.log(toJson(quotas));
    return;
  }
  const share = (used: bigint, most: bigint): string => (most > 0n ? `${(used * 100n) / most}%` : '');
  const rows = quotas.map(({ of, maxSpace, maxInodes, usedSpace, usedInodes }) => [
    of,
    maxSpace > 0n ? shownSize(maxSpace) : 'no limit',
    shownSize(usedSpace),
    share(usedSpace, maxSpace),
    maxInodes > 0n ? String(maxInodes) : 'no limit',
    String(usedInodes),
    share(usedInodes, maxInodes),
  ]);
  console.log(table(['Path/ID', 'Size', 'Used', 'Use%', 'Inodes', 'IUsed', 'IUse%'], rows));
}
