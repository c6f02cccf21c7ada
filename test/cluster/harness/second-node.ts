// A second node, as far as one kubelet allows: node server and keeper of another node id, in mounts of their own, on the
// network of the cluster's node. A test says to it what its kubelet would.
import { mkdirSync } from 'node:fs';
import type { V1PersistentVolume } from '@kubernetes/client-node';
import { CsiNode, type PublishedVolume } from '../../harness/csi-node.ts';
import { Names } from '../../harness/names.ts';
import { Temp } from '../../harness/temp.ts';
import { hostAliases } from '../testbed/servers.ts';
import type { Cluster } from './cluster.ts';

export const SECOND_NODE = 'node-2';

export class SecondNode {
  readonly csi: CsiNode;
  readonly #names: Names;

  private constructor(csi: CsiNode, names: Names) {
    this.csi = csi;
    this.#names = names;
  }

  /** Gone with its owner. */
  static async start(cluster: Cluster, owner: { after(hook: () => Promise<void>): void }): Promise<SecondNode> {
    const temp = new Temp();
    owner.after(() => temp.remove());
    const names = await Names.on(temp, cluster.node.pid, hostAliases);
    const folder = temp.folder('second');
    const place = { env: temp.env, enter: names.enter, at: (...parts: string[]) => [folder, ...parts].join('/') };
    const csi = new CsiNode(place, ['--node-id', SECOND_NODE]);
    temp.beforeRemoval(() => csi.stop());
    await csi.startOne('keeper');
    await csi.startOne('node');
    return new SecondNode(csi, names);
  }

  /** A path on this node, as a path of the test's own. */
  at(path: string): string {
    return this.#names.at(path);
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
