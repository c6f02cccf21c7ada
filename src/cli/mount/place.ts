// A mount point by its plain path. What is mounted there is never looked at: it may be dead, or not answer for ever.
import { readlinkSync, realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fail } from '../../base/errors.ts';

/** As the kernel has it. */
const MAX_LINKS = 40;

/** Without links, above it and at its end; throws what the file system says of a folder above it. */
export function placeOf(path: string): string {
  let place = resolve(path);
  for (let links = 0; links <= MAX_LINKS; links++) {
    place = join(realpathSync(dirname(place)), basename(place));
    const target = linkAt(place);
    if (target === undefined) return place;
    place = resolve(dirname(place), target);
  }
  throw fail('bad-input', `${path}: too many links`);
}

/** Undefined for what is no link; asking that does not reach the file system mounted there. */
function linkAt(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
