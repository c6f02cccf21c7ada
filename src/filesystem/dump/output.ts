// Where the text of a dump goes: standard output, or a file that appears whole or not at all, readable by its owner only;
// packed and sealed on the way when that is wanted.
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { rename, unlink } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Transform, Writable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { constants, createGzip, createZstdCompress } from 'node:zlib';
import { syncFolder } from '../../base/atomic-file.ts';
import { fail } from '../../base/errors.ts';

/** A reader that takes nothing for so long holds up the database's tidying: the dump fails. */
const STALL_MS = 600_000;
/** Metadata is nobody else's business. */
const MODE = 0o600;

export interface Output {
  write(text: string): Promise<void>;
  /** Everything is where it belongs, and durable if that is a file. */
  finish(): Promise<void>;
  /** Nothing is left behind. */
  abort(): Promise<void>;
}

/** What the ending of a file's name asks for. */
export function packing(name: string): Transform[] {
  if (name.endsWith('.gz')) return [createGzip({ level: constants.Z_BEST_SPEED })];
  if (name.endsWith('.zstd') || name.endsWith('.zst')) return [createZstdCompress()];
  return [];
}

/** The stream stays open: it is the process's. */
export function streamOutput(stream: Writable): Output {
  let failed: Error | undefined;
  stream.once('error', (error) => {
    failed = error;
  });
  return {
    write: async (text) => {
      if (failed !== undefined) throw brokenPipe(failed);
      if (!stream.write(text)) await drained(stream);
    },
    finish: async () => {
      await new Promise<void>((resolve) => {
        stream.write('', () => resolve());
      });
      if (failed !== undefined) throw brokenPipe(failed);
    },
    abort: async () => undefined,
  };
}

const brokenPipe = (cause: Error): Error => fail('cancelled', `dump metadata: ${cause.message}`, { cause });

/** Text through `steps` into the file. */
export async function fileOutput(path: string, steps: readonly Transform[]): Promise<Output> {
  const target = resolve(path);
  const temporary = join(dirname(target), `.${basename(target)}.${process.pid}.tmp`);
  // Its data is forced to the disk before it is closed.
  const file = createWriteStream(temporary, { flags: 'wx', mode: MODE, flush: true });
  await once(file, 'open').catch((cause: Error) => {
    throw fail('bad-input', `write ${path}: ${cause.message}`, { cause });
  });
  const [packer, ...rest] = steps;
  const first = packer ?? file;
  const flowing = packer === undefined ? finished(file) : pipeline([packer, ...rest, file]);
  // Told by the next write or the end, whoever comes first.
  let failed: unknown;
  flowing.catch((thrown: unknown) => {
    failed = thrown;
  });
  return {
    write: async (text) => {
      if (failed !== undefined) throw cannotWrite(path, failed);
      if (!first.write(text)) await Promise.race([drained(first), flowing]);
    },
    finish: async () => {
      try {
        first.end();
        await flowing;
        await rename(temporary, target);
        await syncFolder(dirname(target));
      } catch (thrown) {
        throw cannotWrite(path, thrown);
      }
    },
    abort: async () => {
      first.destroy();
      file.destroy();
      await flowing.catch(() => undefined);
      await unlink(temporary).catch(() => undefined);
    },
  };
}

function cannotWrite(path: string, thrown: unknown): Error {
  const { code, message } = thrown as NodeJS.ErrnoException;
  return fail(code === 'ENOSPC' ? 'ENOSPC' : 'EIO', `write ${path}: ${message}`, { cause: thrown });
}

async function drained(stream: Writable): Promise<void> {
  const stalled = new AbortController();
  const timer = setTimeout(() => stalled.abort(), STALL_MS);
  try {
    await once(stream, 'drain', { signal: stalled.signal });
  } catch (thrown) {
    if (!stalled.signal.aborted) throw thrown;
    throw fail('timeout', `dump metadata: nobody took its text for ${STALL_MS / 60_000} minutes`, { cause: thrown });
  } finally {
    clearTimeout(timer);
  }
}
