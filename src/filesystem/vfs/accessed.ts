// atime: moved by opening a file to read it, by listing a directory and by reading a link, as the mount's policy says. What
// the kernel's caches answer is not seen here.
import { nowNs } from '../../base/clock.ts';
import { FsError } from '../../base/errors.ts';
import type { Ino } from '../../base/words.ts';
import { isAtimeDue } from '../meta/atime.ts';
import type { Attr } from '../meta/types.ts';
import type { Core } from './core.ts';

/** `attr`, when known, may spare the transaction. A failure is nobody's who only looks. */
export async function accessed(core: Core, ino: Ino, attr?: Attr): Promise<void> {
  const { atimeMode, readOnly, meta, log } = core;
  if (atimeMode === 'noatime' || readOnly) return;
  if (attr !== undefined && !isAtimeDue(attr, atimeMode, nowNs())) return;
  core.own.forget();
  try {
    await meta.accessed(ino, atimeMode);
  } catch (thrown) {
    log.debug('atime was not moved', { inode: ino, error: FsError.from(thrown, 'move atime').message });
  }
}
