// Opens /dev/fuse and mounts it, without libfuse; unmounts. Needs CAP_SYS_ADMIN. Serves nothing: the first request waits
// on the descriptor until a session reads it.
import { closeSync, constants, openSync, readFileSync, writeFileSync } from 'node:fs';
import { FsError, fail } from '../base/errors.ts';
import { native } from '../native/native.ts';
import type { MountOptions } from './mount-options.ts';
import { MAX_WRITE } from './negotiate.ts';

/** mountinfo's type is `fuse.pageseal`. */
const SUBTYPE = 'pageseal';
const DETACH = 2;
const NOFOLLOW = 8;
/** The kernel reads ahead 128 KiB unless told otherwise; a request's full size serves sequential readers better. */
const READ_AHEAD_KIB = MAX_WRITE / 1024;

export interface MountRequest {
  /** An existing directory. */
  readonly target: string;
  /** Shown as the mount's source; commas and the like are the kernel's to escape. */
  readonly source: string;
  readonly options: MountOptions;
  /** Owner of the mount, for whom it is when allow_other is not given; default: this process. */
  readonly uid?: number;
  readonly gid?: number;
}

/** Answers the descriptor, close-on-exec. */
export function mountFuse(request: MountRequest): number {
  const { target, source, options } = request;
  const descriptor = openDevice();
  const uid = request.uid ?? process.getuid?.() ?? 0;
  const gid = request.gid ?? process.getgid?.() ?? 0;
  const data = [
    `fd=${descriptor}`,
    'rootmode=40000',
    `user_id=${uid}`,
    `group_id=${gid}`,
    'default_permissions',
    `max_read=${MAX_WRITE}`,
    ...(options.allowOther ? ['allow_other'] : []),
    ...options.contexts,
  ];
  try {
    native.mount(options.source ?? source, target, `fuse.${SUBTYPE}`, options.flags, data.join(','));
    return descriptor;
  } catch (thrown) {
    closeSync(descriptor);
    throw explained(thrown, `mount at ${target}`);
  }
}

function openDevice(): number {
  try {
    return openSync('/dev/fuse', constants.O_RDWR);
  } catch (thrown) {
    throw fail('failed-precondition', 'open /dev/fuse', { cause: thrown, hint: 'is the fuse module loaded?' });
  }
}

function explained(thrown: unknown, attempted: string): FsError {
  const error = FsError.from(thrown, attempted);
  if (error.code !== 'EPERM') return error;
  return fail('EPERM', error.message, { cause: thrown, hint: 'mounting needs root (CAP_SYS_ADMIN)' });
}

/**
 * Lets the kernel read ahead as much as one request carries; after the session's negotiation, which lowers it. Best
 * effort: containers may have /sys read-only. Looks at mountinfo, since a stat of the mount would wait for its server.
 */
export function raiseReadAhead(target: string): boolean {
  try {
    const path = `/sys/class/bdi/${deviceOf(target)}/read_ahead_kb`;
    if (Number(readFileSync(path, 'utf8')) < READ_AHEAD_KIB) writeFileSync(path, String(READ_AHEAD_KIB));
    return true;
  } catch {
    return false;
  }
}

/** major:minor of what is mounted there last. */
function deviceOf(target: string): string | undefined {
  const escaped = target.replace(/[ \t\n\\]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`);
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const found = mounts.map((line) => line.split(' ')).findLast((fields) => fields[4] === escaped);
  return found?.[2];
}

/**
 * Unmounts, on a pool thread: the kernel may have dirty pages to write back first, through the very process that asks.
 * `lazily`: the name goes at once, the rest when the last user has gone. Not mounted: EINVAL.
 */
export async function unmountFuse(target: string, lazily = false): Promise<void> {
  try {
    await native.umountAsync(target, NOFOLLOW | (lazily ? DETACH : 0));
  } catch (thrown) {
    throw FsError.from(thrown, `unmount ${target}`);
  }
}
