// One node with everything on it, as a chart's embedded mode would start it: keeper, controller and node plugin as
// processes of their own, in a test's folder that stands for the node's directories.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, statSync } from 'node:fs';
import { CsiClient, writer } from './csi-client.ts';
import { pagesealProgram } from './pageseal.ts';
import { ended, until } from './program.ts';

/** What of a test's folder is needed here; the demo has one of its own. */
export interface Place {
  readonly env: NodeJS.ProcessEnv;
  at(...parts: string[]): string;
  /** Words before each command: the machine on which it runs. */
  readonly enter?: readonly string[];
  /** Instead of the checkout's command. */
  readonly program?: string;
}

export const processes = ['keeper', 'controller', 'node'] as const;
export type ProcessName = (typeof processes)[number];

export interface PublishedVolume {
  readonly volumeId: string;
  readonly volumeContext: Readonly<Record<string, string>>;
}

export interface KeeperStart {
  readonly flags?: readonly string[];
  /** Words before its command, beside those of the place: a container of its own. */
  readonly enter?: readonly string[];
}

export class CsiNode {
  readonly #place: Place;
  readonly #running = new Map<ProcessName, ChildProcess>();
  readonly kubelet: string;
  readonly embedded: string;
  readonly controllerSocket: string;
  readonly nodeSocket: string;
  readonly controller: CsiClient;
  readonly node: CsiClient;

  readonly #flags: readonly string[];
  readonly #keeper: KeeperStart;

  /** `flags`: those of the CSI processes, instead of embedded mode's directory. */
  constructor(place: Place, flags?: readonly string[], keeper: KeeperStart = {}) {
    this.#place = place;
    this.#keeper = keeper;
    this.kubelet = place.at('kubelet');
    this.embedded = place.at('embedded');
    this.#flags = flags ?? ['--embedded-directory', this.embedded];
    this.controllerSocket = place.at('controller.sock');
    this.nodeSocket = place.at('kubelet/plugins/csi.pageseal.dev/csi.sock');
    for (const folder of [this.embedded, place.at('kubelet/plugins/csi.pageseal.dev'), place.at('kubelet/pods')])
      mkdirSync(folder, { recursive: true });
    this.controller = new CsiClient(this.controllerSocket);
    this.node = new CsiClient(this.nodeSocket);
  }

  async start(): Promise<void> {
    await Promise.all(processes.map((name) => this.startOne(name)));
  }

  /** `own`: flags of this process only. */
  async startOne(name: ProcessName, own: readonly string[] = []): Promise<void> {
    const common = ['--node-id', 'node-1', ...this.#flags];
    const args: Record<ProcessName, string[]> = {
      keeper: [
        'keeper', '--run-directory', this.#place.at('run'), '--kubelet-directory', this.kubelet,
        ...(this.#keeper.flags ?? []),
      ],
      controller: ['csi', '--mode', 'controller', '--endpoint', `unix://${this.controllerSocket}`, ...common],
      node: [
        'csi', '--mode', 'node', '--endpoint', `unix://${this.nodeSocket}`, ...common,
        '--keeper-socket', this.#place.at('run/keeper.sock'), '--kubelet-directory', this.kubelet,
      ],
    }; // biome-ignore format: flags and their values stay together
    const log = openSync(this.logFile(name), 'a');
    const before = statSync(this.logFile(name)).size;
    const options = { env: this.#place.env, stdio: ['ignore', log, log] as ('ignore' | number)[] };
    const command = [this.#place.program ?? pagesealProgram, '--log-level', 'debug', ...args[name], ...own];
    const container = name === 'keeper' ? (this.#keeper.enter ?? []) : [];
    const [program = pagesealProgram, ...words] = [...(this.#place.enter ?? []), ...container, ...command];
    const child = spawn(program, words, options);
    closeSync(log);
    this.#running.set(name, child);
    const isServing = async (): Promise<boolean> => {
      if (child.exitCode !== null) throw new Error(`${name} ended: ${readFileSync(this.logFile(name), 'utf8')}`);
      if (name === 'keeper') return readFileSync(this.logFile(name)).subarray(before).includes('keeper serves');
      const client = name === 'controller' ? this.controller : this.node;
      return (await client.code('Identity', 'probe')) === 'OK';
    };
    await until(`${name} serves`, isServing);
  }

  logFile(name: ProcessName): string {
    return this.#place.at(`${name}.log`);
  }

  pid(name: ProcessName): number {
    const { pid } = this.#running.get(name) ?? {};
    if (pid === undefined) throw new Error(`${name} does not run`);
    return pid;
  }

  async stopOne(name: ProcessName, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#running.get(name);
    if (child === undefined) return;
    this.#running.delete(name);
    child.kill(signal);
    await ended(child);
  }

  async stop(): Promise<void> {
    this.controller.close();
    this.node.close();
    for (const name of ['node', 'controller', 'keeper'] as const) await this.stopOne(name);
  }

  staging(volume: PublishedVolume): string {
    const path = this.#place.at('kubelet/plugins/kubernetes.io/csi/csi.pageseal.dev', volume.volumeId.slice(-32));
    mkdirSync(path, { recursive: true });
    return `${path}/globalmount`;
  }

  target(pod: string): string {
    const path = this.#place.at('kubelet/pods', pod, 'volumes/kubernetes.io~csi/pv');
    mkdirSync(path, { recursive: true });
    return `${path}/mount`;
  }

  async create(name: string, secrets: object, more: object = {}): Promise<PublishedVolume> {
    const request = { name, secrets, volumeCapabilities: [writer()], ...more };
    return (await this.controller.call('Controller', 'createVolume', request)).volume;
  }

  stageRequest(volume: PublishedVolume, secrets: object, more: object = {}): object {
    const { volumeId, volumeContext } = volume;
    const stagingTargetPath = this.staging(volume);
    return { volumeId, volumeContext, stagingTargetPath, volumeCapability: writer(), secrets, ...more };
  }

  stage(volume: PublishedVolume, secrets: object): Promise<object> {
    return this.node.call('Node', 'nodeStageVolume', this.stageRequest(volume, secrets));
  }

  publishRequest(volume: PublishedVolume, pod: string, secrets: object, more: object = {}): object {
    return { ...this.stageRequest(volume, secrets), targetPath: this.target(pod), ...more };
  }

  /** Answers the path where the pod sees its volume. */
  async publish(volume: PublishedVolume, pod: string, secrets: object): Promise<string> {
    await this.node.call('Node', 'nodePublishVolume', this.publishRequest(volume, pod, secrets));
    return this.target(pod);
  }

  unpublish(volume: PublishedVolume, pod: string): Promise<object> {
    const { volumeId } = volume;
    return this.node.call('Node', 'nodeUnpublishVolume', { volumeId, targetPath: this.target(pod) });
  }

  unstage(volume: PublishedVolume): Promise<object> {
    const { volumeId } = volume;
    return this.node.call('Node', 'nodeUnstageVolume', { volumeId, stagingTargetPath: this.staging(volume) });
  }

  delete(volume: PublishedVolume, secrets: object): Promise<object> {
    return this.controller.call('Controller', 'deleteVolume', { volumeId: volume.volumeId, secrets });
  }
}
