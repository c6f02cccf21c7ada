// The life of `pageseal keeper`: alone in its run directory, its socket there, and an orderly end at SIGTERM. Then it
// unmounts everything: nobody else holds the descriptors, so a mount without workers would only block its users.
import { chmodSync, mkdirSync, openSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fail } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { native } from '../native/native.ts';
import { KeeperMounts, type KeeperOptions } from './keeper.ts';
import { serve } from './service.ts';

/** Resolves after SIGTERM or SIGINT, when all is unmounted. */
export async function runKeeper(options: KeeperOptions): Promise<void> {
  native.setDumpable(false);
  lockRunDirectory(options.runDirectory);
  const signal = firstSignal();
  const keeper = new KeeperMounts(options);
  await keeper.start();
  const socket = join(options.runDirectory, 'keeper.sock');
  rmSync(socket, { force: true }); // we hold the lock: nobody listens there
  const umask = process.umask(0o177);
  const service = await serve(socket, keeper).finally(() => process.umask(umask));
  chmodSync(socket, 0o600);
  log.info('keeper serves', { socket, kubeletDirectory: options.kubeletDirectory });
  log.info('keeper ends', { signal: await signal });
  // First no new calls, and those that run to their end: a mount made after the others were taken away would stay.
  await service.close();
  await keeper.close();
  rmSync(socket, { force: true });
}

/** The lock ends with the process, however that ends. */
function lockRunDirectory(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const { uid, mode } = statSync(directory);
  if (uid !== process.getuid?.()) throw fail('refused', `run directory ${directory} belongs to another user`);
  if ((mode & 0o077) !== 0) chmodSync(directory, 0o700);
  const fd = openSync(join(directory, 'keeper.lock'), 'a', 0o600);
  if (!native.tryLock(fd)) throw fail('busy', `another keeper runs in ${directory}`);
}

function firstSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, resolve);
  });
}
