// A mount served by this very process until it is unmounted or signalled. It has no successor: nothing is kept for one.
import { closeSync } from 'node:fs';
import { FsError } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { exposition } from '../../base/metrics.ts';
import { openFileSystem } from '../../filesystem/open.ts';
import type { FileSystem } from '../../filesystem/options.ts';
import { mountFuseNative } from '../../fuse/fuse-native.ts';
import { mountFuse, raiseReadAhead, unmountFuse } from '../../fuse/mount.ts';
import { type MountOptions, parseMountOptions } from '../../fuse/mount-options.ts';
import { startSession } from '../../fuse/session.ts';
import type { Handoff } from '../../keeper/handoff.ts';
import { MetricsSocket } from '../../keeper/metrics-socket.ts';
import { native } from '../../native/native.ts';
import { nativeFiles } from '../worker/files.ts';
import { keyOf } from '../worker/key.ts';
import { openOptionsOf, splitOptions } from '../worker/options.ts';
import { refuseOwnMounts } from '../worker/own-mounts.ts';
import { metricsSocketOf, removeRecord, writeRecord } from './record.ts';

/** A mount that is up. */
interface Mounted {
  /** Resolves when it is gone and everything dirty was written. */
  readonly stopped: Promise<unknown>;
  /** After the file system was closed. */
  release(): void;
}

export async function mountInForeground(handoff: Handoff): Promise<void> {
  native.setDumpable(false);
  const { settings } = handoff;
  const { mountPoint } = settings;
  const split = splitOptions(settings.options);
  const parsed = parseMountOptions(split.mount);
  const options = { ...parsed, flags: parsed.flags | (settings.readOnly ? 1 : 0) };
  await refuseOwnMounts(settings);
  const key = await keyOf(handoff);
  const fileSystem = await openFileSystem({
    ...openOptionsOf(settings),
    ...split.open,
    ...(key && { key }),
    files: nativeFiles,
  });
  let mounted: Mounted;
  try {
    const serve = options.transport === 'kernel' ? overKernel : overFuseNative;
    mounted = await serve(mountPoint, fileSystem, options);
  } catch (error) {
    await fileSystem.close();
    throw error;
  }
  try {
    unmountOnSignal(mountPoint);
    writeRecord(settings);
    const metrics = new MetricsSocket(metricsSocketOf(mountPoint), exposition);
    await mounted.stopped.finally(() => metrics.close());
    await fileSystem.close();
    removeRecord(mountPoint);
  } catch (error) {
    writeRecord(settings, FsError.from(error, 'last flush').message);
    throw error;
  } finally {
    mounted.release();
  }
}

function overKernel(mountPoint: string, fileSystem: FileSystem, options: MountOptions): Mounted {
  const descriptor = mountFuse({ target: mountPoint, source: `pageseal:${fileSystem.name}`, options });
  const negotiated = Promise.withResolvers<void>();
  const session = startSession({
    descriptor,
    vfs: fileSystem.vfs,
    log: log.child({ volume: fileSystem.name }),
    connectionId: 0n,
    trackRequests: false,
    onNegotiated: () => negotiated.resolve(),
  });
  void negotiated.promise.then(() => {
    raiseReadAhead(mountPoint);
    log.info('mounted', { mountPoint, volume: fileSystem.name });
  });
  return { stopped: session.stopped, release: () => closeSync(descriptor) };
}

async function overFuseNative(mountPoint: string, fileSystem: FileSystem, options: MountOptions): Promise<Mounted> {
  const { stopped } = await mountFuseNative({
    target: mountPoint,
    source: `pageseal:${fileSystem.name}`,
    vfs: fileSystem.vfs,
    log: log.child({ volume: fileSystem.name }),
    options,
  });
  log.info('mounted', { mountPoint, volume: fileSystem.name, transport: 'fuse-native' });
  return { stopped, release: () => undefined };
}

function unmountOnSignal(mountPoint: string): void {
  for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.on(name, () => {
      unmountFuse(mountPoint, true).catch((error) => log.error('unmounting failed', { error: String(error) }));
    });
}
