// `pageseal mount META-URL MOUNTPOINT`: serves a file system, in the foreground by itself, in the background by a worker
// under a keeper for this one mount.

import { existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import { FsError, fail } from '../base/errors.ts';
import { MiB } from '../base/units.ts';
import { parseAttempts, parseDuration, parseHeartbeat } from '../config/duration.ts';
import { isBackupInterval } from '../config/mount-options.ts';
import { environmentFor } from '../config/worker-environment.ts';
import type { Handoff } from '../keeper/handoff.ts';
import { addKeyOptions, type KeyFlags, keyFromFlags, keyOfRecord } from './key-options.ts';
import { metaUrlArgument } from './meta-url.ts';
import { placeOf } from './mount/place.ts';
import { addOriginalMountFlags } from './original-flags.ts';
import { hasPassphrase } from './passphrase.ts';
import { parseSize } from './sizes.ts';
import { addStoreOptions, type StoreFlags, storeFromFlags } from './store-options.ts';

export interface MountFlags extends KeyFlags, StoreFlags {
  readonly background?: boolean;
  readonly o?: readonly string[];
  readonly subdir?: string;
  readonly readOnly?: boolean;
  readonly log?: string;
  readonly bufferSize: string;
  readonly atimeMode: string;
  readonly enableCap?: boolean;
  readonly enableSelinux?: boolean;
  readonly attrCache: string;
  readonly entryCache: string;
  readonly dirEntryCache: string;
  readonly negativeEntryCache: string;
  readonly heartbeat: string;
  readonly ioRetries?: string;
  readonly backupMeta: string;
  readonly backupSkipTrash?: boolean;
  /** Commander's form of --no-bgjob. */
  readonly bgjob: boolean;
}

const MOUNT_EXAMPLES = `
Examples:
  pageseal mount sqlite3:///srv/meta.db /mnt/demo --rsa-key volume.pem
  pageseal mount -d sqlite3:///srv/meta.db /mnt/demo --rsa-key volume.pem --passphrase-file passphrase
  META_PASSWORD_FILE=password pageseal mount -d postgres://demo@db.example/demo /mnt/demo --rsa-key volume.pem

Without a key flag the key in the metadata is used, if there is one. The passphrase comes from --passphrase-file, from
JFS_RSA_PASSPHRASE, or is asked for. Other flags of the original client are accepted where they change nothing that
somebody relies on, with a note where they have no effect.`;

export function register(program: Command): void {
  const command = program
    .command('mount')
    .description('mount a volume; in the foreground until it is unmounted, or with -d in the background')
    .addArgument(metaUrlArgument())
    .argument('<MOUNTPOINT>', 'a directory')
    .option('-d, --background', 'return when the mount answers; a worker is supervised and replaced if it dies')
    .option(
      '-o <options>',
      'mount options, separated by commas: ro, noexec, noatime, allow_other (root has it anyway), fsname=, context=, transport=kernel or fuse-native, ledger=strict or lenient, ...',
      collect,
    )
    .option('--subdir <dir>', 'mount a directory of the volume')
    .option('--read-only', 'refuse all writes')
    .option('--log <file>', 'where a background mount logs', '/var/log/pageseal.log')
    .option('--buffer-size <MiB>', 'opened pages kept in memory', '64')
    .option('--attr-cache <time>', 'for how long the kernel believes attributes: seconds, or with a unit', '1s')
    .option('--entry-cache <time>', 'the same for names of files', '1s')
    .option('--dir-entry-cache <time>', 'the same for names of directories', '1s')
    .option('--negative-entry-cache <time>', 'the same for names that are not there', '0s')
    .option('--atime-mode <mode>', 'what reading does to atime: noatime, relatime or strictatime', 'noatime')
    .option('--heartbeat <time>', 'how often the session is renewed; others end one that missed five', '12s')
    .option('--io-retries <count>', 'attempts until an outage is told; 1 is at once, 10 are some five minutes')
    .option('--backup-meta <time>', 'how often the metadata is copied into the store; 0 is never', '1h')
    .option('--backup-skip-trash', 'without what lies in the trash')
    .option('--enable-cap', 'keep capabilities of files (security.capability)')
    .option('--enable-selinux', 'keep security.selinux')
    .option('--no-bgjob', 'leave hourly clean-up and background compaction to other mounts');
  addOriginalMountFlags(command);
  addStoreOptions(addKeyOptions(command)).addHelpText('after', MOUNT_EXAMPLES).action(mount);
}

const collect = (value: string, before: readonly string[] = []): string[] => [...before, value];

async function mount(metaUrl: string, mountPoint: string, flags: MountFlags): Promise<void> {
  if (flags.background && isFuseNative((flags.o ?? []).flatMap((text) => splitTopLevel(text))))
    throw fail('unsupported', 'mounting in the background with transport=fuse-native: no worker can take it over', {
      hint: 'leave out -d, and let a service manager keep the process',
    });
  const place = await usableMountPoint(mountPoint);
  const handoff = await handoffFor(absoluteUrl(metaUrl), place, flags);
  if (flags.background) {
    const { mountInBackground } = await import('./mount/background.ts');
    await mountInBackground(handoff, flags.log ?? '/var/log/pageseal.log');
    console.log(`${place} is mounted`);
  } else {
    const { mountInForeground } = await import('./mount/foreground.ts');
    await mountInForeground(handoff);
  }
}

/** Made when missing, as the original client does; a dead mount that stands there is taken away. */
async function usableMountPoint(path: string): Promise<string> {
  const { clearStale } = await import('./mount/stale.ts');
  try {
    if (!existsSync(dirname(resolve(path)))) mkdirSync(dirname(resolve(path)), { recursive: true });
    const place = placeOf(path);
    await clearStale(place);
    if (!existsSync(place)) mkdirSync(place);
    if (!statSync(place).isDirectory()) throw fail('bad-input', `mounting at ${path}: not a directory`);
    return place;
  } catch (error) {
    throw FsError.from(error, `mounting at ${path}`);
  }
}

/** Workers live in `/`: a database's file, and those of TLS, are named from there. */
function absoluteUrl(metaUrl: string): string {
  const [, path] = /^sqlite3:\/\/([^/?][^?]*)/.exec(metaUrl) ?? [];
  if (path !== undefined) return metaUrl.replace(path, `${process.cwd()}/${path}`);
  return metaUrl.replace(/([?&]ssl(?:rootcert|cert|key)=)([^&]*)/g, (whole, name: string, file: string) =>
    /^(\/|%2f|-|%2d|\+|$)/i.test(file) ? whole : `${name}${encodeURIComponent(`${process.cwd()}/`)}${file}`,
  );
}

async function handoffFor(metaUrl: string, mountPoint: string, flags: MountFlags): Promise<Handoff> {
  const key = (await keyFromFlags(flags)) ?? (await keyOfRecord(metaUrl, flags));
  const options = (flags.o ?? []).flatMap((text) => splitTopLevel(text));
  // As the original client: what root mounts is for all users. The second transport cannot tell them apart.
  const allowed = process.getuid?.() === 0 && !isFuseNative(options) ? ['allow_other'] : [];
  const own = [
    `buffer-size=${parseSize('--buffer-size', flags.bufferSize, 'M') / BigInt(MiB)}`,
    ...lifetimes(flags),
    `heartbeat=${heartbeat(flags.heartbeat)}`,
    `atime-mode=${atimeMode(flags.atimeMode)}`,
    ...(flags.ioRetries === undefined ? [] : [`io-retries=${attempts(flags.ioRetries)}`]),
    ...backups(flags),
    ...(flags.enableCap ? ['enable-cap'] : []),
    ...(flags.enableSelinux ? ['enable-selinux'] : []),
    ...(flags.bgjob ? [] : ['no-bgjob']),
  ];
  if (key?.kind === 'unlocked') throw fail('internal', 'mount: no flag gives an unlocked key');
  return {
    settings: {
      purpose: 'serve',
      metaUrl,
      store: storeFromFlags(flags),
      environment: environmentFor({ withIdentity: true }),
      // Who brings a key or a passphrase means an encrypted volume; the record is not asked.
      encryptionRequired: key !== undefined || hasPassphrase(flags),
      uuid: '',
      keyId: '',
      directory: flags.subdir ?? '',
      readOnly: flags.readOnly === true || options.includes('ro'),
      options: [...allowed, ...own, ...options],
      mountPoint,
      ownMounts: [mountPoint],
    },
    pem: key?.kind === 'pem' ? key.pem : undefined,
    passphrase: key?.passphrase,
  };
}

function atimeMode(mode: string): string {
  if (['noatime', 'relatime', 'strictatime'].includes(mode)) return mode;
  throw fail('bad-input', `--atime-mode ${mode}: wanted noatime, relatime or strictatime`);
}

function heartbeat(time: string): string {
  if (parseHeartbeat(time) !== undefined) return time;
  throw fail('bad-input', `--heartbeat ${time}: wanted a length of time from 1s to 1h`);
}

function attempts(count: string): string {
  if (parseAttempts(count) !== undefined) return count;
  throw fail('bad-input', `--io-retries ${count}: wanted a number from 1 to 30`);
}

function lifetimes(flags: MountFlags): string[] {
  const given = {
    'attr-cache': flags.attrCache,
    'entry-cache': flags.entryCache,
    'dir-entry-cache': flags.dirEntryCache,
    'negative-entry-cache': flags.negativeEntryCache,
  };
  return Object.entries(given).map(([name, time]) => {
    if (parseDuration(time) === undefined)
      throw fail('bad-input', `--${name} ${time}: not a length of time`, {
        hint: 'seconds, or a number and d, h, m, s or ms',
      });
    return `${name}=${time}`;
  });
}

function backups({ backupMeta, backupSkipTrash }: MountFlags): string[] {
  if (!isBackupInterval(backupMeta))
    throw fail('bad-input', `--backup-meta ${backupMeta}: wanted a time of 5 minutes or more, or 0 for none`);
  return [`backup-meta=${backupMeta}`, ...(backupSkipTrash ? ['backup-skip-trash'] : [])];
}

const isFuseNative = (options: readonly string[]): boolean => options.includes('transport=fuse-native');

/** Commas inside quotes belong to SELinux contexts. */
const splitTopLevel = (text: string): string[] => text.match(/(?:[^,"]|"[^"]*")+/g) ?? [];
