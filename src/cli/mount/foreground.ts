// A mount served by this very process until it is unmounted or signalled. It has no successor: nothing is kept for one.
import { closeSync } from 'node:fs';
import { FsError, fail } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { openFileSystem } from '../../filesystem/open.ts';
import { mountFuse, raiseReadAhead, unmountFuse } from '../../fuse/mount.ts';
import { parseMountOptions } from '../../fuse/mount-options.ts';
import { startSession } from '../../fuse/session.ts';
import type { Handoff } from '../../keeper/handoff.ts';
import { native } from '../../native/native.ts';
import { keyOf } from '../worker/key.ts';
import { openOptionsOf, splitOptions } from '../worker/options.ts';
import { refuseOwnMounts } from '../worker/own-mounts.ts';
import { removeRecord, writeRecord } from './record.ts';

export async function mountInForeground(handoff: Handoff): Promise<void> {
  native.setDumpable(false);
  const { settings } = handoff;
  const { mountPoint } = settings;
  const split = splitOptions(settings.options);
  const options = parseMountOptions(split.mount);
  if (options.transport !== 'kernel')
    throw fail('unsupported', 'mounting: fuse-native is not available in this build of the mount command');
  await refuseOwnMounts(settings);
  const key = await keyOf(handoff);
  const fileSystem = await openFileSystem({ ...openOptionsOf(settings), ...split.open, ...(key && { key }) });
  let descriptor: number;
  try {
    const readOnly = settings.readOnly ? 1 : 0;
    const source = `pageseal:${fileSystem.name}`;
    descriptor = mountFuse({ target: mountPoint, source, options: { ...options, flags: options.flags | readOnly } });
  } catch (error) {
    await fileSystem.close();
    throw error;
  }
  const negotiated = Promise.withResolvers<void>();
  const session = startSession({
    descriptor,
    vfs: fileSystem.vfs,
    log: log.child({ volume: fileSystem.name }),
    connectionId: 0n,
    trackRequests: false,
    onNegotiated: () => negotiated.resolve(),
  });
  try {
    unmountOnSignal(mountPoint);
    writeRecord(mountPoint);
    void negotiated.promise.then(() => {
      raiseReadAhead(mountPoint);
      log.info('mounted', { mountPoint, volume: fileSystem.name });
    });
    await session.stopped;
    await fileSystem.close();
    removeRecord(mountPoint);
  } catch (error) {
    writeRecord(mountPoint, FsError.from(error, 'last flush').message);
    throw error;
  } finally {
    closeSync(descriptor);
  }
}

function unmountOnSignal(mountPoint: string): void {
  for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.on(name, () => {
      unmountFuse(mountPoint, true).catch((error) => log.error('unmounting failed', { error: String(error) }));
    });
}
