// Holds descriptors for the node's keeper, which may die at any time, and gives them back to the next one: while somebody
// holds them, callers on a mount wait and do not fail. Needs no rights and looks at nothing that it holds. When no keeper
// serves a volume in time, it closes them: the kernel then answers ENOTCONN to callers, whom nobody could even kill.
import { FsError, fail } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { gauge } from '../base/metrics.ts';
import { pauseMs } from '../base/retry.ts';
import { native, type Packet } from '../native/native.ts';
import {
  FDS_OF_A_VOLUME,
  HAND_OVER_VERSION,
  type HolderSays,
  type KeeperSays,
  MAX_VOLUMES,
  parseKeeperSays,
} from './hand-over-messages.ts';
import { closeAll, PacketSocket } from './packet-socket.ts';

/** A keeper that ends within its first moments must not be asked a thousand times. */
const RECONNECT = { attempts: 0, baseMs: 50, capMs: 1000, when: () => true };
/** Until a keeper names another. */
const RECOVERY_DEADLINE_MS = 120_000;

export interface HolderOptions {
  readonly socket: string;
  /** No keeper serves the volume any more: the pods that use it have to be made anew. Said once per volume and loss. */
  readonly lost?: (volumeId: string, why: string) => void;
}

interface Kept {
  readonly volumeId: string;
  readonly connectionId: string;
  readonly record: string;
  readonly fds: readonly number[];
  /** Runs while no keeper serves it. */
  deadline: NodeJS.Timeout | undefined;
}

export class DescriptorHolder {
  readonly #options: HolderOptions;
  readonly #kept = new Map<string, Kept>();
  readonly #lost = new Set<string>();
  #link: PacketSocket | undefined;
  #greeted = false;
  /** Still to be said to the keeper of this connection. */
  #toSay: (() => readonly [HolderSays, readonly number[]] | undefined)[] = [];
  #retry: NodeJS.Timeout | undefined;
  #tries = 0;
  #deadlineMs = RECOVERY_DEADLINE_MS;
  #closed = false;
  #problem = '';

