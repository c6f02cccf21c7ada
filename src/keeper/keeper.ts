// The mounts of a node: one superblock per volume in the keeper's own directory, bound at kubelet's paths. Knows volumes
// and paths; the gRPC service in front of it is service.ts. It never opens a file system: workers do.

import { mkdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { FsError, fail } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { clearOut, gatherOffers, tellOutcome } from './adoption.ts';
import { bind, boundAt, isVolume, unbind } from './bind.ts';
import { handoffOf } from './connection-handoff.ts';
import type { HandOver } from './hand-over.ts';
import { handedBy } from './handed.ts';
import type { Offer } from './holder-link.ts';
import { KubeletPaths } from './kubelet-paths.ts';
import type {
  BindReply,
  BindRequest,
  Connection,
  KeeperVolume,
  MountReply,
  MountRequest,
  ProveRequest,
  StatRequest,
  UnbindRequest,
  UnmountRequest,
} from './messages.ts';
import { metricsSocketOf } from './metrics-socket.ts';
import { type MountEntry, mounts, topMount } from './mountinfo.ts';
import { mountName, ownMountPoint, removeOwnFolder } from './own-mounts.ts';
import { ownerOf } from './owner.ts';
import { closeAll } from './packet-socket.ts';
import { connectionDigest, FailedKeys } from './proof.ts';
import { prove } from './prove.ts';
import { Records, type VolumeRecord } from './records.ts';
import { abnormal, type Stats, statsOf } from './stats.ts';
import { type ServedOptions, Volume } from './volume.ts';
import type { Program } from './worker-process.ts';

export interface KeeperOptions {
  readonly runDirectory: string;
  readonly kubeletDirectory: string;
  readonly program: Program;
  /** Authorities of the administrator; workers read it. */
  readonly caFile?: string | undefined;
  readonly recoveryDeadlineMs?: number;
  readonly endDeadlineMs?: number;
  readonly hangDeadlineMs?: number;
}

interface Held {
  readonly volume: Volume;
  stagingPath: string;
  readonly targets: Set<string>;
  /** Secrets that were proven. */
  readonly proven: Set<string>;
}

/** Secrets accepted for one volume; more only means that a proof is made again. */
const MAX_PROVEN = 16;

export class KeeperMounts {
  readonly #options: KeeperOptions;
  readonly #paths: KubeletPaths;
  readonly #records: Records;
  readonly #held = new Map<string, Held>();
  /** Mounts of a keeper that was killed; each goes when its volume is mounted or unmounted again. */
  readonly #stale = new Map<string, VolumeRecord>();
  readonly #busy = new Set<string>();
  readonly #failedKeys = new FailedKeys();
  readonly #handOver: HandOver | undefined;
  #closing = false;

  constructor(options: KeeperOptions, handOver?: HandOver) {
    this.#handOver = handOver;
    mkdirSync(options.runDirectory, { recursive: true, mode: 0o700 });
    // As mountinfo shows it.
    this.#options = { ...options, runDirectory: realpathSync(options.runDirectory) };
    this.#paths = new KubeletPaths(options.kubeletDirectory);
    this.#records = new Records(this.#options.runDirectory);
    mkdirSync(this.#mountsDirectory, { recursive: true, mode: 0o700 });
  }

  get #mountsDirectory(): string {
    return join(this.#options.runDirectory, 'mounts');
  }

  /**
   * Goes on with what the keeper before left with a holder, and takes away what else it left in our own directory; binds
   * stay until kubelet asks for them. Until `signal` says that there will be no service.
   */
  async start(signal = new AbortController().signal): Promise<void> {
    for (const record of this.#records.load()) this.#stale.set(record.volumeId, record);
    if (this.#handOver !== undefined) await this.#adoptAll(this.#handOver, signal);
    if (signal.aborted) return;
    await clearOut(this.#mountsDirectory, new Set([...this.#held.values()].map(({ volume }) => volume.mountPoint)));
    if (this.#handOver === undefined) return;
    this.#handOver.settle();
    await this.#save();
  }

  async #adoptAll(handOver: HandOver, signal: AbortSignal): Promise<void> {
    const offers = await gatherOffers(handOver, this.#mountsDirectory, signal);
    if (signal.aborted) return;
    const entries = mounts();
    for (const offer of offers) this.#adopt(offer, entries);
    tellOutcome(handOver, this.#held.size, [...this.#stale.values()], entries);
  }

  #adopt(offer: Offer, entries: readonly MountEntry[]): void {
    const { volumeId } = offer;
    const mountPoint = this.#mountPointOf(volumeId);
    try {
      if (this.#held.has(volumeId)) throw fail('conflict', 'it was offered twice');
      const handed = handedBy(offer, mountPoint, entries);
      const owner = ownerOf(handed.record.metaUrl);
      const volume = Volume.adopt({ ...this.#servedOptions(volumeId, mountPoint), owner }, handed);
      const { stagingPath, targets } = boundAt(this.#paths.root, volume.device, entries);
      this.#held.set(volumeId, { volume, stagingPath, targets: new Set(targets), proven: new Set() });
      this.#stale.delete(volumeId);
      this.#handOver?.add(offer, false);
      log.info('volume is adopted', { volume: volumeId, device: volume.device, targets: targets.length });
    } catch (thrown) {
      closeAll(offer.fds);
      log.error('volume is not adopted', { volume: volumeId, error: FsError.from(thrown).message });
    }
  }

  mount(request: MountRequest): Promise<MountReply> {
    return this.#alone(request.volumeId, async () => {
      if (request.stagingPath !== '') this.#paths.check(request.stagingPath);
      const present = this.#held.get(request.volumeId);
      if (present !== undefined && !isServed(present)) await this.#drop(present);
      const held = this.#held.get(request.volumeId) ?? (await this.#open(request));
      if (held === present) await this.#sameVolume(held, request);
      if (request.stagingPath !== '') await this.#stage(held, request.stagingPath);
      return { fileSystemUuid: held.volume.uuid, fileSystemName: held.volume.name };
    });
  }

  prove(request: ProveRequest): Promise<void> {
    return this.#alone(request.volumeId, () => this.#prove(this.#find(request.volumeId), request.connection));
  }

  bind(request: BindRequest): Promise<BindReply> {
    return this.#alone(request.volumeId, async () => {
      const held = this.#find(request.volumeId);
      const { targetPath: path } = request;
      await this.#paths.make(path);
      const readOnly = request.readOnly || held.volume.readOnly;
      const existed = await bind(this.#paths, held.volume, path, { readOnly, floor: true, isLive: this.#isLive });
      held.targets.add(this.#paths.check(path));
      await this.#save();
      return { existed };
    });
  }

  unbind(request: UnbindRequest): Promise<void> {
    return this.#alone(request.volumeId, async () => {
      const held = this.#held.get(request.volumeId);
      await unbind(this.#paths, request.targetPath, { device: held?.volume.device, isLive: this.#isLive });
      await this.#paths.remove(request.targetPath);
      held?.targets.delete(this.#paths.check(request.targetPath));
      await this.#save();
    });
  }

  unmount(request: UnmountRequest): Promise<void> {
    return this.#alone(request.volumeId, async () => {
      const held = this.#held.get(request.volumeId);
      if (held !== undefined) this.#refuseWhileBound(held);
      // Also where it is staged, should the caller name another path: a bind without its volume would stay for ever.
      for (const path of new Set([request.stagingPath, held?.stagingPath ?? '']))
        if (path !== '') await unbind(this.#paths, path, { device: held?.volume.device, isLive: this.#isLive });
      this.#stale.delete(request.volumeId);
      if (held !== undefined) await this.#drop(held);
      await this.#save();
    });
  }

  async stat(request: StatRequest): Promise<Stats> {
    const path = this.#paths.check(request.path);
    const held = this.#held.get(request.volumeId);
    const top = topMount(path);
    if (top === undefined || !isVolume(top)) throw fail('not-found', `usage of ${path}: no volume is mounted there`);
    if (held === undefined || top.device !== held.volume.device)
      return abnormal('the mount is of a keeper that is gone: recreate the pods that use it');
    const { health } = held.volume;
    // Asked at our own mount: a call that hangs keeps the path that it was given from being unmounted.
    return health === 'serving' ? statsOf(held.volume) : abnormal(`its worker is ${health}`);
  }

  /** A volume whose serving ended has no targets any more: a publish there starts it anew. */
  list(): KeeperVolume[] {
    return [...this.#held.values()].map((held) => {
      const { volume, stagingPath, targets } = held;
      return {
        volumeId: volume.id,
        fileSystemUuid: volume.uuid,
        stagingPath,
        targets: isServed(held) ? [...targets] : [],
        workerPid: volume.pid,
        restarts: volume.restarts,
        readOnly: volume.readOnly,
      };
    });
  }

  /**
   * Flushes, unmounts and ends everything. A keeper that nobody holds descriptors for takes its mounts along: without a
   * worker they would only block their users.
   */
  async close(): Promise<void> {
    this.#closing = true;
    await Promise.all([...this.#held.values()].map((held) => this.#closeOne(held)));
  }

  /** Ends the workers after a flush, and leaves everything that is mounted to the next keeper. */
  async leave(): Promise<void> {
    this.#closing = true;
    const unheld = (await this.#handOver?.unheld()) ?? [];
    for (const volume of unheld) log.error('volume is lost with this keeper: nobody holds its descriptors', { volume });
    await Promise.all([...this.#held.values()].map(({ volume }) => volume.leave()));
  }

  async #closeOne(held: Held): Promise<void> {
    try {
      for (const path of [...held.targets, held.stagingPath])
        if (path !== '')
          await unbind(this.#paths, path, { device: held.volume.device, isLive: this.#isLive, detach: true });
      await this.#drop(held, true);
      await this.#save();
    } catch (error) {
      log.error('unmounting at the end failed', { volume: held.volume.id, error: FsError.from(error).message });
    }
  }

  async #open(request: MountRequest): Promise<Held> {
    const { connection, volumeId } = request;
    this.#failedKeys.check(connection);
    const digest = connectionDigest(connection);
    const mountPoint = this.#mountPointOf(volumeId);
    try {
      const volume = await Volume.open({
        ...this.#servedOptions(volumeId, mountPoint),
        owner: ownerOf(connection.metaUrl),
        handoff: handoffOf(connection, {
          purpose: 'serve',
          caFile: this.#options.caFile,
          uuid: request.fileSystemUuid,
          keyId: '',
          directory: request.directory,
          readOnly: request.readOnly,
          options: ['allow_other', ...request.options],
          mountPoint: request.stagingPath || mountPoint,
          ownMounts: [mountPoint, this.#paths.root],
        }),
      });
      const held = { volume, stagingPath: '', targets: new Set<string>(), proven: new Set([digest]) };
      this.#held.set(volumeId, held);
      this.#stale.delete(volumeId);
      this.#handOver?.found(volumeId);
      this.#handOver?.add(volume.handed(), true);
      await this.#save();
      return held;
    } catch (error) {
      this.#failedKeys.note(connection, error);
      throw error;
    }
  }

  #mountPointOf(volumeId: string): string {
    return ownMountPoint(this.#mountsDirectory, volumeId);
  }

  #servedOptions(id: string, mountPoint: string): Omit<ServedOptions, 'owner'> {
    return {
      id,
      program: this.#options.program,
      mountPoint,
      metricsSocket: metricsSocketOf(this.#options.runDirectory, mountName(id)),
      over: (health) => {
        log.error('volume is no longer served', { volume: id, health });
        if (health === 'lost') this.#handOver?.lost(id, 'no worker of it came up in time');
      },
      serving: () => this.#handOver?.serving(id),
      released: () => this.#handOver?.remove(id),
      ...deadlinesOf(this.#options),
    };
  }

  /** A repeated Mount must mean the same volume, and its Secret open it. */
  async #sameVolume(held: Held, request: MountRequest): Promise<void> {
    const { volume } = held;
    if (request.fileSystemUuid !== '' && request.fileSystemUuid !== volume.uuid)
      throw fail(
        'conflict',
        `mounting ${volume.id}: file system ${volume.uuid} is mounted, ${request.fileSystemUuid} wanted`,
      );
    if (request.directory !== volume.directory || request.readOnly !== volume.readOnly)
      throw fail('conflict', `mounting ${volume.id}: mounted already with another directory or mode`);
    await this.#prove(held, request.connection);
  }

  async #prove(held: Held, connection: Connection): Promise<void> {
    const digest = connectionDigest(connection);
    if (held.proven.has(digest)) return;
    this.#failedKeys.check(connection);
    const { volume } = held;
    const settings = { purpose: 'prove', uuid: volume.uuid, keyId: volume.keyId, directory: volume.directory } as const;
    try {
      const { caFile } = this.#options;
      const unused = { readOnly: true, options: [], mountPoint: '', ownMounts: [], caFile };
      await prove(
        this.#options.program,
        ownerOf(connection.metaUrl),
        handoffOf(connection, { ...settings, ...unused }),
      );
    } catch (error) {
      this.#failedKeys.note(connection, error);
      throw error;
    }
    if (held.proven.size >= MAX_PROVEN) held.proven.clear();
    held.proven.add(digest);
  }

  async #stage(held: Held, path: string): Promise<void> {
    const plain = this.#paths.check(path);
    if (held.stagingPath !== '' && held.stagingPath !== plain)
      throw fail('conflict', `staging ${held.volume.id} at ${path}: it is staged at ${held.stagingPath}`);
    await this.#paths.make(path);
    const { readOnly } = held.volume;
    await bind(this.#paths, held.volume, path, { readOnly, floor: false, isLive: this.#isLive });
    held.stagingPath = plain;
    await this.#save();
  }

  #refuseWhileBound(held: Held): void {
    for (const path of held.targets) {
      if (topMount(path)?.device === held.volume.device)
        throw fail('failed-precondition', `unmounting ${held.volume.id}: it is still bound at ${path}`);
      held.targets.delete(path);
    }
  }

  async #drop(held: Held, detach = false): Promise<void> {
    const { volume } = held;
    await volume.close({ detach: detach || !isServed(held) });
    this.#held.delete(volume.id);
    removeOwnFolder(this.#mountsDirectory, mountName(volume.id));
  }

  #find(volumeId: string): Held {
    const held = this.#held.get(volumeId);
    if (held === undefined) throw fail('failed-precondition', `volume ${volumeId} is not mounted`);
    return held;
  }

  readonly #isLive = (device: string): boolean =>
    [...this.#held.values()].some((held) => held.volume.device === device && isServed(held));

  #save(): Promise<void> {
    const live = [...this.#held.values()].map(({ volume, stagingPath, targets }) => ({
      volumeId: volume.id,
      uuid: volume.uuid,
      mountPoint: volume.mountPoint,
      metaUrl: volume.metaUrl,
      directory: volume.directory,
      stagingPath,
      targets: [...targets],
      readOnly: volume.readOnly,
    }));
    return this.#records.save([...this.#stale.values(), ...live]);
  }

  async #alone<T>(volumeId: string, work: () => Promise<T>): Promise<T> {
    if (volumeId === '') throw fail('bad-input', 'the volume id is missing');
    if (this.#closing) throw fail('store-unavailable', 'the keeper is ending');
    if (this.#busy.has(volumeId)) throw fail('busy', `another operation on volume ${volumeId} is running`);
    this.#busy.add(volumeId);
    try {
      return await work();
    } finally {
      this.#busy.delete(volumeId);
    }
  }
}

/** Not when its mounts were taken away, or no worker came up behind them: then its descriptor is closed for good. */
const isServed = ({ volume }: Held): boolean => volume.health !== 'lost' && volume.health !== 'ended';

const deadlinesOf = ({ recoveryDeadlineMs, endDeadlineMs, hangDeadlineMs }: KeeperOptions): Partial<KeeperOptions> => ({
  ...(recoveryDeadlineMs !== undefined && { recoveryDeadlineMs }),
  ...(endDeadlineMs !== undefined && { endDeadlineMs }),
  ...(hangDeadlineMs !== undefined && { hangDeadlineMs }),
});
