// One mounted volume: its /dev/fuse descriptor, its mount, its supervisor and its state memory. Made by open(), ended by
// close(); where it is bound is the keeper's affair.

import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { wipe } from '../base/bytes.ts';
import { FsError, fail } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { withoutSecrets } from '../base/meta-url-text.ts';
import { KiB } from '../base/units.ts';
import { native } from '../native/native.ts';
import { isVolume, MOUNT_TYPE, removeMount } from './bind.ts';
import type { MountShape } from './control.ts';
import type { Handed } from './handed.ts';
import { type Handoff, packHandoff } from './handoff.ts';
import type { Offer } from './holder-link.ts';
import { MetricsSocket } from './metrics-socket.ts';
import { topMount } from './mountinfo.ts';
import { packRecord } from './record.ts';
import { StateMemory } from './state.ts';
import { type Health, type Opened, Supervisor } from './supervisor.ts';
import type { Owner, Program } from './worker-process.ts';

const MS_RDONLY = 1;
/** What a worker's options may set: ro nosuid nodev noexec sync dirsync noatime nodiratime relatime strictatime. */
const ALLOWED_FLAGS = 0x9f | 1024 | 2048 | (1 << 21) | (1 << 24);
/** Largest request (the session negotiates the same). */
const MAX_READ = 1024 * KiB;
const AT_FDCWD = -100;
const O_DIRECTORY = 0o200000;
const O_CLOEXEC = 0o2000000;
/** Together with the supervisor's, below the plugin's deadline for a call. */
const SYNC_DEADLINE_MS = 30_000;
/** Mounts over each other in the keeper's own folder: one is the rule, more were left by somebody's interference. */
const MOST_STACKED = 4;

export interface ServedOptions {
  readonly id: string;
  readonly program: Program;
  readonly owner: Owner | undefined;
  /** Where the one superblock is mounted; made when it does not exist. */
  readonly mountPoint: string;
  /** Serving ended without our doing. */
  readonly over?: (health: 'ended' | 'lost') => void;
  /** Each time that a worker has begun to answer. */
  readonly serving?: () => void;
  /** Its descriptors are closed and its key is wiped: nobody can go on with it. */
  readonly released?: () => void;
  readonly recoveryDeadlineMs?: number;
  /** Tests shorten it: how long the last flush may take, before unmounting and once more in the worker's own end. */
  readonly endDeadlineMs?: number;
  readonly hangDeadlineMs?: number;
  /** Where whoever may asks for its counters. */
  readonly metricsSocket: string;
}

export interface VolumeOptions extends ServedOptions {
  /** Its secrets are wiped when they are packed. */
  readonly handoff: Handoff;
}

type Identity = Pick<Opened, 'uuid' | 'name' | 'keyId'>;

/** What a volume is made of, whoever made it. */
interface Parts {
  readonly state: StateMemory;
  readonly fuse: number;
  readonly readOnly: boolean;
  readonly directory: string;
  readonly metaUrl: string;
}

export class Volume {
  readonly id: string;
  readonly mountPoint: string;
  readonly readOnly: boolean;
  readonly directory: string;
  /** Without a password. */
  readonly metaUrl: string;
  readonly #state: StateMemory;
  readonly #supervisor: Supervisor;
  readonly #syncDeadlineMs: number;
  #fuse: number | undefined;
  #identity: Identity | undefined;
  #device = '';
  #metrics: MetricsSocket | undefined;

  readonly #released: (() => void) | undefined;

