// A keeper as a node runs it, with one formatted volume, in a test's folder.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { connectKeeper, type Keeper } from '../../src/keeper/client.ts';
import type { Connection, MountRequest } from '../../src/keeper/messages.ts';
import { makeKey, type TestKey } from '../harness/keys.ts';
import { Pageseal, pagesealProgram } from '../harness/pageseal.ts';
import { ended, until } from '../harness/program.ts';
import type { Temp } from '../harness/temp.ts';

export const PASSPHRASE = 'canary-passphrase';

export class KeeperNode {
  readonly temp: Temp;
  readonly key: TestKey;
  readonly keeper: Keeper;
  #child: ChildProcess | undefined;

  private constructor(temp: Temp, key: TestKey) {
    this.temp = temp;
    this.key = key;
    this.keeper = connectKeeper(temp.at('run/keeper.sock'));
    temp.folder('kubelet/staging');
    temp.folder('kubelet/pods');
  }

  static async make(temp: Temp): Promise<KeeperNode> {
    const key = await makeKey(temp, 2048, 'pkcs8', PASSPHRASE);
    const node = new KeeperNode(temp, key);
    const flags = ['--rsa-key', key.file, '--trash-days', '0', '--block-size', '256K'];
    await new Pageseal(temp, PASSPHRASE).format(node.metaUrl, 'vol', `${temp.folder('bucket')}/`, flags);
    await node.start();
    return node;
  }

  get metaUrl(): string {
    return `sqlite3://${this.temp.at('meta.db')}`;
  }
  get log(): string {
    return readFileSync(this.temp.at('keeper.log'), 'utf8');
  }
  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  async start(): Promise<void> {
    const log = openSync(this.temp.at('keeper.log'), 'w');
    const args = ['--run-directory', this.temp.at('run'), '--kubelet-directory', this.temp.at('kubelet')];
    const stdio: ('ignore' | number)[] = ['ignore', log, log];
    const child = spawn(pagesealProgram, ['--log-level', 'debug', 'keeper', ...args], { env: this.temp.env, stdio });
    closeSync(log);
    this.#child = child;
    await until('the keeper serves', () => {
      if (child.exitCode !== null) throw new Error(`the keeper ended: ${this.log}`);
      return this.log.includes('keeper serves');
    });
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.#child === undefined) return;
    this.#child.kill(signal);
    await ended(this.#child);
    this.#child = undefined;
  }

  connection(change: Partial<Connection> = {}): Connection {
    return {
      metaUrl: this.metaUrl,
      storage: '',
      bucket: '',
      accessKey: '',
      secretKey: '',
      sessionToken: '',
      caBundle: '',
      rsaKey: readFileSync(this.key.file),
      passphrase: Buffer.from(PASSPHRASE),
      hasPassphrase: true,
      encryptionRequired: true,
      ...change,
    };
  }

  mountRequest(change: Partial<MountRequest> = {}): MountRequest {
    return {
      volumeId: 'v1',
      stagingPath: this.temp.at('kubelet/staging/v1'),
      connection: this.connection(),
      fileSystemUuid: '',
      directory: '/',
      readOnly: false,
      options: [],
      ...change,
    };
  }

  target(name: string): string {
    return this.temp.at('kubelet/pods', name);
  }

  /** Mounted and bound; answers the target. */
  async publish(name: string): Promise<string> {
    await this.keeper.mount(this.mountRequest());
    await this.keeper.bind({ volumeId: 'v1', targetPath: this.target(name), readOnly: false });
    return this.target(name);
  }

  async worker(): Promise<{ readonly pid: number; readonly restarts: number }> {
    const [volume] = await this.keeper.list();
    if (volume === undefined) throw new Error('no volume is mounted');
    return { pid: volume.workerPid, restarts: volume.restarts };
  }
}

/** A process that has not ended; one that only waits to be reaped has. */
export function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3) !== 'Z';
  } catch {
    return false;
  }
}
