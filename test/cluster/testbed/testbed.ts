// A Kubernetes cluster for tests, on one machine and without a registry: the real programs in namespaces of their own. In
// mode `api` only etcd and an API server, on loopback and without root, for what deals with objects only.
import { cpSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../harness/port.ts';
import { run, runOk, until } from '../../harness/program.ts';
import { Temp } from '../../harness/temp.ts';
import { ClusterCertificates } from './certificates.ts';
import { makeControlGroup, removeControlGroup } from './control-groups.ts';
import * as plane from './control-plane.ts';
import { API_ADDRESS, Machine, NODE_ADDRESS } from './machine.ts';
import * as node from './node.ts';
import { type Component, imageFolder, lastLines, mustRun, programPath, startComponent } from './programs.ts';

export type Mode = 'api' | 'node';

/** The cluster itself, as handed on to the test files of a run. */
export interface DescribedTestbed {
  readonly id: string;
  readonly mode: Mode;
  /** Of the cluster's administrator. */
  readonly kubeconfig: string;
  readonly state: string;
  readonly logs: string;
  /** Its `pid` is of the process that holds the namespaces; `kubeletFolder` as seen in there. Mode `node` only. */
  readonly node?: {
    readonly name: string;
    readonly address: string;
    readonly pid: number;
    readonly kubeletFolder: string;
  };
}

export interface TestbedOptions {
  readonly id: string;
  readonly mode: Mode;
  /** Where the logs go when it ends. */
  readonly keepLogs?: string;
}

const NODE = 'node-1';
/** Only etcd's and the API server's first start on a machine that is busy takes long. */
const START_BOUND_MS = 180_000;

export class Testbed {
  readonly temp = new Temp();
  readonly #options: TestbedOptions;
  readonly #components: Component[] = [];
  readonly #plane: plane.Plane;
  #machine: Machine | undefined;

  private constructor(options: TestbedOptions, ports: plane.Ports) {
    this.#options = options;
    const state = this.temp.folder('cluster');
    for (const folder of ['conf', 'logs']) mkdirSync(join(state, folder));
    const certificates = new ClusterCertificates(join(state, 'pki'));
    this.#plane = { state, ports, certificates, node: options.mode === 'node' ? NODE : undefined };
    this.temp.beforeRemoval(() => this.#end());
  }

  static async start(options: TestbedOptions): Promise<Testbed> {
    const ports = options.mode === 'node' ? plane.OWN_PORTS : await freePorts();
    const testbed = new Testbed(options, ports);
    try {
      await testbed.#start();
    } catch (error) {
      const said = testbed.#lastWords();
      await testbed.stop();
      throw new Error(`the cluster did not start:\n${said}`, { cause: error });
    }
    return testbed;
  }

  get described(): DescribedTestbed {
    const { id, mode } = this.#options;
    const { state } = this.#plane;
    const common = { id, mode, state, kubeconfig: join(state, 'kubeconfig'), logs: this.#logs };
    if (this.#machine === undefined) return common;
    const { pid } = this.#machine;
    return { ...common, node: { name: NODE, address: NODE_ADDRESS, pid, kubeletFolder: node.KUBELET_FOLDER } };
  }

  /** Imports an archive as images of the node. */
  async load(archive: string): Promise<void> {
    await this.#inside(['ctr', '-a', node.CONTAINERD_SOCKET, '-n', 'k8s.io', 'images', 'import', archive]);
  }

  async stop(): Promise<void> {
    await this.temp.remove();
  }

  async #start(): Promise<void> {
    const { state, certificates, ports } = this.#plane;
    const certified = plane.makeCertificates(certificates, NODE);
    if (this.#plane.node !== undefined) this.#machine = await Machine.start(state, this.#logs, this.temp.env);
    await certified;
    this.#begin('etcd', plane.etcdCommand(this.#plane));
    this.#begin('kube-apiserver', plane.apiServerCommand(this.#plane));
    for (const name of ['kcm', 'scheduler', 'kubelet'])
      certificates.writeKubeconfig(join(state, 'conf', name), name, plane.apiServerUrl(this.#plane));
    const port = this.#machine === undefined ? ports.api : await this.#forward(this.#machine);
    certificates.writeKubeconfig(this.described.kubeconfig, 'admin', `https://127.0.0.1:${port}`);
    const images = this.#machine === undefined ? undefined : this.#startContainers();
    await this.#answers('the API server', ['get', '--raw', '/readyz']);
    if (images === undefined) return await this.#answers('the first namespace', ['get', 'namespace', 'default']);
    this.#begin('kube-controller-manager', plane.controllerManagerCommand(this.#plane));
    this.#begin('kube-scheduler', plane.schedulerCommand(this.#plane));
    await images;
    makeControlGroup(this.#controlGroup);
    this.#begin('kubelet', node.kubeletCommand(this.#nodeSettings));
    await this.#answers('the first service account', ['get', 'serviceaccount', 'default']);
    await this.#answers('the node', ['wait', '--for=condition=Ready', `node/${NODE}`, '--timeout=1s']);
  }

  /** Beside the API server's start. */
  async #startContainers(): Promise<void> {
    this.#begin('containerd', node.containerdCommand(this.#nodeSettings));
    const socket = ['-a', node.CONTAINERD_SOCKET, 'version'];
    await this.#until('containerd', async () => (await this.#try(['ctr', ...socket])) === 0);
    for (const archive of readdirSync(imageFolder)) await this.load(join(imageFolder, archive));
  }

  /** The API server on a port of the host's loopback, which it answers. */
  async #forward(machine: Machine): Promise<string> {
    const file = join(this.#plane.state, 'port');
    const command = [
      programPath('netfwd'),
      '-target',
      String(machine.pid),
      '-to',
      `${API_ADDRESS}:443`,
      '-port-file',
      file,
    ];
    this.#components.push(startComponent({ name: 'netfwd', logs: this.#logs, env: this.temp.env, command }));
    let port = '';
    await this.#until('the way to the API server', () => {
      port = readdirSync(this.#plane.state).includes('port') ? readFileSync(file, 'utf8') : '';
      return port !== '';
    });
    return port;
  }

  #begin(name: string, program: readonly string[]): void {
    const command = [...(this.#machine?.enter ?? []), ...program];
    this.#components.push(startComponent({ name, logs: this.#logs, env: this.temp.env, command }));
  }

  #answers(what: string, args: readonly string[]): Promise<void> {
    const command = [
      programPath('kubectl'),
      '--kubeconfig',
      this.described.kubeconfig,
      '--request-timeout=5s',
      ...args,
    ];
    const [program = '', ...rest] = command;
    return this.#until(what, async () => (await run(program, rest)).code === 0);
  }

  #until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
    const look = async (): Promise<boolean> => {
      if (await condition()) return true;
      for (const component of this.#components) mustRun(component);
      return false;
    };
    return until(what, look, START_BOUND_MS);
  }

  async #try(command: readonly string[]): Promise<number> {
    const [program = '', ...args] = [...(this.#machine?.enter ?? []), ...command];
    return (await run(program, args)).code;
  }

  async #inside(command: readonly string[]): Promise<void> {
    const [program = '', ...args] = [...(this.#machine?.enter ?? []), ...command];
    await runOk(program, args);
  }

  async #end(): Promise<void> {
    for (const { child } of this.#components) child.kill('SIGKILL');
    await this.#machine?.stop();
    if (this.#machine !== undefined) await removeControlGroup(this.#controlGroup);
    const { keepLogs } = this.#options;
    if (keepLogs !== undefined) cpSync(this.#logs, keepLogs, { recursive: true, force: true });
  }

  #lastWords(): string {
    return this.#components
      .map(({ name, log }) => `--- ${name}\n${lastLines(readFileSync(log, 'utf8'), 5)}`)
      .join('\n');
  }

  get #logs(): string {
    return join(this.#plane.state, 'logs');
  }

  get #controlGroup(): string {
    return `pageseal-${this.#options.id}`;
  }

  get #nodeSettings(): node.NodeSettings {
    const { state, certificates } = this.#plane;
    return { name: NODE, state, certificates, logs: this.#logs, controlGroup: `/${this.#controlGroup}` };
  }
}

async function freePorts(): Promise<plane.Ports> {
  return { api: await freePort(), etcd: await freePort(), etcdPeers: await freePort() };
}
