// The volume behind descriptors that another keeper left: everything that came is checked against the others and the kernel.
import { fstatSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { z } from 'zod';
import { FsError, fail } from '../base/errors.ts';
import { native } from '../native/native.ts';
import { isVolume } from './bind.ts';
import type { Offer } from './holder-link.ts';
import { type MountEntry, topMount } from './mountinfo.ts';
import { type HandedRecord, RECORD_FORMAT } from './record.ts';
import { STATE_NAME, StateMemory } from './state.ts';

const POLLERR = 8;
const POLLHUP = 16;

const schema = z.object({
  format: z.literal(RECORD_FORMAT),
  volumeId: z.string(),
  device: z.string(),
  mountPoint: z.string(),
  uuid: z.string(),
  name: z.string(),
  keyId: z.string(),
  metaUrl: z.string(),
  directory: z.string(),
  readOnly: z.boolean(),
});

export interface Handed {
  readonly record: HandedRecord;
  readonly state: StateMemory;
  readonly fuse: number;
}

/**
 * The volume behind an offer, if its mount stands at `mountPoint` and everything belongs together. The descriptors stay the
 * caller's where it throws.
 */
export function handedBy(offer: Offer, mountPoint: string, entries: readonly MountEntry[]): Handed {
  const record = parse(offer);
  const [fuse = -1, stateFd = -1] = offer.fds;
  checkConnection(fuse, record);
  const state = stateOf(stateFd, offer);
  const top = topMount(mountPoint, [...entries]);
  if (record.mountPoint !== mountPoint || top === undefined || !isVolume(top) || top.device !== record.device)
    throw fail('failed-precondition', `it is not mounted at ${mountPoint} any more`);
  return { record, state, fuse };
}

function parse(offer: Offer): HandedRecord {
  let json: unknown;
  try {
    json = JSON.parse(offer.record);
  } catch (cause) {
    throw fail('bad-input', 'its record is no JSON', { cause });
  }
  const { format } = (json ?? {}) as { format?: unknown };
  if (typeof format === 'number' && format !== RECORD_FORMAT)
    throw fail('unsupported', `its record has format ${format}, wanted ${RECORD_FORMAT}`);
  const parsed = schema.safeParse(json);
  if (!parsed.success || parsed.data.volumeId !== offer.volumeId)
    throw fail('bad-input', 'its record is damaged or of another volume');
  return parsed.data;
}

/** The device number is the connection's as long as it lives: two connections never have the same one. */
function checkConnection(fuse: number, { device }: HandedRecord): void {
  const { rdev } = fstatSync(fuse);
  if (rdev !== statSync('/dev/fuse').rdev) throw fail('bad-input', 'its first descriptor is not /dev/fuse');
  if ((native.pollNow(fuse, 0) & (POLLERR | POLLHUP)) !== 0)
    throw fail('failed-precondition', 'it was unmounted: its connection is over');
  // Kernels from 6.15 on say which connection it is; its number is the minor of the device.
  const said = /^fuse_connection:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fuse}`, 'utf8'))?.[1];
  if (said !== undefined && device !== `0:${said}`)
    throw fail('bad-input', `its descriptor is of connection ${said}, and its record of device ${device}`);
}

function stateOf(fd: number, { connectionId }: Offer): StateMemory {
  // Another kind of file could make its reader wait, or change under it.
  if (!readlinkSync(`/proc/self/fd/${fd}`).startsWith(`/memfd:${STATE_NAME}`))
    throw fail('bad-input', 'its second descriptor is no state memory');
  try {
    const state = StateMemory.attach(fd);
    if (String(state.connectionId) !== connectionId) throw fail('bad-input', 'state memory: of another connection');
    if (state.negotiated === undefined) throw fail('failed-precondition', 'state memory: no worker has served it');
    return state;
  } catch (error) {
    throw fail('bad-input', FsError.from(error, 'state memory').message, { cause: error });
  }
}
