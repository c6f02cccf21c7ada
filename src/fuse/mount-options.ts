// `-o` options: text to mount(2) flags and data. Pure; what is not known is refused by name, so that a typing error never
// passes for an option.
import { fail } from '../base/errors.ts';

export type Transport = 'kernel' | 'fuse-native';

export interface MountOptions {
  /** MS_* bits. */
  readonly flags: number;
  readonly allowOther: boolean;
  readonly transport: Transport;
  /** Shown as the source in mountinfo. */
  readonly source: string | undefined;
  /** SELinux: context=, fscontext=, defcontext=, rootcontext=, passed on as they are. */
  readonly contexts: readonly string[];
}

export const MountFlag = {
  READONLY: 1, NOSUID: 2, NODEV: 4, NOEXEC: 8, SYNCHRONOUS: 16, DIRSYNC: 128, NOATIME: 1024, NODIRATIME: 2048,
  RELATIME: 1 << 21, STRICTATIME: 1 << 24,
} as const; // biome-ignore format: a table reads better than a column

/** As the usual FUSE mounts: foreign set-user-id files and devices do nothing unless asked for. */
export const DEFAULT_FLAGS = MountFlag.NOSUID | MountFlag.NODEV;

const setting: Readonly<Record<string, number>> = {
  ro: MountFlag.READONLY,
  nosuid: MountFlag.NOSUID,
  nodev: MountFlag.NODEV,
  noexec: MountFlag.NOEXEC,
  sync: MountFlag.SYNCHRONOUS,
  dirsync: MountFlag.DIRSYNC,
  noatime: MountFlag.NOATIME,
  nodiratime: MountFlag.NODIRATIME,
  relatime: MountFlag.RELATIME,
  strictatime: MountFlag.STRICTATIME,
};

const clearing: Readonly<Record<string, number>> = {
  rw: MountFlag.READONLY,
  suid: MountFlag.NOSUID,
  dev: MountFlag.NODEV,
  exec: MountFlag.NOEXEC,
  async: MountFlag.SYNCHRONOUS,
  atime: MountFlag.NOATIME,
  diratime: MountFlag.NODIRATIME,
  norelatime: MountFlag.RELATIME,
  nostrictatime: MountFlag.STRICTATIME,
};

/** For fstab and mount(8), or what is so in any case. */
const meaningless: ReadonlySet<string> = new Set([
  'defaults', 'default_permissions', 'auto', 'noauto', 'user', 'nouser', 'users', 'nofail', '_netdev',
]); // biome-ignore format: a table reads better than a column

const contextNames: ReadonlySet<string> = new Set(['context', 'fscontext', 'defcontext', 'rootcontext']);

/** Each element may hold several options separated by commas, as repeated `-o` do. */
export function parseMountOptions(texts: readonly string[]): MountOptions {
  let flags: number = DEFAULT_FLAGS;
  let allowOther = false;
  let transport: Transport = 'kernel';
  let source: string | undefined;
  const contexts: string[] = [];
  for (const option of texts.flatMap(splitOptions)) {
    const [name = '', value] = splitAtEquals(option);
    if (value === undefined && setting[name] !== undefined) flags |= setting[name];
    else if (value === undefined && clearing[name] !== undefined) flags &= ~clearing[name];
    else if (option === 'allow_other') allowOther = true;
    else if (name === 'transport') transport = parseTransport(value);
    else if (name === 'fsname' && value) source = value;
    else if (contextNames.has(name) && value) contexts.push(option);
    else if (value !== undefined || !meaningless.has(name))
      throw fail('bad-input', `mount option '${option}' is not known`, {
        hint: `known: ${[...Object.keys(setting), ...Object.keys(clearing), 'allow_other', 'fsname=', 'transport='].join(' ')}`,
      });
  }
  return { flags, allowOther, transport, source, contexts };
}

/** SELinux categories hold commas, inside quotes. */
function splitOptions(text: string): string[] {
  return (text.match(/(?:[^,"]|"[^"]*")+/g) ?? []).map((option) => option.trim()).filter((option) => option !== '');
}

function splitAtEquals(option: string): [string, string | undefined] {
  const at = option.indexOf('=');
  return at < 0 ? [option, undefined] : [option.slice(0, at), option.slice(at + 1)];
}

function parseTransport(value: string | undefined): Transport {
  if (value === 'kernel' || value === 'fuse-native') return value;
  throw fail('bad-input', `mount option transport: wanted kernel or fuse-native, found '${value ?? ''}'`);
}