  private constructor(options: ServedOptions, parts: Parts) {
    this.id = options.id;
    this.mountPoint = options.mountPoint;
    this.readOnly = parts.readOnly;
    this.directory = parts.directory;
    this.metaUrl = parts.metaUrl;
    this.#syncDeadlineMs = options.endDeadlineMs ?? SYNC_DEADLINE_MS;
    this.#state = parts.state;
    this.#fuse = parts.fuse;
    this.#released = options.released;
    this.#supervisor = new Supervisor({
      program: options.program,
      owner: options.owner,
      state: this.#state,
      fuse: this.#fuse,
      volumeId: options.id,
      over: (health) => {
        // The last descriptor of the connection goes: the kernel answers ENOTCONN to all who wait.
        this.#release();
        options.over?.(health);
      },
      serving: options.serving,
      ...(options.recoveryDeadlineMs !== undefined && { recoveryDeadlineMs: options.recoveryDeadlineMs }),
      ...(options.endDeadlineMs !== undefined && { stopDeadlineMs: options.endDeadlineMs }),
      ...(options.hangDeadlineMs !== undefined && { hangDeadlineMs: options.hangDeadlineMs }),
    });
  }

  /** The worker opens the file system first, so that a wrong passphrase never shows a mount. */
  static async open(options: VolumeOptions): Promise<Volume> {
    const volume = new Volume(options, partsOf(options.handoff));
    try {
      const opened = await volume.#supervisor.open();
      volume.#identity = opened;
      volume.#mount(opened.mount, opened.name);
      await volume.#supervisor.serve();
      volume.#offerMetrics(options);
      volume.#raiseReadAhead();
      return volume;
    } catch (error) {
      await volume
        .close({ detach: true })
        .catch((second) => log.error('cleaning up failed', { error: String(second) }));
      throw error;
    }
  }

  /** Goes on behind the mount of a keeper that is gone; its first worker comes up later. The descriptors become ours. */
  static adopt(options: ServedOptions, { record, state, fuse }: Handed): Volume {
    const volume = new Volume(options, { ...record, state, fuse });
    volume.#identity = record;
    volume.#device = record.device;
    volume.#offerMetrics(options);
    volume.#supervisor.adopt();
    return volume;
  }

  /** For who keeps it when this process ends. */
  handed(): Offer {
    const { id: volumeId, uuid, name, keyId, metaUrl, directory, readOnly, mountPoint, device } = this;
    if (this.#fuse === undefined) throw fail('internal', `handing over ${volumeId}: it is closed`);
    return {
      volumeId,
      connectionId: String(this.#state.connectionId),
      record: packRecord({ volumeId, device, mountPoint, uuid, name, keyId, metaUrl, directory, readOnly }),
      fds: [this.#fuse, this.#state.fd],
    };
  }

  get uuid(): string {
    return this.#identity?.uuid ?? '';
  }
  get name(): string {
    return this.#identity?.name ?? '';
  }
  get keyId(): string {
    return this.#identity?.keyId ?? '';
  }
  /** major:minor; '' before it is mounted. */
  get device(): string {
    return this.#device;
  }
  get health(): Health {
    return this.#supervisor.health;
  }
  get pid(): number {
    return this.#supervisor.pid;
  }
  get restarts(): number {
    return this.#supervisor.restarts;
  }
  /** What could not be written out at the end. */
  get flushError(): string | undefined {
    return this.#supervisor.flushError;
  }

  /**
   * Unmounts, ends the worker after its last flush, forgets the key. Whoever still holds the mount elsewhere (another
   * mount namespace) gets ENOTCONN: the last descriptor of the connection is closed. `detach`: also when in use.
   */
  async close(options: { readonly detach: boolean }): Promise<void> {
    if (this.#device !== '' && topMount(this.mountPoint)?.device === this.#device) {
      const synced = await this.#syncfs().catch((error: unknown) => {
        if (!options.detach) throw error;
        log.error('the last flush failed', { volume: this.id, error: FsError.from(error).message });
        return true;
      });
      if (!synced) log.error('worker does not answer: what it has not written yet may be lost', { volume: this.id });
      await removeMount(this.mountPoint, this.mountPoint, options.detach || !synced);
    }
    this.#metrics?.close();
    await this.#supervisor.stop(false);
    this.#release();
    // The folder is the keeper's own: a file system of ours still mounted there is this volume's, and dead now.
    for (let layer = 0; layer < MOST_STACKED; layer++) {
      const top = topMount(this.mountPoint);
      if (top === undefined || !isVolume(top)) break;
      await removeMount(this.mountPoint, this.mountPoint, true);
    }
  }

  /** Ends the worker after a flush and leaves mount, descriptors and key to the next keeper; callers wait meanwhile. */
  async leave(): Promise<void> {
    this.#metrics?.close();
    // The descriptors stay open until this process ends: until then a holder may come and want them.
    await this.#supervisor.stop(true);
  }

  /** False: not in time. The waiting call ends when the connection does. */
  async #syncfs(): Promise<boolean> {
    if (this.health !== 'serving') return true; // it would wait for ever
    const late = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => late.resolve(false), this.#syncDeadlineMs);
    const synced = syncMount(this.mountPoint).then(() => true);
    synced.catch(() => undefined); // may fail when nobody waits any more
    try {
      return await Promise.race([synced, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  #mount(shape: MountShape, name: string): void {
    checkShape(shape);
    const flags = (shape.flags & ALLOWED_FLAGS) | (this.readOnly ? MS_RDONLY : 0);
    const data = [
      `fd=${this.#fuse},rootmode=40000,user_id=${process.getuid?.() ?? 0},group_id=${process.getgid?.() ?? 0}`,
      `default_permissions,max_read=${MAX_READ}`,
      ...(shape.allowOther ? ['allow_other'] : []),
      ...shape.contexts,
    ];
    try {
      mkdirSync(this.mountPoint, { recursive: true, mode: 0o700 });
      native.mount(shape.source ?? `pageseal:${name}`, this.mountPoint, MOUNT_TYPE, flags, data.join(','));
    } catch (error) {
      throw FsError.from(error, `mounting at ${this.mountPoint}`);
    }
    this.#device = topMount(this.mountPoint)?.device ?? '';
  }

  #offerMetrics({ metricsSocket }: ServedOptions): void {
    this.#metrics = new MetricsSocket(metricsSocket, () => this.#supervisor.metrics());
  }

  /** One request's worth; the kernel's own 128 KiB cost sequential readers. Containers may have /sys read-only. */
  #raiseReadAhead(): void {
    try {
      writeFileSync(`/sys/class/bdi/${this.#device}/read_ahead_kb`, String(MAX_READ / 1024));
    } catch (error) {
      log.debug('read-ahead stays as it is', { volume: this.id, error: String(error) });
    }
  }

  #release(): void {
    if (this.#fuse === undefined) return;
    closeSync(this.#fuse);
    this.#fuse = undefined;
    this.#state.wipe();
    closeSync(this.#state.fd);
    this.#released?.();
  }
}

/** A worker has less rights than who mounts for it: it may not add options of the kernel's. */
function checkShape({ contexts, source }: MountShape): void {
  const isContext = (option: unknown): boolean =>
    typeof option === 'string' && /^(fs|def|root)?context=("[^"]*"|[^",]*)$/.test(option);
  if (!contexts.every(isContext) || (source !== null && typeof source !== 'string'))
    throw fail('internal', 'worker: asks for mount options that it may not');
}

async function syncMount(mountPoint: string): Promise<void> {
  const folder = await native.openat2Async(AT_FDCWD, mountPoint, O_DIRECTORY | O_CLOEXEC, 0, 0);
  try {
    await native.syncfsAsync(folder);
  } finally {
    closeSync(folder);
  }
}

function partsOf(handoff: Handoff): Parts {
  const { readOnly, directory, metaUrl } = handoff.settings;
  const state = sealedState(handoff);
  return { state, fuse: openSync('/dev/fuse', 'r+'), readOnly, directory, metaUrl: withoutSecrets(metaUrl) };
}

/** The secrets are wiped here, whatever happens. */
function sealedState(handoff: Handoff): StateMemory {
  const packed = packHandoff(handoff);
  const state = StateMemory.create();
  try {
    state.seal(packed);
    return state;
  } catch (error) {
    closeSync(state.fd);
    throw error;
  } finally {
    wipe(packed, handoff.pem, handoff.passphrase, handoff.der);
  }
}
