// `pageseal config META-URL [flags]`: shows the record without its secrets, or changes what can be changed in it.

import { type Command, Option } from 'commander';
import { fail } from '../base/errors.ts';
import type { ConfigChange, FieldChange } from '../filesystem/config-fields.ts';
import { askYes } from './ask.ts';
import { toJson } from './json.ts';
import { metaUrlArgument } from './meta-url.ts';
import { parseCount, parseSize } from './sizes.ts';
import { reachOf, recordedOf, type StoreFlags } from './store-options.ts';

interface Flags extends StoreFlags {
  readonly capacity?: string;
  readonly inodes?: string;
  readonly trashDays?: string;
  readonly dirStats?: string | true;
  readonly userGroupQuota?: string | true;
  readonly enableAcl?: string | true;
  readonly encryptSecret?: true;
  readonly minClientVersion?: string;
  readonly maxClientVersion?: string;
  readonly yes?: true;
  readonly force?: true;
  readonly json?: true;
}

/** What a volume is made with, or what this version has no part for; each with the reason. */
const fixed: Readonly<Record<string, string>> = {
  '--tag <tag>': 'objects get no tags',
  '--tier <tier>': 'new objects have one storage class: --storage-class',
  '--ranger-rest-url <url>': 'access is decided by owner, mode and access list only',
  '--ranger-service <name>': 'access is decided by owner, mode and access list only',
  '--kerberos-config-file <file>': 'access is decided by owner, mode and access list only',
  '--changelog': 'this version writes no change log',
  '--changelog-max-age <time>': 'this version writes no change log',
  '--changelog-max-lines <count>': 'this version writes no change log',
  '--block-size <size>': 'pages that are stored have their size',
  '--compress <kind>': 'pages that are stored are packed one way',
  '--encrypt-rsa-key <file>': 'pages that are stored are sealed under the key of the volume',
  '--encrypt-algo <name>': 'pages that are stored are sealed one way',
  '--hash-prefix': 'objects that are stored have their names',
};

export function register(program: Command): void {
  const command = program
    .command('config')
    .description('show the record of a volume, or change it; mounts follow with their next heartbeat')
    .addArgument(metaUrlArgument())
    .option('--capacity <GiB>', 'limit of the volume; 0 is none; other units when given, as 500M')
    .option('--inodes <count>', 'limit of its inodes; 0 is none')
    .option('--trash-days <days>', 'how long removed files are kept; 0 deletes them at once')
    .option('--storage <kind>', 'kind of object store from now on')
    .option('--bucket <place>', 'where the objects are from now on; they have to be there')
    .option('--access-key <id>', 'credentials of the store; "" takes them away')
    .option('--secret-key <key>', 'the same, sealed in the record')
    .option('--session-token <token>', 'the same')
    .option('--storage-class <class>', 'storage class of new objects; "" is the own one of the bucket')
    .option('--upload-limit <Mbps>', 'most bandwidth of each client to the store; 0 is no limit')
    .option('--download-limit <Mbps>', 'most bandwidth of each client from the store')
    .option('--ca-bundle <file>', 'certificate authorities (PEM) that vouch for the store, to look at it now')
    .option('--allow-insecure-loopback', 'let http:// be spoken with this machine itself, to look at the store now')
    .option('--dir-stats [yes]', 'keep sums per directory, which quotas need (true or false)')
    .option('--user-group-quota [yes]', 'keep accounts of users and groups (true or false)')
    .option('--enable-acl [yes]', 'POSIX access lists; cannot be turned off again')
    .option('--encrypt-secret', 'seal credentials of the store that lie in the record in clear')
    .option('--min-client-version <version>', 'refuse older clients; "" takes the bound away')
    .option('--max-client-version <version>', 'refuse newer clients; "" takes the bound away')
    .option('-y, --yes', 'do not ask')
    .option('--force', 'without looking whether the change makes sense')
    .option('--json', 'what was changed as JSON');
  for (const [flag, reason] of Object.entries(fixed)) {
    command.addOption(new Option(flag).hideHelp());
    const name = flag.split(' ')[0] ?? '';
    command.on(`option:${name.slice(2)}`, () => {
      throw fail('refused', `config ${name}: cannot be changed: ${reason}`);
    });
  }
  command.action(config);
}

async function config(metaUrl: string, flags: Flags): Promise<void> {
  const change = changeOf(flags);
  if (Object.keys(change).length === 0) {
    const { readStatus } = await import('../filesystem/describe.ts');
    const { record } = await readStatus(metaUrl);
    const { indented } = await import('../filesystem/dump/text.ts');
    const { parseRecord } = await import('../filesystem/meta/setting.ts');
    console.log(indented(parseRecord(record), ''));
    return;
  }
  const { changeConfig } = await import('../filesystem/change-config.ts');
  const done = await changeConfig({
    metaUrl,
    change,
    store: reachOf(flags),
    force: flags.force === true,
    confirm: async (question) => {
      if (flags.yes !== true) await askYes('config', question);
    },
  });
  if (flags.json) {
    console.log(toJson(done));
    return;
  }
  for (const field of done.changes) console.log(shown(field));
  for (const note of done.notes) console.log(`note: ${note}`);
  if (done.changes.length === 0) console.log(`${done.name}: it is so already`);
}

function changeOf(flags: Flags): ConfigChange {
  const { capacity, inodes, trashDays, minClientVersion, maxClientVersion } = flags;
  return {
    ...(capacity !== undefined && { capacity: parseSize('--capacity', capacity, 'G') }),
    ...(inodes !== undefined && { inodes: parseCount('--inodes', inodes) }),
    ...(trashDays !== undefined && { trashDays: Number(parseCount('--trash-days', trashDays)) }),
    // Flags only, as the original client: what the environment holds is for opening a store, not for writing it down.
    ...recordedOf(flags),
    ...(flags.dirStats !== undefined && { dirStats: yesOrNo('--dir-stats', flags.dirStats) }),
    ...(flags.userGroupQuota !== undefined && {
      userGroupQuota: yesOrNo('--user-group-quota', flags.userGroupQuota),
    }),
    ...(flags.enableAcl !== undefined && { enableAcl: yesOrNo('--enable-acl', flags.enableAcl) }),
    ...(flags.encryptSecret === true && { encryptSecret: true }),
    ...(minClientVersion !== undefined && { minClientVersion }),
    ...(maxClientVersion !== undefined && { maxClientVersion }),
  };
}

function yesOrNo(flag: string, value: string | true): boolean {
  if (value === true || value === 'true') return true;
  if (value === 'false') return false;
  throw fail('bad-input', `${flag} ${JSON.stringify(value)}: wanted true or false`);
}

/** Secrets are both 'removed'. */
const shown = ({ name, from, to }: FieldChange): string =>
  from === 'removed' || to === 'removed' ? `${name}: updated` : `${name}: ${text(from)} -> ${text(to)}`;
const text = (value: FieldChange['to']): string => (value === undefined ? 'none' : String(value));
