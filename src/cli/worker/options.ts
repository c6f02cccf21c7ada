// Settings and `-o` options as filesystem/open.ts and fuse/ want them.

import { withRemoteOnly } from '../../base/meta-url-text.ts';
import { waitsOfAttempts } from '../../base/outage.ts';
import { MiB } from '../../base/units.ts';
import { parseMbps } from '../../config/bandwidth.ts';
import { parseAttempts, parseDuration, parseHeartbeat } from '../../config/duration.ts';
import { isBackupInterval } from '../../config/mount-options.ts';
import type { BackupPlan } from '../../filesystem/backup/backup.ts';
import { type AtimeMode, atimeModes } from '../../filesystem/meta/atime.ts';
import type { OpenOptions } from '../../filesystem/options.ts';
import type { Lifetimes } from '../../filesystem/vfs/lifetimes.ts';
import type { SecurityAttribute } from '../../filesystem/vfs/xattrs.ts';
import type { StoreOverrides, WorkerSettings } from '../../keeper/handoff.ts';

export interface SplitOptions {
  readonly open: Pick<
    OpenOptions,
    | 'cacheBytes'
    | 'ledger'
    | 'backgroundJobs'
    | 'lifetimes'
    | 'atimeMode'
    | 'keptSecurity'
    | 'heartbeatMs'
    | 'backup'
    | 'waits'
  >;
  /** For fuse/mount-options.ts, which refuses what it does not know. */
  readonly mount: readonly string[];
}

/** The original client's interval. */
const BACKUP_MS = 3_600_000;

/** Names of the original client. */
export const lifetimeOptions = {
  'attr-cache': 'attr',
  'entry-cache': 'entry',
  'dir-entry-cache': 'directoryEntry',
  'negative-entry-cache': 'negativeEntry',
} as const satisfies Record<string, keyof Lifetimes>;

const limits = { 'upload-limit': 'uploadLimit', 'download-limit': 'downloadLimit' } as const;
const isLimit = (name: string): name is keyof typeof limits => Object.hasOwn(limits, name);

/** What it says of the store's bandwidth; undefined for another option. */
function limitOf(option: string): StoreOverrides | undefined {
  const [name = '', value = ''] = option.split('=');
  const mbps = isLimit(name) ? parseMbps(value) : undefined;
  return isLimit(name) && mbps !== undefined ? { [limits[name]]: mbps } : undefined;
}

const isAtimeMode = (value: string): value is AtimeMode => atimeModes.some((mode) => mode === value);
/** The same. */
const securityOptions = {
  'enable-cap': 'security.capability',
  'enable-selinux': 'security.selinux',
} as const satisfies Record<string, SecurityAttribute>;

const isSecurity = (name: string): name is keyof typeof securityOptions => Object.hasOwn(securityOptions, name);
const isLifetime = (name: string): name is keyof typeof lifetimeOptions => Object.hasOwn(lifetimeOptions, name);

/** As the original client: `buffer-size` in MiB, lifetimes in seconds or with a unit. */
export function splitOptions(options: readonly string[]): SplitOptions {
  let open: SplitOptions['open'] = {};
  let backup: BackupPlan = { intervalMs: BACKUP_MS, skipTrash: false };
  const mount = options.filter((option) => {
    if (limitOf(option) !== undefined) return false;
    const [, name = '', value = ''] = /^([a-z-]+)=(.*)$/.exec(option) ?? [];
    const time = isLifetime(name) ? parseDuration(value) : undefined;
    const attempts = name === 'io-retries' ? parseAttempts(value) : undefined;
    if (name === 'buffer-size' && /^[0-9]{1,6}$/.test(value)) open = { ...open, cacheBytes: Number(value) * MiB };
    else if (name === 'ledger' && (value === 'strict' || value === 'lenient')) open = { ...open, ledger: value };
    else if (isLifetime(name) && time !== undefined)
      open = { ...open, lifetimes: { ...open.lifetimes, [lifetimeOptions[name]]: time } };
    else if (name === 'atime-mode' && isAtimeMode(value)) open = { ...open, atimeMode: value };
    else if (name === 'heartbeat' && parseHeartbeat(value) !== undefined)
      open = { ...open, heartbeatMs: parseHeartbeat(value) };
    else if (attempts !== undefined) open = { ...open, waits: waitsOfAttempts(attempts) };
    else if (name === 'backup-meta' && isBackupInterval(value))
      backup = { ...backup, intervalMs: parseDuration(value) ?? 0 };
    else if (option === 'backup-skip-trash') backup = { ...backup, skipTrash: true };
    else if (isSecurity(option))
      open = { ...open, keptSecurity: [...(open.keptSecurity ?? []), securityOptions[option]] };
    else if (option === 'no-bgjob') open = { ...open, backgroundJobs: false };
    else return true;
    return false;
  });
  return { open: backup.intervalMs > 0 ? { ...open, backup } : open, mount };
}

export function openOptionsOf(settings: WorkerSettings): OpenOptions {
  const { metaUrl, directory, readOnly, mountPoint } = settings;
  // A mount option of a volume of a pod; the command line has flags for them.
  const store = Object.assign({ ...settings.store }, ...settings.options.map(limitOf));
  return { metaUrl, store, subdir: directory, readOnly, mountPoint };
}

/** With the rule for places that a Secret names. Settings that an earlier version wrote do not hold it. */
export const remoteOnly = (settings: WorkerSettings): WorkerSettings => ({
  ...settings,
  metaUrl: withRemoteOnly(settings.metaUrl),
  store: { ...settings.store, remoteOnly: true },
});
