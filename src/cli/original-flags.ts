// Flags of the original client that are not ours: scripts written for it go on working where that is honest, and are told
// why where it is not. Nothing here changes what a command does.
import { type Command, Option } from 'commander';

/** True in any case here: nothing to do, nothing to say. */
const mountIsSoAlready = [
  '--no-usage-report', '--no-syslog', '--hide-internal', '--enable-xattr', '--enable-ioctl',
]; // biome-ignore format: a table reads better than a column

/** Tuning of parts that work differently here, or are not there yet. */
const mountWithoutEffect = [
  '--readdir-cache', '--open-cache <time>', '--open-cache-limit <count>',
  '--skip-dir-mtime <time>', '--skip-dir-nlink <count>', '--fast-statfs', '--sort-dir',
  '--cache-dir <dir>', '--cache-size <MiB>', '--cache-mode <mode>', '--cache-items <count>', '--cache-partial-only',
  '--cache-large-write', '--cache-eviction <policy>', '--cache-scan-interval <time>', '--cache-expire <time>',
  '--free-space-ratio <ratio>', '--verify-cache-checksum <level>', '--prefetch <count>', '--max-readahead <MiB>',
  '--max-uploads <count>', '--max-downloads <count>', '--max-deletes <count>', '--max-stage-write <count>',
  '--max-fuse-io <size>', '--get-timeout <time>', '--put-timeout <time>', '--check-storage',
  '--metrics <address>', '--custom-labels <labels>', '--consul <address>', '--network-interfaces <names>',
  '--disable-transparent-hugepage',
]; // biome-ignore format: a table reads better than a column

const noTags = 'objects get no tags';
const noWriteBack = 'a write is acknowledged when it is safe; there is no write-back';
const noMapping = 'ids of callers are taken as the kernel gives them';

/** Somebody relies on what these do, and would not get it. */
const refused: Readonly<Record<string, string>> = {
  '--force': 'a volume is never overwritten: remove its metadata and its objects first, or unmount first',
  '--tag': noTags,
  '--tier': 'new objects have one storage class: --storage-class',
  '--shards': 'a volume has one bucket',
  '--writeback': noWriteBack,
  '--writeback-threshold-size': noWriteBack,
  '--upload-delay': noWriteBack,
  '--upload-hours': noWriteBack,
  '--root-squash': noMapping,
  '--all-squash': noMapping,
  '--umask': 'the umask of the caller counts',
  '--update-fstab': 'write the line into /etc/fstab yourself',
  '--evict': 'there is no disk cache to evict from',
  '--session': 'status lists every session; --json has all fields',
  '--more': 'status shows everything it knows',
};

/** Why an unknown flag is unknown, when the original client knows it. */
export const whyRefused = (flag: string): string | undefined =>
  Object.hasOwn(refused, flag) ? refused[flag] : undefined;

/** Accepted and left out of the help. */
export function addOriginalMountFlags(command: Command): void {
  for (const flag of mountIsSoAlready) command.addOption(new Option(flag).hideHelp());
  for (const flag of mountWithoutEffect) {
    const [name = ''] = flag.split(' ');
    command.addOption(new Option(flag).hideHelp());
    command.on(`option:${name.slice(2)}`, () => process.stderr.write(`pageseal: ${name} has no effect here\n`));
  }
}
