// The mounts of a node: one superblock per volume in the keeper's own directory, bound at kubelet's paths. Knows volumes
// and paths; the gRPC service in front of it is service.ts. It never opens a file system: workers do.

import { mkdirSync, readdirSync, realpathSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { FsError, fail, hasCode } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { environmentFor } from '../config/worker-environment.ts';
import { bind, isVolume, removeMount, unbind } from './bind.ts';
import type { Handoff, StoreOverrides, WorkerSettings } from './handoff.ts';
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
import { metricsSocketOf, mountName } from './metrics-socket.ts';
import { mounts, topMount } from './mountinfo.ts';
import { ownerOf } from './owner.ts';
import { connectionDigest, FailedKeys } from './proof.ts';
import { prove } from './prove.ts';
import { Records, type VolumeRecord } from './records.ts';
import { abnormal, type Stats, statsOf } from './stats.ts';
import { Volume } from './volume.ts';
import type { Program } from './worker-process.ts';

export interface KeeperOptions {
  readonly runDirectory: string;
  readonly kubeletDirectory: string;
  readonly program: Program;
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
  #closing = false;

  constructor(options: KeeperOptions) {
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

  /** Takes away what a killed keeper left in our own directory; binds stay until kubelet asks for them. */
  async start(): Promise<void> {
    for (const record of this.#records.load()) this.#stale.set(record.volumeId, record);
    for (const entry of mounts().reverse())
      if (isVolume(entry) && entry.path.startsWith(`${this.#mountsDirectory}/`)) {
        log.warn('mount of a keeper that is gone is taken away', { path: entry.path });
        await removeMount(entry.path, entry.path, true);
      }
    for (const name of readdirSync(this.#mountsDirectory)) removeFolder(join(this.#mountsDirectory, name));
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
    const mountPoint = join(this.#mountsDirectory, mountName(volumeId));
    try {
      const volume = await Volume.open({
        id: volumeId,
        program: this.#options.program,
        owner: ownerOf(connection.metaUrl),
        mountPoint,
        handoff: handoffOf(connection, {
          purpose: 'serve',
          uuid: request.fileSystemUuid,
          keyId: '',
          directory: request.directory,
          readOnly: request.readOnly,
          options: ['allow_other', ...request.options],
          mountPoint: request.stagingPath || mountPoint,
          ownMounts: [mountPoint, this.#paths.root],
        }),
        metricsSocket: metricsSocketOf(this.#options.runDirectory, mountPoint),
        over: (health) => log.error('volume is no longer served', { volume: volumeId, health }),
        ...deadlinesOf(this.#options),
      });
      const held = { volume, stagingPath: '', targets: new Set<string>(), proven: new Set([digest]) };
      this.#held.set(volumeId, held);
      this.#stale.delete(volumeId);
      await this.#save();
      return held;
    } catch (error) {
      this.#failedKeys.note(connection, error);
      throw error;
    }
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
      const unused = { readOnly: true, options: [], mountPoint: '', ownMounts: [] };
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
    removeFolder(volume.mountPoint);
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

function removeFolder(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    if (!hasCode(FsError.from(error), 'ENOENT'))
      log.warn('folder of a mount could not be removed', { path, error: String(error) });
  }
}

/** Not when its mounts were taken away, or no worker came up behind them: then its descriptor is closed for good. */
const isServed = ({ volume }: Held): boolean => volume.health !== 'lost' && volume.health !== 'ended';

const deadlinesOf = ({ recoveryDeadlineMs, endDeadlineMs, hangDeadlineMs }: KeeperOptions): Partial<KeeperOptions> => ({
  ...(recoveryDeadlineMs !== undefined && { recoveryDeadlineMs }),
  ...(endDeadlineMs !== undefined && { endDeadlineMs }),
  ...(hangDeadlineMs !== undefined && { hangDeadlineMs }),
});

function handoffOf(
  connection: Connection,
  rest: Omit<WorkerSettings, 'metaUrl' | 'store' | 'environment' | 'encryptionRequired'>,
): Handoff {
  const { metaUrl, encryptionRequired } = connection;
  const store = storeOf(connection);
  // A volume that brings credentials of its own has no use for the node's.
  const environment = environmentFor({ withIdentity: store.accessKey === undefined });
  return {
    settings: { metaUrl, store, environment, encryptionRequired, ...rest },
    pem: connection.rsaKey.length > 0 ? Buffer.from(connection.rsaKey) : undefined,
    passphrase: connection.hasPassphrase ? Buffer.from(connection.passphrase) : undefined,
  };
}

/** What is empty is as the record says. */
function storeOf(connection: Connection): StoreOverrides {
  const { storage, bucket, accessKey, secretKey, sessionToken, caBundle } = connection;
  const given = { storage, bucket, accessKey, secretKey, sessionToken, caBundle };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== ''));
}
