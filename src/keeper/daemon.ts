// The life of `pageseal keeper`: alone in its run directory, its socket there, and an orderly end at SIGTERM. Without
// hand-over it then unmounts everything: nobody else holds the descriptors, so a mount without workers would only block its
// users. With it the mounts stay for the next keeper.
import { chmodSync, closeSync, mkdirSync, openSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fail } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { native } from '../native/native.ts';
import { HandOver } from './hand-over.ts';
import { KeeperMounts, type KeeperOptions } from './keeper.ts';
import { serve } from './service.ts';

/** The keeper before may still be on its way out, and to start this one again costs more. */
const LOCK_WAIT_MS = 5000;
const POLL_MS = 20;

export interface DaemonOptions extends KeeperOptions {
  /** Mounts are left to the next keeper, by way of who holds their descriptors meanwhile. */
  readonly handOver: boolean;
  readonly recoveryDeadlineMs: number;
}

/** Resolves after SIGTERM or SIGINT, when all is unmounted or left to the next keeper. */
export async function runKeeper(options: DaemonOptions): Promise<void> {
  native.setDumpable(false);
  const ending = firstSignal();
  await lockRunDirectory(options.runDirectory, options.handOver ? LOCK_WAIT_MS : 0);
  const handOver = options.handOver ? startHandOver(options) : undefined;
  const keeper = new KeeperMounts(options, handOver);
  await keeper.start(ending);
  if (!ending.aborted) await serveUntil(ending, keeper, options, handOver !== undefined);
  handOver?.close();
}

async function serveUntil(
  ending: AbortSignal,
  keeper: KeeperMounts,
  options: DaemonOptions,
  handOver: boolean,
): Promise<void> {
  const socket = join(options.runDirectory, 'keeper.sock');
  rmSync(socket, { force: true }); // we hold the lock: nobody listens there
  const umask = process.umask(0o177);
  const service = await serve(socket, keeper).finally(() => process.umask(umask));
  chmodSync(socket, 0o600);
  log.info('keeper serves', { socket, kubeletDirectory: options.kubeletDirectory, handOver });
  if (!ending.aborted) await new Promise((resolve) => ending.addEventListener('abort', resolve));
  log.info('keeper ends', { signal: String(ending.reason), handOver });
  // First no new calls, and those that run to their end: a mount made after the others were taken away would stay.
  await service.close();
  await (handOver ? keeper.leave() : keeper.close());
  rmSync(socket, { force: true });
}

function startHandOver({ runDirectory, recoveryDeadlineMs }: DaemonOptions): HandOver {
  return new HandOver({ socket: join(runDirectory, 'keeper-fd.sock'), recoveryDeadlineMs });
}

/** The lock ends with the process, however that ends. */
async function lockRunDirectory(directory: string, waitMs: number): Promise<void> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const { uid, mode } = statSync(directory);
  if (uid !== process.getuid?.()) throw fail('refused', `run directory ${directory} belongs to another user`);
  if ((mode & 0o077) !== 0) chmodSync(directory, 0o700);
  const fd = openSync(join(directory, 'keeper.lock'), 'a', 0o600);
  for (const deadline = Date.now() + waitMs; !native.tryLock(fd); ) {
    if (Date.now() >= deadline) {
      closeSync(fd);
      throw fail('busy', `another keeper runs in ${directory}`);
    }
    await sleep(POLL_MS);
  }
}

function firstSignal(): AbortSignal {
  const ending = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => ending.abort(name));
  return ending.signal;
}
