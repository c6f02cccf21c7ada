// Reads every file of trees, some at a time. Links are not followed, special files passed over; what cannot be read is
// reported and the rest goes on.
import { lstat, open, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { FsError } from '../../base/errors.ts';
import type { OnProgress } from '../../base/progress.ts';
import { MiB } from '../../base/units.ts';

export interface ReadOutcome {
  readonly files: number;
  readonly bytes: number;
  readonly failed: number;
  /** The first of them. */
  readonly failures: readonly { readonly path: string; readonly error: FsError }[];
}

const MAX_FAILURES = 100;

export async function readAll(paths: readonly string[], threads: number, onProgress: OnProgress): Promise<ReadOutcome> {
  const outcome = { files: 0, bytes: 0, failed: 0, failures: [] as { path: string; error: FsError }[] };
  const failed = (path: string, thrown: unknown): void => {
    outcome.failed++;
    if (outcome.failures.length < MAX_FAILURES) outcome.failures.push({ path, error: FsError.from(thrown, 'read') });
  };
  const files = filesIn(paths, failed);
  const reader = async (): Promise<void> => {
    const buffer = Buffer.allocUnsafe(MiB);
    for (let next = await files.next(); !next.done; next = await files.next()) {
      try {
        const bytes = await readFile(next.value, buffer);
        outcome.bytes += bytes;
        outcome.files++;
      } catch (thrown) {
        failed(next.value, thrown);
      }
      onProgress(outcome.files + outcome.failed, undefined);
    }
  };
  await Promise.all(Array.from({ length: threads }, reader));
  return outcome;
}

/** One folder of each level is open at a time; nothing is collected. */
async function* filesIn(
  paths: readonly string[],
  failed: (path: string, thrown: unknown) => void,
): AsyncGenerator<string> {
  for (const path of paths) {
    try {
      const stat = await lstat(path);
      if (stat.isFile()) yield path;
      if (!stat.isDirectory()) continue;
      for await (const entry of await opendir(path)) {
        const below = join(path, entry.name);
        if (entry.isFile()) yield below;
        else if (entry.isDirectory()) yield* filesIn([below], failed);
      }
    } catch (thrown) {
      failed(path, thrown);
    }
  }
}

async function readFile(path: string, buffer: Buffer): Promise<number> {
  const file = await open(path, 'r');
  try {
    for (let total = 0; ; ) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0) return total;
      total += bytesRead;
    }
  } finally {
    await file.close();
  }
}
