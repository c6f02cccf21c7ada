// Mounts a Vfs for a test in this very process and takes everything away again, whatever fails. Tests reach the mount
// through promises of node:fs or through other processes only: a synchronous call would wait for itself. No process may be
// started while this one has a file of the mount open: the child closes its copy before exec, waits for the flush, and its
// parent, who would answer, waits for the exec.
import { closeSync, mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Log } from '../../src/base/log.ts';
import type { Vfs } from '../../src/filesystem/vfs/vfs.ts';
import { mountFuse, unmountFuse } from '../../src/fuse/mount.ts';
import { parseMountOptions } from '../../src/fuse/mount-options.ts';
import { type FuseSession, type SessionOptions, startSession } from '../../src/fuse/session.ts';

export interface Mounted {
  readonly directory: string;
  readonly descriptor: number;
  readonly session: FuseSession;
  /** What was logged: level and message. */
  readonly lines: string[];
  unmount(): Promise<void>;
}

export function mountPoint(): string {
  return mkdtempSync(join(tmpdir(), 'pageseal-fuse-'));
}

/** Lazily, so that a hung test cannot keep it; not mounted any more is fine. */
export async function takeAway(directory: string): Promise<void> {
  await unmountFuse(directory, true).catch(() => undefined);
  try {
    rmdirSync(directory);
  } catch {} // taken away before
}

/** A logger for tests that expect failures. */
export function quiet(lines: string[]): Log {
  const line = (level: string) => (message: string) => void lines.push(`${level} ${message}`);
  const log: Log = {
    error: line('error'),
    warn: line('warn'),
    info: line('info'),
    debug: line('debug'),
    child: () => log,
  };
  return log;
}

export function mountVfs(vfs: Vfs, options = 'allow_other,dev,suid', more: Partial<SessionOptions> = {}): Mounted {
  const directory = mountPoint();
  const descriptor = mountFuse({ target: directory, source: 'test', options: parseMountOptions([options]) });
  const lines: string[] = [];
  const session = startSession({ descriptor, vfs, log: quiet(lines), connectionId: 7n, trackRequests: false, ...more });
  return {
    directory,
    descriptor,
    session,
    lines,
    async unmount() {
      await takeAway(directory);
      await session.stopped;
      closeSync(descriptor);
    },
  };
}
