// Trees as data: what a folder or mount shows, and how two of them differ. The form is that of test/volumes' manifests.
import { fileURLToPath } from 'node:url';
import { runOk } from './program.ts';

export interface TreeEntry {
  readonly type: 'file' | 'dir' | 'symlink' | 'fifo' | 'socket' | 'block' | 'char';
  readonly ino: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Nanoseconds. */
  readonly mtime: string;
  readonly nlink: number;
  readonly sha256?: string;
  readonly target?: string;
  readonly rdev?: number;
  /** Values in base64. */
  readonly xattrs?: Readonly<Record<string, string>>;
  readonly pathB64?: string;
}

/** Path from the tree's top ("/" for itself) to what is there. */
export type Tree = Readonly<Record<string, TreeEntry>>;

const script = fileURLToPath(new URL('tree.py', import.meta.url));

/** Reads the whole tree below `path`, contents included. */
export async function readTree(path: string): Promise<Tree> {
  return JSON.parse(await runOk('python3', [script, path])) as Tree;
}

const FIELDS = ['type', 'ino', 'mode', 'uid', 'gid', 'size', 'mtime', 'nlink', 'sha256', 'target', 'rdev'] as const;
export type TreeField = (typeof FIELDS)[number] | 'xattrs';

/** Every difference as a line; `except` leaves fields out that cannot be equal. */
export function treeDifferences(expected: Tree, actual: Tree, except: readonly TreeField[] = []): string[] {
  const lines: string[] = [];
  for (const [path, wanted] of Object.entries(expected)) {
    const found = actual[path];
    if (found === undefined) {
      lines.push(`${path}: missing`);
      continue;
    }
    for (const field of FIELDS)
      if (!except.includes(field) && wanted[field] !== found[field])
        lines.push(`${path}: ${field} is ${found[field]}, not ${wanted[field]}`);
    if (!except.includes('xattrs')) lines.push(...xattrDifferences(path, wanted, found));
  }
  for (const path of Object.keys(actual)) if (!(path in expected)) lines.push(`${path}: not expected`);
  return lines;
}

function xattrDifferences(path: string, expected: TreeEntry, actual: TreeEntry): string[] {
  const names = new Set([...Object.keys(expected.xattrs ?? {}), ...Object.keys(actual.xattrs ?? {})]);
  return [...names]
    .filter((name) => expected.xattrs?.[name] !== actual.xattrs?.[name])
    .map((name) => `${path}: xattr ${name} is ${actual.xattrs?.[name]}, not ${expected.xattrs?.[name]}`);
}
