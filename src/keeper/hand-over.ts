// Where a keeper leaves the descriptors of its volumes, so that the next keeper goes on behind the same mounts: a socket
// that holders connect to. They bring what they kept for the last keeper, and get what this one serves.
import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { FsError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { native, type Watcher } from '../native/native.ts';
import { HolderLink, type LinkEvents, type Offer } from './holder-link.ts';
import { closeAll } from './packet-socket.ts';

/** One node plugin, and one more while it is replaced. */
const MAX_HOLDERS = 4;
const BACKLOG = 8;
/** A holder looks for a keeper about every second, on a machine that may just be starting everything. */
const HOLDER_WAIT_MS = 15_000;
/** A holder came and lacks something: the one that it replaced may have it. */
const SECOND_HOLDER_WAIT_MS = 2000;
/** At the end, when nobody holds everything at this moment. */
const LEAVE_WAIT_MS = 5000;
const POLL_MS = 20;
const READABLE = 1;

export interface HandOverOptions {
  readonly socket: string;
  readonly recoveryDeadlineMs: number;
}

export class HandOver {
  readonly #options: HandOverOptions;
  readonly #fd: number;
  readonly #watcher: Watcher;
  readonly #links = new Set<HolderLink>();
  readonly #live = new Map<string, Offer & { serving: boolean }>();
  readonly #lost = new Map<string, string>();
  #closed = false;
  /** undefined once it is settled what is adopted. */
  #offers: Offer[] | undefined = [];

  /** The caller has the run directory to itself. */
  constructor(options: HandOverOptions) {
    this.#options = options;
    rmSync(options.socket, { force: true });
    const umask = process.umask(0o177);
    try {
      this.#fd = native.listenPackets(options.socket, BACKLOG);
    } finally {
      process.umask(umask);
    }
    this.#watcher = native.watchDescriptor(this.#fd, () => this.#accept());
    native.watchFor(this.#watcher, READABLE);
  }

  /**
   * Waits for holders until `complete` says that nothing is missing, or nobody brings it. The descriptors are the caller's;
   * `settle` has to follow.
   */
  async gather(complete: (offers: readonly Offer[]) => boolean, signal: AbortSignal): Promise<readonly Offer[]> {
    const deadline = Date.now() + HOLDER_WAIT_MS;
    let readySince: number | undefined;
    while (!signal.aborted && Date.now() < deadline) {
      const links = [...this.#links];
      const allReady = links.length > 0 && links.every((link) => link.ready);
      if (complete(this.#offers ?? [])) break;
      readySince = allReady ? (readySince ?? Date.now()) : undefined;
      if (readySince !== undefined && Date.now() - readySince >= SECOND_HOLDER_WAIT_MS) break;
      await sleep(POLL_MS);
    }
    return this.#offers ?? [];
  }

  /** What was offered and is not added by now is given up. */
  settle(): void {
    this.#offers = undefined;
    this.#sayAll();
  }

  /** `serving`: a worker of this keeper answers; only then do holders get what they do not have. */
  add(volume: Offer, serving: boolean): void {
    this.#live.set(volume.volumeId, { ...volume, serving });
    this.#sayAll();
  }

  serving(volumeId: string): void {
    const volume = this.#live.get(volumeId);
    if (volume === undefined || volume.serving) return;
    volume.serving = true;
    this.#sayAll();
  }

  remove(volumeId: string): void {
    if (this.#live.delete(volumeId)) this.#sayAll();
  }

  /** No keeper serves it any more, and mounts of it still stand. */
  lost(volumeId: string, why: string): void {
    this.#lost.set(volumeId, why);
    this.#sayAll();
  }

  found(volumeId: string): void {
    this.#lost.delete(volumeId);
  }

  /** Volumes that nobody holds: they end with this process. Waits a moment for a holder. */
  async unheld(): Promise<string[]> {
    const deadline = Date.now() + LEAVE_WAIT_MS;
    for (;;) {
      const unheld = [...this.#live.values()].filter((volume) => ![...this.#links].some((link) => link.has(volume)));
      if (unheld.length === 0 || Date.now() >= deadline) return unheld.map(({ volumeId }) => volumeId);
      await sleep(POLL_MS);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    native.watchEnd(this.#watcher);
    closeAll([this.#fd]);
    rmSync(this.#options.socket, { force: true });
    for (const link of this.#links) link.close();
    this.#links.clear();
  }

  #sayAll(): void {
    for (const link of this.#links) this.#say(link);
  }

  #say(link: HolderLink): void {
    if (this.#offers === undefined) link.say({ live: this.#live, lost: this.#lost });
    else link.greet();
  }

  readonly #events: LinkEvents = {
    offered: (offer) => {
      const known = this.#offers?.some(
        (other) => other.volumeId === offer.volumeId && other.connectionId === offer.connectionId,
      );
      // Settled: what is served we have ourselves; everything else is over, and the holder is told so.
      if (this.#offers === undefined || known === true) closeAll(offer.fds);
      else this.#offers.push(offer);
    },
    changed: (link) => this.#say(link),
    ended: (link) => this.#links.delete(link),
  };

  #accept(): void {
    try {
      const fd = native.acceptPackets(this.#fd);
      if (this.#links.size >= MAX_HOLDERS) {
        log.warn('holder of descriptors is turned away: there are enough', { holders: this.#links.size });
        closeAll([fd]);
        return;
      }
      const link = new HolderLink(fd, this.#options.recoveryDeadlineMs, this.#events);
      this.#links.add(link);
      this.#say(link);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return;
      log.warn('holder of descriptors could not connect', { error: FsError.from(error).message });
    }
  }
}
