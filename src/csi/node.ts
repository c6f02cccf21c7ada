// The Node service. It mounts nothing itself and has no rights to: the keeper does, and says what is mounted. Every target
// that is not mounted yet must bring a Secret that opens the volume; one that is mounted is never taken away by a
// republish, since kubelet would delete the folder of a running pod.
import { fail } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { HOST_TOPOLOGY } from '../config/driver.ts';
import type { SecretMap } from '../config/secret.ts';
import { IGNORED_PREFIX } from '../config/storage-class-names.ts';
import type { Keeper } from '../keeper/client.ts';
import type { Connection, KeeperVolume } from '../keeper/messages.ts';
import { advised } from './advice.ts';
import * as messages from './messages.ts';
import type { NodeState, VolumeState } from './node-state.ts';
import {
  checkKubeletPath,
  connectionOf,
  digestOf,
  mountRequest,
  type NodeRules,
  type NodeVolume,
  parseNodeVolume,
  wipe,
} from './node-volume.ts';
import type { Notices } from './notices.ts';
import { podOf } from './pod.ts';
import { Proofs } from './proofs.ts';
import { type Methods, rpc } from './unary.ts';

export interface NodeOptions extends NodeRules {
  readonly nodeId: string;
  readonly notices: Notices;
}

const CAPABILITIES = ['STAGE_UNSTAGE_VOLUME', 'GET_VOLUME_STATS', 'SINGLE_NODE_MULTI_WRITER', 'GET_VOLUME_HEALTH'];

const noSecret = (): Error =>
  fail('bad-input', 'no Secret came with the call and the volume is not mounted on this node', {
    hint: 'set csi.storage.k8s.io/node-stage-secret-name and csi.storage.k8s.io/node-publish-secret-name with their namespaces in the StorageClass, or nodeStageSecretRef and nodePublishSecretRef in the PV',
  });

const noProof = (): Error =>
  fail('permission-denied', 'no Secret came with the call: each publish must show that it may open the volume', {
    hint: 'set csi.storage.k8s.io/node-publish-secret-name and -namespace in the StorageClass, or nodePublishSecretRef in the PV',
  });

export class NodeService {
  readonly #keeper: Keeper;
  readonly #state: NodeState;
  readonly #options: NodeOptions;
  readonly #proofs = new Proofs();
  /** Static volumes whose settings without a meaning were told. */
  readonly #told = new Set<string>();

  constructor(keeper: Keeper, state: NodeState, options: NodeOptions) {
    this.#keeper = keeper;
    this.#state = state;
    this.#options = options;
  }

