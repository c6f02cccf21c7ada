// Mount flags of a PV or StorageClass against an allow-list. What the original client knows and has no meaning here is
// accepted and named; anything else is refused, so that a flag somebody relies on is never dropped unseen.

import { fail } from '../base/errors.ts';
import { parseMbps } from './bandwidth.ts';
import { parseAttempts, parseDuration, parseHeartbeat } from './duration.ts';
import { contextOption, labelOf } from './selinux.ts';

export interface MountOptions {
  readonly readOnly: boolean;
  /** Directory asked for by a static PV, as the original client's subdir. */
  readonly subdir: string | undefined;
  /** For the worker: "buffer-size=64", "ledger=strict", "no-bgjob". */
  readonly worker: readonly string[];
  readonly ignored: readonly string[];
}

/** Options with a value that the worker understands, and what the value may be. */
const forWorker: Readonly<Record<string, (value: string) => boolean>> = {
  'buffer-size': (value) => /^[0-9]{1,6}$/.test(value),
  ledger: (value) => value === 'strict' || value === 'lenient',
  'atime-mode': (value) => ['noatime', 'relatime', 'strictatime'].includes(value),
  heartbeat: (value) => parseHeartbeat(value) !== undefined,
  'io-retries': (value) => parseAttempts(value) !== undefined,
  'backup-meta': isBackupInterval,
  'upload-limit': isBandwidth,
  'download-limit': isBandwidth,
  'attr-cache': isDuration,
  'entry-cache': isDuration,
  'dir-entry-cache': isDuration,
  'negative-entry-cache': isDuration,
};

/** And those without one. */
const plain: ReadonlySet<string> = new Set(['no-bgjob', 'backup-skip-trash', 'enable-cap', 'enable-selinux']);

function isBandwidth(value: string): boolean {
  return parseMbps(value) !== undefined;
}

function isDuration(value: string): boolean {
  return parseDuration(value) !== undefined;
}

/** The original client's limit: below it the backups alone would keep a mount busy. */
const MIN_BACKUP_MS = 300_000;

/** 0 is none. */
export function isBackupInterval(value: string): boolean {
  const time = parseDuration(value);
  return time === 0 || (time !== undefined && time >= MIN_BACKUP_MS);
}

/** Known to the original client or to mount(8), decided otherwise here. */
const withoutMeaning: ReadonlySet<string> = new Set([
  'rw', 'relatime', 'noatime', 'nodev', 'nosuid', 'allow_other', 'default_permissions', 'cache-dir', 'cache-size',
  'cache-mode', 'cache-partial-only', 'cache-expire', 'cache-eviction', 'cache-scan-interval', 'free-space-ratio',
  'verify-cache-checksum', 'prefetch', 'max-uploads', 'max-deletes', 'max-downloads', 'max-readahead',
  'get-timeout', 'put-timeout', 'open-cache', 'open-cache-limit', 'readdir-cache',
  'enable-xattr', 'enable-ioctl', 'no-usage-report',
  'no-syslog', 'metrics', 'log', 'log-level', 'verbose', 'debug',
  'fast-statfs', 'transport', 'skip-dir-mtime', 'skip-dir-nlink', 'max-fuse-io', 'update-fstab', 'background',
  'writeback_cache',
]); // biome-ignore format: a table reads better than a column

/** Commas inside quotes belong to an SELinux label. */
const splitList = (entry: string): readonly string[] => entry.match(/(?:[^,"]|"[^"]*"?)+/g) ?? [];

/** A label comes from the kubelet, where the CSIDriver object allows it, or from an administrator. */
function checkedLabel(value: string): string {
  const label = labelOf(value);
  if (label === undefined)
    throw fail('bad-input', 'mount option context: wanted an SELinux label, user:role:type:level');
  return label;
}

/** Each flag may itself be a comma-separated list, as in fstab. */
export function parseMountOptions(flags: readonly string[]): MountOptions {
  let readOnly = false;
  let subdir: string | undefined;
  const worker: string[] = [];
  const ignored: string[] = [];
  for (const flag of flags.flatMap(splitList)) {
    const item = flag.trim().replace(/^--?/, '');
    if (item === '') continue;
    const equals = item.indexOf('=');
    const name = equals < 0 ? item : item.slice(0, equals);
    const value = equals < 0 ? '' : item.slice(equals + 1);
    const wanted = forWorker[name];
    if (name === 'ro' || name === 'read-only') readOnly = true;
    else if (plain.has(name)) worker.push(name);
    else if (name === 'context') worker.push(contextOption(checkedLabel(value)));
    else if (name === 'subdir' && value !== '') subdir = value;
    else if (name === 'transport' && value !== 'kernel')
      throw fail('bad-input', 'mount option transport: volumes of pods need the ids of callers: wanted kernel');
    else if (wanted !== undefined) {
      if (!wanted(value)) throw fail('bad-input', `mount option ${name}: not a usable value`);
      worker.push(`${name}=${value}`);
    } else if (withoutMeaning.has(name)) ignored.push(name);
    // Write-back would answer fsync before a byte is safe; a volume of a pod is never that.
    else if (name === 'writeback') throw fail('bad-input', 'mount option writeback: not offered for volumes of pods');
    else throw fail('bad-input', `mount option ${name.slice(0, 64)}: not supported`);
  }
  return { readOnly, subdir, worker, ignored };
}
