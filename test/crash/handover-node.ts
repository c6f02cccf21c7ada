// A node with keeper and node plugin as a cluster runs them, one published volume, and the ways in which they end.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { CsiNode, type KeeperStart, type PublishedVolume } from '../harness/csi-node.ts';
import { makeKey, publicHalf } from '../harness/keys.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { run, runOk, until } from '../harness/program.ts';
import { descendants, makeTemp, type Temp } from '../harness/temp.ts';
import { isRunning } from '../keeper/node.ts';

const PASSPHRASE = 'canary-passphrase-handover';

export class HandoverNode {
  readonly temp: Temp;
  readonly csi: CsiNode;
  readonly secrets: Readonly<Record<string, string>>;
  readonly #provisioner: Readonly<Record<string, string>>;
  readonly #keyFile: string;
  readonly #contained: boolean;
  readonly #volumes: PublishedVolume[] = [];

  private constructor(temp: Temp, key: { readonly file: string; readonly public: string }, start: KeeperStart) {
    this.temp = temp;
    this.#contained = start.enter !== undefined;
    this.csi = new CsiNode(temp, undefined, start);
    this.#keyFile = key.file;
    this.secrets = { 'rsa-key': readFileSync(key.file, 'utf8'), passphrase: PASSPHRASE };
    this.#provisioner = { 'rsa-public-key': readFileSync(key.public, 'utf8') };
  }

  /** `contained`: the keeper as the first process of namespaces of its own, new ones at each start. */
  static async make(temp: Temp, flags: readonly string[] = [], contained = false): Promise<HandoverNode> {
    const key = await makeKey(temp, 2048, 'pkcs8', PASSPHRASE);
    const enter = [
      'unshare',
      '--mount',
      '--propagation',
      'unchanged',
      '--pid',
      '--fork',
      '--kill-child',
      '--mount-proc',
    ];
    const start = { flags: ['--hand-over', ...flags], ...(contained && { enter }) };
    const node = new HandoverNode(temp, { file: key.file, public: await publicHalf(temp, key) }, start);
    // What a container sees as Bidirectional: mounts below come and go on both sides.
    for (const folder of contained ? ['kubelet', 'run/mounts'] : []) {
      await runOk('mount', ['--bind', temp.folder(folder), temp.at(folder)]);
      await runOk('mount', ['--make-shared', temp.at(folder)]);
    }
    await node.csi.start();
    return node;
  }

  /** Answers the folder that the pod sees. */
  async publish(pod: string): Promise<string> {
    const volume = await this.csi.create(`pvc-${pod}`, this.#provisioner);
    this.#volumes.push(volume);
    await this.csi.stage(volume, this.secrets);
    return await this.csi.publish(volume, pod, this.secrets);
  }

  get volume(): PublishedVolume {
    const [volume] = this.#volumes;
    if (volume === undefined) throw new Error('no volume was published');
    return volume;
  }

  /** The keeper itself, whatever stands before it. */
  get keeperPid(): number {
    const pid = this.csi.pid('keeper');
    return this.#contained ? (descendants(pid)[0] ?? pid) : pid;
  }

  /** All that run now, of all volumes. */
  get workerPids(): number[] {
    return descendants(this.keeperPid);
  }

  async endKeeper(signal: NodeJS.Signals): Promise<void> {
    const workers = this.workerPids;
    const keeper = this.keeperPid;
    process.kill(keeper, signal);
    await this.csi.stopOne('keeper', 'SIGCONT'); // only waits
    await until('keeper and workers are gone', () => ![keeper, ...workers].some(isRunning));
  }

  async replaceKeeper(signal: NodeJS.Signals): Promise<void> {
    await this.endKeeper(signal);
    await this.csi.startOne('keeper');
  }

  async replacePlugin(): Promise<void> {
    await this.csi.stopOne('node', 'SIGKILL');
    await this.csi.startOne('node');
  }

  /** Everything ends, the keeper last: what it hands over nobody holds then. */
  async stop(): Promise<void> {
    if (this.#contained) await this.endKeeper('SIGTERM').catch(() => undefined); // it may have ended already
    await this.csi.stop();
  }

  log(name: 'keeper' | 'node'): string {
    return readFileSync(this.csi.logFile(name), 'utf8');
  }

  /** The plugin has descriptors of `count` volumes: two each. */
  async held(count: number): Promise<void> {
    const pid = this.csi.pid('node');
    await until(`${count} volumes are held`, async () => {
      const links = await run('ls', ['-l', `/proc/${pid}/fd`]);
      return links.stdout.split('\n').filter((line) => / (\/dev)?\/fuse$/.test(line)).length === count;
    });
  }

  /** Unpublished and unstaged; nothing of it is left on the node, and it is whole. */
  async finish(pod: string): Promise<void> {
    const volume = this.volume;
    await this.csi.unpublish(volume, pod);
    await this.csi.unstage(volume);
    await this.held(0);
    assert.deepEqual(this.workerPids, []);
    assert.deepEqual(
      this.temp.mounts().filter((path) => ![this.temp.at('kubelet'), this.temp.at('run/mounts')].includes(path)),
      [],
    );
    assert.deepEqual(readdirSync(this.temp.at('run/mounts')), []);
    await this.fsck();
  }

  async fsck(): Promise<void> {
    const [database = ''] = readdirSync(this.csi.embedded, { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.db'),
    );
    const metaUrl = `sqlite3://${join(this.csi.embedded, database)}`;
    await new Pageseal(this.temp, PASSPHRASE).ok(['fsck', metaUrl, '--rsa-key', this.#keyFile]);
  }
}

/** Goes with the test. */
export async function makeNode(
  t: TestContext,
  flags: readonly string[] = [],
  contained = false,
): Promise<HandoverNode> {
  const node = await HandoverNode.make(makeTemp(t), flags, contained);
  t.after(() => node.stop());
  return node;
}