  methods(): Methods {
    const volume = (request: { readonly volumeId: string }): string => request.volumeId;
    const locked = { volume, lock: volume };
    return {
      nodeGetCapabilities: rpc({
        request: messages.empty,
        quiet: true,
        run: async () => ({ capabilities: CAPABILITIES.map((type) => ({ rpc: { type } })) }),
      }),
      nodeGetInfo: rpc({ request: messages.empty, run: async () => this.#info() }),
      nodeStageVolume: rpc({ request: messages.stageVolume, ...locked, run: (request) => this.#stage(request) }),
      nodeUnstageVolume: rpc({ request: messages.unstageVolume, ...locked, run: (request) => this.#unstage(request) }),
      nodePublishVolume: rpc({ request: messages.publishVolume, ...locked, run: (request) => this.#publish(request) }),
      nodeUnpublishVolume: rpc({
        request: messages.unpublishVolume,
        ...locked,
        run: (request) => this.#unpublish(request),
      }),
      nodeGetVolumeStats: rpc({
        request: messages.volumeStats,
        volume,
        quiet: true,
        run: (request) => this.#stats(request),
      }),
      nodeGetVolumeHealth: rpc({
        request: messages.volumeHealth,
        volume,
        quiet: true,
        run: (request) => this.#health(request),
      }),
    };
  }

  #info(): object {
    const { nodeId, embedded } = this.#options;
    const topology = embedded === undefined ? {} : { accessibleTopology: { segments: { [HOST_TOPOLOGY]: nodeId } } };
    return { nodeId, ...topology };
  }

  async #stage(request: messages.StageVolume): Promise<object> {
    const volume = parseNodeVolume(request, this.#options);
    checkKubeletPath(request.stagingTargetPath, this.#options, 'staging target path');
    const digest = digestOf(request, false);
    const state = await this.#state.read(volume.id);
    if (state.staging !== null && (await this.#find(volume.id)) !== undefined) {
      if (state.staging.path !== request.stagingTargetPath)
        throw fail('failed-precondition', 'volume: is staged at another path of this node');
      if (state.staging.digest !== digest) throw fail('conflict', 'volume: is staged with other arguments');
    }
    const staging = { path: request.stagingTargetPath, digest };
    const connection = await connectionOf(volume, request.secrets, this.#options);
    try {
      // Volumes of the JuiceFS CSI driver name a publish Secret only: their worker starts at the first publish.
      if (connection === undefined) await this.#state.write({ ...state, staging });
      else await this.#mount(volume, connection, request.secrets, { ...state, staging });
    } finally {
      wipe(connection);
    }
    return {};
  }

  /** Starts the worker, mounts at the state's staging path, and records what the handle stands for. */
  async #mount(
    volume: NodeVolume,
    connection: Connection,
    secrets: SecretMap,
    state: VolumeState,
  ): Promise<VolumeState> {
    const path = state.staging?.path ?? '';
    const request = mountRequest(volume, connection, path, state.fileSystemUuid, this.#options.selinuxLabel);
    const reply = await this.#keeper.mount(request).catch((thrown: unknown) => {
      throw advised(thrown);
    });
    this.#proofs.accept(volume.id, secrets);
    const mounted = { ...state, fileSystemUuid: reply.fileSystemUuid };
    await this.#state.write(mounted);
    return mounted;
  }

  async #unstage(request: messages.UnstageVolume): Promise<object> {
    checkKubeletPath(request.stagingTargetPath, this.#options, 'staging target path');
    await this.#keeper.unmount({ volumeId: request.volumeId, stagingPath: request.stagingTargetPath });
    this.#proofs.forget(request.volumeId);
    this.#told.delete(request.volumeId);
    await this.#state.remove(request.volumeId);
    return {};
  }

  async #publish(request: messages.PublishVolume): Promise<object> {
    const volume = parseNodeVolume(request, this.#options);
    const target = request.targetPath;
    checkKubeletPath(target, this.#options, 'target path');
    if (request.stagingTargetPath === '') throw fail('failed-precondition', 'staging target path: is missing');
    const readOnly = request.readonly || volume.access.readOnly;
    const digest = digestOf(request, readOnly);
    const [state, running] = await Promise.all([this.#state.read(volume.id), this.#find(volume.id)]);
    const prior = state.targets.find((each) => each.path === target);
    if (running?.targets.includes(target) === true) {
      if (prior !== undefined && prior.digest !== digest) throw fail('conflict', 'target path: is published otherwise');
      await this.#refresh(volume, request.secrets);
      return {};
    }
    // What is bound is the keeper's to say: the state may have been lost.
    const bound = (running?.targets ?? []).filter((path) => path !== target);
    const others = state.targets.filter(({ path }) => bound.includes(path));
    if (bound.length > 0 && (volume.access.singleWriter || others.some((each) => each.singleWriter)))
      throw fail('failed-precondition', 'volume: is published to another target, and its access mode allows one only');
    const proven = await this.#prove(volume, request.secrets, state, running !== undefined);
    const pod = podOf(request.volumeContext);
    const { singleWriter } = volume.access;
    const targets = [...others, { path: target, digest, singleWriter, ...(pod && { pod }) }];
    // Before the bind: a target that is bound is always one that the state knows.
    await this.#state.write({ ...proven, targets });
    await this.#keeper.bind({ volumeId: volume.id, targetPath: target, readOnly });
    this.#tellIgnored(volume, request.volumeContext);
    return {};
  }

  /** Of provisioned volumes the controller has told it, when it made them. */
  #tellIgnored(volume: NodeVolume, context: Readonly<Record<string, string>>): void {
    const attributes = Object.keys(context).filter((name) => name.startsWith(IGNORED_PREFIX));
    const { ignored } = volume.access.options;
    if (volume.isProvisioned || this.#told.has(volume.id) || attributes.length + ignored.length === 0) return;
    this.#told.add(volume.id);
    const parts = [
      ...(attributes.length > 0 ? [`attributes ${attributes.join(', ')}`] : []),
      ...(ignored.length > 0 ? [`mount options ${ignored.join(', ')}`] : []),
    ];
    this.#options.notices.tell({
      about: podOf(context),
      volume: volume.id,
      type: 'Normal',
      reason: 'IgnoredSettings',
      message: `of the PersistentVolume, without a meaning here and ignored: ${parts.join('; ')}`,
    });
  }

  /** The worker runs when this resolves, and the Secret opens what it serves: the keeper proves one for a running worker. */
  async #prove(volume: NodeVolume, secrets: SecretMap, state: VolumeState, running: boolean): Promise<VolumeState> {
    const connection = await connectionOf(volume, secrets, this.#options);
    if (connection === undefined) throw running ? noProof() : noSecret();
    try {
      return await this.#mount(volume, connection, secrets, state);
    } finally {
      wipe(connection);
    }
  }

  /** A republish may bring a new Secret; one that does not fit is reported and changes nothing for the running pod. */
  async #refresh(volume: NodeVolume, secrets: SecretMap): Promise<void> {
    if (Object.keys(secrets).length === 0 || this.#proofs.isAccepted(volume.id, secrets)) return;
    let connection: Connection | undefined;
    try {
      connection = await connectionOf(volume, secrets, this.#options);
      if (connection === undefined) return;
      await this.#keeper.prove({ volumeId: volume.id, connection });
      this.#proofs.accept(volume.id, secrets);
    } catch {
      log.warn('republish: the Secret does not open the mounted volume; the mount stays', { volume: volume.id });
    } finally {
      wipe(connection);
    }
  }

  async #unpublish(request: messages.UnpublishVolume): Promise<object> {
    checkKubeletPath(request.targetPath, this.#options, 'target path');
    await this.#keeper.unbind({ volumeId: request.volumeId, targetPath: request.targetPath });
    const state = await this.#state.read(request.volumeId);
    const targets = state.targets.filter((each) => each.path !== request.targetPath);
    if (targets.length !== state.targets.length) await this.#state.write({ ...state, targets });
    return {};
  }

  async #stats(request: messages.VolumeStats): Promise<object> {
    if (!(await this.#pathsOf(request.volumeId)).includes(request.volumePath))
      throw fail('not-found', 'volume: is not mounted at this path');
    const stats = await this.#keeper.stat({ volumeId: request.volumeId, path: request.volumePath });
    // Zeros would be taken for a full volume.
    if (stats.abnormal) throw fail('store-unavailable', `volume: its usage is not known, ${stats.condition}`);
    const usage = (unit: string, total: bigint, available: bigint, used: bigint): object => ({
      unit,
      total: total.toString(),
      available: available.toString(),
      used: used.toString(),
    });
    return {
      usage: [
        usage('BYTES', stats.totalBytes, stats.availableBytes, stats.usedBytes),
        usage('INODES', stats.totalInodes, stats.freeInodes, stats.usedInodes),
      ],
    };
  }

  async #health(request: messages.VolumeHealth): Promise<object> {
    const paths = await this.#pathsOf(request.volumeId);
    const path = request.volumePublishPath || paths[0];
    if (path === undefined || !paths.includes(path)) throw fail('not-found', 'volume: is not mounted on this node');
    const stats = await this.#keeper.stat({ volumeId: request.volumeId, path });
    const healthStatuses = stats.abnormal
      ? [{ status: 'INACCESSIBLE', reason: 'WorkerDown', message: stats.condition }]
      : [];
    return { volumeHealth: { volumeId: request.volumeId, healthStatuses } };
  }

  /** Where it is mounted, or was: the mounts of a keeper that is gone stand there and answer nothing. */
  async #pathsOf(volumeId: string): Promise<string[]> {
    const [{ staging, targets }, running] = await Promise.all([this.#state.read(volumeId), this.#find(volumeId)]);
    const known = [running?.stagingPath ?? '', ...(running?.targets ?? []), ...targets.map(({ path }) => path)];
    return [...new Set([...known, staging?.path ?? ''])].filter((path) => path !== '');
  }

  async #find(volumeId: string): Promise<KeeperVolume | undefined> {
    return (await this.#keeper.list()).find((volume) => volume.volumeId === volumeId);
  }
}
