// A server for the tests of taking over, in a process of its own: descriptor 3 is /dev/fuse, `directory` holds the files,
// `state` is what a predecessor negotiated, or ''. Prints 'ready' and what it negotiates; runs until it is killed.
import { openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { InFlightLog } from '../../src/fuse/inflight.ts';
import type { NegotiatedState } from '../../src/fuse/negotiate.ts';
import { startSession } from '../../src/fuse/session.ts';
import { DiskVfs } from './disk-vfs.ts';
import { quiet } from './mounted.ts';

const DESCRIPTOR = 3;
const SLOTS = 256;

/** Ids in a file: eight bytes each, zero when free. */
function inflightIn(path: string): InFlightLog {
  const fd = openSync(path, 'r+');
  const slots = Buffer.alloc(SLOTS * 8);
  readSync(fd, slots, 0, slots.length, 0);
  const ids = Array.from({ length: SLOTS }, (_, i) => slots.readBigUInt64LE(i * 8));
  const left = ids.filter((id) => id !== 0n);
  const put = (from: bigint, to: bigint): void => {
    const slot = ids.indexOf(from);
    if (slot < 0) throw new Error('no slot');
    ids[slot] = to;
    const one = Buffer.alloc(8);
    one.writeBigUInt64LE(to);
    writeSync(fd, one, 0, 8, slot * 8);
  };
  return { note: (id) => put(0n, id), clear: (id) => put(id, 0n), inherited: () => left };
}

const [directory = '', state = '', resend = ''] = process.argv.slice(2);
const withoutResend = resend === 'without-resend';
const predecessor: NegotiatedState | undefined = state === '' ? undefined : (JSON.parse(state) as NegotiatedState);
const session = startSession({
  descriptor: DESCRIPTOR,
  vfs: new DiskVfs(directory),
  log: quiet([]),
  connectionId: 1n,
  trackRequests: true,
  withoutResend,
  onNegotiated: (negotiated) => console.log(JSON.stringify(negotiated)),
  ...(predecessor === undefined ? {} : { predecessor }),
  ...(withoutResend ? { inflight: inflightIn(join(directory, 'inflight')) } : {}),
});
console.log('ready');
await session.stopped;
