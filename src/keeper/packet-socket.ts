// One end of a connection that carries packets with descriptors (SOCK_SEQPACKET). Only root's processes are spoken to.
// Nothing is queued here: who cannot send now is called when there is room, and sends what is true then.
import { closeSync } from 'node:fs';
import { FsError, fail } from '../base/errors.ts';
import { native, type Packet, type Watcher } from '../native/native.ts';

/** Far above any message, far below what a socket takes at once. */
export const MAX_PACKET = 16 * 1024;
const READABLE = 1;
const WRITABLE = 2;
const EAGAIN = 11;
const ETOOMANYREFS = 109;
/** Packets taken before the loop's other work gets its turn. */
const TURN = 64;
/** The kernel does not say when fewer descriptors are on their way. */
const CROWDED_MS = 50;

export interface PacketEvents {
  /** The descriptors are the receiver's from now on. What it throws ends the connection. */
  received(packet: Packet): void;
  /** After `send` answered false. */
  writable(): void;
  /** Once, when the other side is gone or broken; not after `close`. */
  closed(why: string): void;
}

export class PacketSocket {
  readonly #fd: number;
  readonly #events: PacketEvents;
  readonly #watcher: Watcher;
  #open = true;

  /** The descriptor becomes the socket's. Throws `permission-denied` where the other side is not root's. */
  constructor(fd: number, events: PacketEvents) {
    this.#fd = fd;
    this.#events = events;
    try {
      refuseStranger(fd);
      this.#watcher = native.watchDescriptor(fd, (ready) => this.#ready(ready));
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    native.watchFor(this.#watcher, READABLE);
  }

  /** False: no room now. A connection that is broken takes everything, and says so as `closed`. */
  send(message: object, fds: readonly number[] = []): boolean {
    if (!this.#open) return true;
    const data = Buffer.from(JSON.stringify(message));
    if (data.length > MAX_PACKET) throw fail('internal', `hand-over: a message of ${data.length} bytes`);
    const errno = native.sendPacket(this.#fd, data, fds);
    if (errno === ETOOMANYREFS) setTimeout(() => this.#open && this.#events.writable(), CROWDED_MS);
    else if (errno === EAGAIN) native.watchFor(this.#watcher, READABLE | WRITABLE);
    // Else it is gone: what it said before is still to be read, and then the end.
    return errno !== EAGAIN && errno !== ETOOMANYREFS;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    native.watchEnd(this.#watcher);
    closeSync(this.#fd);
  }

  #ready(events: number): void {
    try {
      if ((events & WRITABLE) !== 0) {
        native.watchFor(this.#watcher, READABLE);
        this.#events.writable();
      }
      for (let i = 0; i < TURN && this.#open; i++) {
        const packet = native.receivePacket(this.#fd, MAX_PACKET);
        if (packet === undefined) return;
        if (packet.data.length === 0) {
          closeAll(packet.fds);
          this.#end('the other side ended');
        } else this.#events.received(whole(packet));
      }
    } catch (error) {
      this.#end(FsError.from(error).message);
    }
  }

  #end(why: string): void {
    if (!this.#open) return;
    this.close();
    this.#events.closed(why);
  }
}

export function closeAll(fds: readonly number[]): void {
  for (const fd of fds) closeSync(fd);
}

function whole(packet: Packet): Packet {
  if (!packet.truncated) return packet;
  closeAll(packet.fds);
  throw fail('bad-input', `hand-over: a packet of more than ${MAX_PACKET} bytes or with too many descriptors`);
}

function refuseStranger(fd: number): void {
  const { uid, pid } = native.peerOf(fd);
  if (uid !== 0) throw fail('permission-denied', `hand-over: process ${pid} of user ${uid} is not root's`);
}