  constructor(options: HolderOptions) {
    this.#options = options;
    gauge('pageseal_held_volumes', 'Volumes whose descriptors are held for the keeper', () => this.#kept.size);
    this.#connect();
  }

  get held(): number {
    return this.#kept.size;
  }

  /** Lets go of everything. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#link?.close();
    for (const kept of [...this.#kept.values()]) this.#forget(kept);
  }

  #connect(): void {
    this.#greeted = false;
    try {
      this.#link = new PacketSocket(native.connectPackets(this.#options.socket), {
        received: (packet) => this.#received(packet),
        writable: () => this.#say(),
        closed: (why) => this.#disconnected(why),
      });
    } catch (error) {
      this.#later(FsError.from(error).message);
      return;
    }
    this.#toSay = [() => [{ kind: 'hello', version: HAND_OVER_VERSION }, []]];
    this.#say();
  }

  #later(why: string): void {
    if (this.#tries++ === 0) log.debug('no keeper takes descriptors over', { why });
    this.#retry = setTimeout(() => this.#connect(), pauseMs(RECONNECT, Math.min(this.#tries, 16)));
  }

  #disconnected(why: string): void {
    this.#link = undefined;
    if (this.#closed) return;
    if (this.#greeted) log.info('keeper is gone: its descriptors are held for the next one', { held: this.held, why });
    for (const kept of this.#kept.values()) kept.deadline ??= this.#startDeadline(kept);
    this.#later(why);
  }

  #startDeadline(kept: Kept): NodeJS.Timeout {
    return setTimeout(() => {
      const why = `no keeper served it for ${this.#deadlineMs / 1000} seconds`;
      log.error('descriptors are closed: the mounts of the volume answer ENOTCONN', { volume: kept.volumeId, why });
      this.#drop(kept);
      this.#noteLost(kept.volumeId, why);
    }, this.#deadlineMs);
  }

  #say(): void {
    for (;;) {
      const [next] = this.#toSay;
      if (next === undefined || this.#link === undefined) return;
      const message = next();
      if (message !== undefined && !this.#link.send(...message)) return;
      this.#toSay.shift();
    }
  }

  #received(packet: Packet): void {
    const { data, fds } = packet;
    let message: KeeperSays | undefined;
    try {
      message = parseKeeperSays(data);
      if (message?.kind === 'hold' && fds.length !== FDS_OF_A_VOLUME)
        throw fail('bad-input', `hand-over: ${fds.length} descriptors, ${FDS_OF_A_VOLUME} wanted`);
      if (message?.kind === 'hello' && message.version !== HAND_OVER_VERSION)
        throw fail('unsupported', `hand-over: version ${HAND_OVER_VERSION} wanted, ${message.version} found`);
    } catch (error) {
      closeAll(fds);
      const problem = FsError.from(error).message;
      // It is asked again every second.
      if (problem !== this.#problem) log.error('keeper is not understood', { error: problem });
      this.#problem = problem;
      throw error;
    }
    if (message?.kind !== 'hold') closeAll(fds);
    if (message !== undefined) this.#take(message, fds);
  }

  #take(message: KeeperSays, fds: readonly number[]): void {
    if (message.kind === 'hello') this.#greet(message.recoveryDeadlineMs);
    else if (message.kind === 'hold') this.#hold(message, fds);
    else if (message.kind === 'lost') this.#noteLost(message.volumeId, message.why);
    else {
      const kept = this.#kept.get(message.volumeId);
      if (kept?.connectionId !== message.connectionId) return;
      if (message.kind === 'release') this.#forget(kept);
      else this.#served(kept);
    }
  }

  #greet(recoveryDeadlineMs: number): void {
    if (this.#greeted) return;
    this.#greeted = true;
    this.#tries = 0;
    this.#deadlineMs = recoveryDeadlineMs;
    if (this.held > 0) log.info('keeper is back: descriptors are given to it', { held: this.held });
    for (const { volumeId, connectionId, record, fds } of this.#kept.values())
      this.#toSay.push(() =>
        // Closed while there was no room to say it.
        this.#kept.get(volumeId)?.connectionId === connectionId
          ? [{ kind: 'offer', volumeId, connectionId, record }, fds]
          : undefined,
      );
    this.#toSay.push(() => [{ kind: 'offered' }, []]);
    this.#say();
  }

  #hold(offer: Omit<Kept, 'fds' | 'deadline'>, fds: readonly number[]): void {
    const { volumeId, connectionId, record } = offer;
    const old = this.#kept.get(volumeId);
    if (old !== undefined) this.#forget(old);
    const kept: Kept = { volumeId, connectionId, record, fds, deadline: undefined };
    this.#kept.set(volumeId, kept);
    this.#lost.delete(volumeId);
    if (this.#kept.size <= MAX_VOLUMES) return;
    log.error('more volumes than can be held', { held: this.held, most: MAX_VOLUMES });
    this.#drop(kept);
  }

  #served(kept: Kept): void {
    clearTimeout(kept.deadline);
    kept.deadline = undefined;
    this.#lost.delete(kept.volumeId);
  }

  #drop(kept: Kept): void {
    this.#forget(kept);
    const { volumeId, connectionId } = kept;
    if (this.#link === undefined || !this.#greeted) return;
    this.#toSay.push(() => [{ kind: 'dropped', volumeId, connectionId }, []]);
    this.#say();
  }

  #forget(kept: Kept): void {
    clearTimeout(kept.deadline);
    if (this.#kept.get(kept.volumeId) === kept) this.#kept.delete(kept.volumeId);
    closeAll(kept.fds);
  }

  #noteLost(volumeId: string, why: string): void {
    if (this.#lost.has(volumeId)) return;
    this.#lost.add(volumeId);
    log.error('volume is lost on this node: the pods that use it have to be made anew', { volume: volumeId, why });
    this.#options.lost?.(volumeId, why);
  }
}
