// A keeper's connection to one who holds descriptors for it. Says what is true now whenever there is room for it, so
// nothing queues up: what the holder has is compared with what is served.
import { FsError, fail } from '../base/errors.ts';
import { log } from '../base/log.ts';
import type { Packet } from '../native/native.ts';
import {
  FDS_OF_A_VOLUME,
  HAND_OVER_VERSION,
  type HolderSays,
  type KeeperSays,
  MAX_VOLUMES,
  parseHolderSays,
} from './hand-over-messages.ts';
import { closeAll, PacketSocket } from './packet-socket.ts';

export interface Offer {
  readonly volumeId: string;
  readonly connectionId: string;
  readonly record: string;
  /** Fuse, state. */
  readonly fds: readonly number[];
}

export interface LinkEvents {
  /** The descriptors are the receiver's. */
  offered(offer: Offer): void;
  changed(link: HolderLink): void;
  ended(link: HolderLink): void;
}

/** What a keeper would have its holders know. */
export interface Wanted {
  /** Volumes that this keeper has; `serving`: a worker of this keeper has answered. */
  readonly live: ReadonlyMap<string, Offer & { readonly serving: boolean }>;
  readonly lost: ReadonlyMap<string, string>;
}

export class HolderLink {
  readonly #socket: PacketSocket;
  readonly #events: LinkEvents;
  readonly #greeting: KeeperSays;
  #greeted = false;
  /** Volume to the connection of which it has descriptors. */
  readonly #has = new Map<string, string>();
  readonly #told = new Set<string>();
  #heard = false;
  #ready = false;

  constructor(fd: number, recoveryDeadlineMs: number, events: LinkEvents) {
    this.#events = events;
    this.#greeting = { kind: 'hello', version: HAND_OVER_VERSION, recoveryDeadlineMs };
    this.#socket = new PacketSocket(fd, {
      received: (packet) => this.#received(packet),
      writable: () => events.changed(this),
      closed: (why) => {
        log.info('holder of descriptors is gone', { why });
        events.ended(this);
      },
    });
  }

  /** It has offered all that it has. */
  get ready(): boolean {
    return this.#ready;
  }

  has(offer: Offer): boolean {
    return this.#has.get(offer.volumeId) === offer.connectionId;
  }

  close(): void {
    this.#socket.close();
  }

  greet(): void {
    this.#greeted ||= this.#socket.send(this.#greeting);
  }

  /** Before it is ready the holder gets our greeting only. */
  say(wanted: Wanted): void {
    this.greet();
    if (!this.#ready) return;
    const room =
      [...this.#has].every((one) => this.#release(one, wanted)) &&
      [...wanted.live.values()].every((volume) => !volume.serving || this.#vouch(volume));
    if (!room) return;
    for (const [volumeId, why] of wanted.lost)
      this.#tell(`lost ${volumeId}`, { kind: 'lost', volumeId, why: why.slice(0, 200) });
  }

  #release([volumeId, connectionId]: readonly [string, string], { live }: Wanted): boolean {
    if (live.get(volumeId)?.connectionId === connectionId) return true;
    const sent = this.#socket.send({ kind: 'release', volumeId, connectionId } satisfies KeeperSays);
    if (sent) this.#has.delete(volumeId);
    return sent;
  }

  #vouch(volume: Offer): boolean {
    const { volumeId, connectionId, record, fds } = volume;
    const key = `serving ${volumeId} ${connectionId}`;
    if (this.has(volume)) return this.#tell(key, { kind: 'serving', volumeId, connectionId });
    const sent = this.#socket.send({ kind: 'hold', volumeId, connectionId, record } satisfies KeeperSays, fds);
    if (!sent) return false;
    this.#has.set(volumeId, connectionId);
    this.#told.add(key); // to be told to hold it is to be told that it is served
    return true;
  }

  /** Once. */
  #tell(key: string, message: KeeperSays): boolean {
    if (this.#told.has(key)) return true;
    const sent = this.#socket.send(message);
    if (sent) this.#told.add(key);
    return sent;
  }

  #received({ data, fds }: Packet): void {
    let message: HolderSays | undefined;
    try {
      message = parseHolderSays(data);
      if (message !== undefined) this.#check(message, fds);
    } catch (error) {
      closeAll(fds);
      log.error('holder of descriptors is not understood', { error: FsError.from(error).message });
      throw error;
    }
    if (message?.kind !== 'offer') closeAll(fds);
    if (message !== undefined) this.#take(message, fds);
  }

  #check(message: HolderSays, fds: readonly number[]): void {
    if (message.kind === 'hello' && message.version !== HAND_OVER_VERSION)
      throw fail('unsupported', `hand-over: version ${HAND_OVER_VERSION} wanted, ${message.version} found`);
    if (message.kind !== 'hello' && !this.#heard) throw fail('bad-input', `hand-over: ${message.kind} before hello`);
    const wanted = message.kind === 'offer' ? FDS_OF_A_VOLUME : 0;
    if (fds.length !== wanted)
      throw fail('bad-input', `hand-over: ${message.kind} with ${fds.length} descriptors, ${wanted} wanted`);
    if (message.kind === 'offer' && (this.#ready || this.#has.size >= MAX_VOLUMES))
      throw fail('bad-input', `hand-over: offer number ${this.#has.size + 1}, or one too late`);
  }

  #take(message: HolderSays, fds: readonly number[]): void {
    if (message.kind === 'hello') this.#heard = true;
    else if (message.kind === 'offer') {
      const { volumeId, connectionId, record } = message;
      this.#has.set(volumeId, connectionId);
      this.#events.offered({ volumeId, connectionId, record, fds });
    } else if (message.kind === 'offered') {
      this.#ready = true;
      log.info('holder of descriptors is there', { offers: this.#has.size });
    } else if (this.#has.get(message.volumeId) === message.connectionId) {
      this.#has.delete(message.volumeId);
      this.#told.delete(`serving ${message.volumeId} ${message.connectionId}`);
    }
    this.#events.changed(this);
  }
}
