// After a takeover: lets go of unlinked files that the kernel no longer knows. A predecessor may have died between hearing
// that the kernel forgot one and acting on it, and files that expire from the trash were perhaps never known to it.
import type { Ino } from '../../base/words.ts';
import type { FileSystem } from '../../filesystem/options.ts';
import type { FuseSession } from '../../fuse/session.ts';

/** There are few such files, and only their space waits. */
const PERIOD_MS = 600_000;

type Kernel = Pick<FuseSession, 'notifyInode'>;

export async function letGoOfKept(
  fileSystem: Pick<FileSystem, 'vfs' | 'keptForOthers'>,
  kernel: Kernel,
): Promise<void> {
  // A negative offset: its pages are left alone. What has no name cannot become known again.
  const unknown = async (ino: Ino): Promise<boolean> => !(await kernel.notifyInode(ino, -1, 0));
  for (const ino of fileSystem.keptForOthers()) if (await unknown(ino)) fileSystem.vfs.forget(ino, 0n);
}

/** Now and then, for as long as the process lives; never rejects. */
export function watchKept(fileSystem: FileSystem, kernel: Kernel): void {
  const look = (): void => {
    letGoOfKept(fileSystem, kernel)
      .catch(() => undefined) // the connection is gone, and the session says so
      .finally(() => setTimeout(look, PERIOD_MS).unref());
  };
  look();
}
