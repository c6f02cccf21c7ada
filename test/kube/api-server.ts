// A real API server with its etcd, of the test's own: no controllers and no node, so it starts in seconds. It can be
// stopped and started again with what it has.
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { KubeClient } from '../../src/kube/client.ts';
import { connectKube } from '../../src/kube/connect.ts';
import { fileSystemDefinition } from '../../src/kube/crd/definition.ts';
import { etcdCommand, type Ports } from '../cluster/testbed/control-plane.ts';
import { Authority } from '../harness/certificates.ts';
import { freePort } from '../harness/port.ts';
import { ended, type Outcome, run, runOk, until } from '../harness/program.ts';
import type { Temp } from '../harness/temp.ts';
import { clusterPrograms } from '../harness/tools.ts';

const LOOPBACK = '127.0.0.1';
const START_MS = 120_000;

export class ApiServer {
  /** Of an administrator, whom nothing is refused. */
  readonly kubeconfig: string;
  readonly ca: string;
  readonly token: string;
  readonly port: number;
  readonly #temp: Temp;
  readonly #ports: Ports;
  readonly #flags: readonly string[];
  #etcd: ChildProcess | undefined;
  #server: ChildProcess | undefined;

  private constructor(temp: Temp, parts: { ports: Ports; flags: readonly string[]; ca: string; token: string }) {
    this.#temp = temp;
    this.#ports = parts.ports;
    this.#flags = parts.flags;
    this.ca = parts.ca;
    this.token = parts.token;
    this.port = parts.ports.api;
    this.kubeconfig = temp.at('kubeconfig');
    writeFileSync(this.kubeconfig, kubeconfig(this.port, parts.ca, parts.token), { mode: 0o600 });
    temp.beforeRemoval(() => this.#end());
  }

  /** Ready, and with our own kind of object. */
  static async start(temp: Temp): Promise<ApiServer> {
    const authority = await Authority.make(temp);
    const { certificate, key } = await authority.server([LOOPBACK, 'localhost']);
    const [accounts, publicAccounts] = [temp.at('accounts.key'), temp.at('accounts.pub')];
    await runOk('openssl', ['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', accounts]);
    await runOk('openssl', ['ec', '-in', accounts, '-pubout', '-out', publicAccounts]);
    const token = randomBytes(16).toString('hex');
    writeFileSync(temp.at('tokens.csv'), `${token},admin,admin,"system:masters"\n`, { mode: 0o600 });
    const ports = { api: await freePort(), etcd: await freePort(), etcdPeers: await freePort() };
    const flags = [
      `--etcd-servers=http://${LOOPBACK}:${ports.etcd}`,
      `--bind-address=${LOOPBACK}`,
      `--advertise-address=${LOOPBACK}`,
      `--secure-port=${ports.api}`,
      '--endpoint-reconciler-type=none',
      `--tls-cert-file=${certificate}`,
      `--tls-private-key-file=${key}`,
      `--token-auth-file=${temp.at('tokens.csv')}`,
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-key-file=${publicAccounts}`,
      `--service-account-signing-key-file=${accounts}`,
      '--service-cluster-ip-range=10.96.0.0/16',
      '--authorization-mode=Node,RBAC',
      '--allow-privileged=true',
      '--profiling=false',
    ];
    const server = new ApiServer(temp, { ports, flags, ca: authority.pem, token });
    await server.#begin();
    const definition = temp.at('definition.json');
    writeFileSync(definition, JSON.stringify(fileSystemDefinition()));
    await server.kubectl('apply', '-f', definition);
    await server.kubectl('wait', '--for=condition=Established', 'crd/filesystems.pageseal.dev', '--timeout=60s');
    return server;
  }

  async kubectl(...args: readonly string[]): Promise<string> {
    const outcome = await this.tryKubectl(args);
    if (outcome.code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${outcome.stderr}`);
    return outcome.stdout.trim();
  }

  tryKubectl(args: readonly string[], input?: string): Promise<Outcome> {
    const all = [`--kubeconfig=${this.kubeconfig}`, ...args];
    return run(join(clusterPrograms, 'kubectl'), all, {
      env: this.#temp.env,
      ...(input !== undefined && { input }),
    });
  }

  /** Objects as JSON, made or changed. */
  apply(object: unknown): Promise<Outcome> {
    return this.tryKubectl(['apply', '-f', '-'], JSON.stringify(object));
  }

  async client(): Promise<KubeClient> {
    return connectKube({ kubeconfig: this.kubeconfig });
  }

  /** The API server alone; etcd keeps what it has. Told to end it would wait a minute for who watches. */
  async stop(): Promise<void> {
    this.#server?.kill('SIGKILL');
    if (this.#server !== undefined) await ended(this.#server);
    this.#server = undefined;
  }

  async start(): Promise<void> {
    this.#server = this.#spawn('kube-apiserver', this.#flags);
    const server = this.#server;
    await until(
      'the API server to be ready',
      async () => {
        if (server.exitCode !== null) throw new Error(`it ended:\n${this.#log('kube-apiserver').slice(-2000)}`);
        return (await this.tryKubectl(['get', '--raw', '/readyz'])).code === 0;
      },
      START_MS,
    );
  }

  /** As if months had passed: no point of before can be gone on from. */
  async compact(): Promise<void> {
    const version = JSON.parse(await this.kubectl('get', '--raw', '/api/v1/namespaces')) as {
      metadata: { resourceVersion: string };
    };
    const response = await fetch(`http://${LOOPBACK}:${this.#ports.etcd}/v3/kv/compaction`, {
      method: 'POST',
      body: JSON.stringify({ revision: version.metadata.resourceVersion }),
    });
    if (!response.ok) throw new Error(`compaction: ${await response.text()}`);
  }

  async #begin(): Promise<void> {
    const [, ...flags] = etcdCommand({ state: this.#temp.path, ports: this.#ports });
    this.#etcd = this.#spawn('etcd', flags);
    await this.start();
    await until('the default namespace', async () => (await this.tryKubectl(['get', 'ns', 'default'])).code === 0);
  }

  async #end(): Promise<void> {
    await this.stop();
    this.#etcd?.kill('SIGKILL');
    if (this.#etcd !== undefined) await ended(this.#etcd);
  }

  #spawn(name: string, flags: readonly string[]): ChildProcess {
    const log = openSync(this.#temp.at(`${name}.log`), 'a');
    const stdio: ['ignore', number, number] = ['ignore', log, log];
    const child = spawn(join(clusterPrograms, name), flags, { env: this.#temp.env, stdio });
    closeSync(log);
    return child;
  }

  #log(name: string): string {
    return readFileSync(this.#temp.at(`${name}.log`), 'utf8');
  }
}

function kubeconfig(port: number, ca: string, token: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
    clusters: [
      {
        name: 'test',
        cluster: {
          server: `https://${LOOPBACK}:${port}`,
          'certificate-authority-data': Buffer.from(ca).toString('base64'),
        },
      },
    ],
    users: [{ name: 'admin', user: { token } }],
  });
}
