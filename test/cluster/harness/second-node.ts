// A second node, as far as one kubelet allows: node server and keeper of another node id, in mounts of their own, on the
// network of the cluster's node. A test says to it what its kubelet would.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import type { V1PersistentVolume } from '@kubernetes/client-node';
import { CsiNode, type PublishedVolume } from '../../harness/csi-node.ts';
import { Temp } from '../../harness/temp.ts';
import { hostAliases } from '../testbed/servers.ts';
import type { Cluster } from './cluster.ts';

export const SECOND_NODE = 'node-2';

export class SecondNode {
  readonly csi: CsiNode;
  readonly #pid: number;

  private constructor(csi: CsiNode, pid: number) {
    this.csi = csi;
    this.#pid = pid;
  }

  /** Gone with its owner. */
  static async start(cluster: Cluster, owner: { after(hook: () => Promise<void>): void }): Promise<SecondNode> {
    const temp = new Temp();
    owner.after(() => temp.remove());
    const hosts = temp.at('hosts');
    writeFileSync(hosts, hostAliases.map(({ ip, hostnames }) => `${ip} ${hostnames.join(' ')}\n`).join(''));
    const pid = await holdMounts(temp, cluster.node.pid, hosts);
    const enter = ['nsenter', '--target', String(pid), '--mount', '--net', '--'];
    const folder = temp.folder('second');
    const place = { env: temp.env, enter, at: (...parts: string[]) => [folder, ...parts].join('/') };
    const csi = new CsiNode(place, ['--node-id', SECOND_NODE]);
    temp.beforeRemoval(() => csi.stop());
    await csi.startOne('keeper');
    await csi.startOne('node');
    return new SecondNode(csi, pid);
  }

  /** A path on this node, as a path of the test's own. */
  at(path: string): string {
    return `/proc/${this.#pid}/root${path}`;
  }

  /** Stages and publishes; answers where the test finds its files. */
  async mount(volume: V1PersistentVolume, pod: string, secrets: Readonly<Record<string, string>>): Promise<string> {
    const published = publishedVolume(volume);
    mkdirSync(this.csi.staging(published), { recursive: true });
    await this.csi.stage(published, secrets);
    return this.at(await this.csi.publish(published, pod, secrets));
  }

  async unmount(volume: V1PersistentVolume, pod: string): Promise<void> {
    const published = publishedVolume(volume);
    await this.csi.unpublish(published, pod);
    await this.csi.unstage(published);
  }
}

function publishedVolume({ spec, metadata }: V1PersistentVolume): PublishedVolume {
  if (spec?.csi === undefined) throw new Error(`volume ${metadata?.name} is none of a CSI driver`);
  return { volumeId: spec.csi.volumeHandle, volumeContext: spec.csi.volumeAttributes ?? {} };
}

/** A process in mounts of its own, which keeps them; with names that no DNS knows. */
async function holdMounts(temp: Temp, machine: number, hosts: string): Promise<number> {
  const script = `mount --bind ${hosts} /etc/hosts && echo made && exec sleep infinity`;
  const apart = ['unshare', '--mount', '--propagation', 'slave', 'sh', '-ec', script];
  const child = spawn('nsenter', ['--target', String(machine), '--net', '--', ...apart], {
    env: temp.env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await Promise.race([once(child.stdout, 'data'), failed(child)]);
  child.stdout.destroy();
  child.unref(); // it goes with the test's folder
  if (child.pid === undefined) throw new Error('nsenter did not start');
  return child.pid;
}

async function failed(child: ChildProcess): Promise<never> {
  const [code] = await once(child, 'exit');
  throw new Error(`unshare --mount: exit ${code}`);
}
