// What is mounted where, from /proc/self/mountinfo: reading it never asks a file system that may not answer.
import { readFileSync } from 'node:fs';

export interface MountEntry {
  readonly id: number;
  readonly parent: number;
  /** major:minor of the superblock. */
  readonly device: string;
  readonly root: string;
  readonly path: string;
  readonly readOnly: boolean;
  readonly type: string;
  readonly source: string;
}

export function mounts(text = readFileSync('/proc/self/mountinfo', 'utf8')): MountEntry[] {
  return text.split('\n').flatMap((line) => {
    const [before, after] = line.split(' - ');
    if (before === undefined || after === undefined) return [];
    const [id, parent, device = '', root = '', path = '', options = ''] = before.split(' ');
    const [type = '', source = ''] = after.split(' ');
    return {
      id: Number(id),
      parent: Number(parent),
      device,
      root: plain(root),
      path: plain(path),
      readOnly: options.split(',').includes('ro'),
      type,
      source: plain(source),
    };
  });
}

/** Of several mounts on one path, the one that is seen: no other of them stands on it. */
export function topMount(path: string, entries = mounts()): MountEntry | undefined {
  const there = entries.filter((entry) => entry.path === path);
  const below = new Set(there.map((entry) => entry.parent));
  return there.findLast((entry) => !below.has(entry.id));
}

/** The kernel writes space, tab, newline and backslash as octal. */
const plain = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
