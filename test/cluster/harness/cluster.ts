// The cluster of a test file: the one that `npm test` has started for the whole pass, else one of the file's own, which
// ends with it. Its namespaces for tests are made and taken away one by one.
import { randomBytes } from 'node:crypto';
import { after } from 'node:test';
import type { V1PersistentVolume } from '@kubernetes/client-node';
import type { Namespace } from '../../harness/namespace.ts';
import { type Outcome, type RunOptions, run, until } from '../../harness/program.ts';
import type { Temp } from '../../harness/temp.ts';
import { serversNetwork } from '../testbed/machine.ts';
import type { Release } from '../testbed/release.ts';
import type { ClusterServers } from '../testbed/servers.ts';
import { type Described, type Started, start } from '../testbed/start.ts';
import { Kubectl } from './kubectl.ts';

/** Of every cluster test, for `needs`. */
export const clusterNeeds = ['root', 'fuse', 'openssl', 'the cluster', 'postgres', 'versitygw'] as const;

export class Cluster {
  readonly described: Described;
  /** As administrator, in namespace `default`. */
  readonly kubectl: Kubectl;

  constructor(described: Described) {
    this.described = described;
    this.kubectl = new Kubectl(described.kubeconfig);
  }

  get node(): NonNullable<Described['node']> {
    return this.described.node ?? absent('node');
  }

  /** PostgreSQL and S3. */
  get servers(): ClusterServers {
    return this.described.servers ?? absent('servers');
  }

  /** Of Pageseal. */
  get release(): Release {
    return this.described.release ?? absent('release');
  }

  /** In the namespace of the release. */
  get system(): Kubectl {
    return this.kubectl.in(this.release.namespace);
  }

  /** A command on the node: its mounts, network and processes. */
  onNode(command: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const namespaces = ['--mount', '--net', '--pid'];
    return run('nsenter', ['--target', String(this.node.pid), ...namespaces, '--', ...command], options);
  }

  /** Where servers of a test's own listen: pods reach them. */
  network(temp: Temp): Namespace {
    return serversNetwork(temp, this.node.pid);
  }

  /** A namespace that goes when its owner (a test's context, else the file or suite) ends; if a test failed, it speaks. */
  async namespace(owner: Owner = { after }, labels: Readonly<Record<string, string>> = {}): Promise<TestNamespace> {
    const name = `e2e-${randomBytes(4).toString('hex')}`;
    await this.kubectl.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
    const kubectl = this.kubectl.in(name);
    // The kubelet starts no pod before this is there.
    await kubectl.until('serviceaccount', 'default', 'to be made', (account) => account !== undefined);
    owner.after(() => this.#remove(name, owner.passed === false));
    return { name, kubectl };
  }

  /** Pods first, as a claim in use stays; then claims, as their volumes' Secrets may be in the namespace. */
  async #remove(name: string, failed: boolean): Promise<void> {
    const kubectl = this.kubectl.in(name);
    if (failed) {
      const { release } = this.described;
      const system = release === undefined ? 'not installed' : await this.system.explainAll();
      process.stderr.write(`--- namespace ${name}\n${await kubectl.explainAll()}\n--- Pageseal\n${system}\n`);
    }
    await kubectl.run(['delete', 'pods', '--all', '--wait', '--timeout=60s'], { timeoutMs: 90_000 });
    await kubectl.run(['delete', 'pvc', '--all', '--wait', '--timeout=60s'], { timeoutMs: 90_000 });
    await until(`the volumes of ${name} to go`, async () => (await this.#volumesOf(name)).length === 0);
    await this.kubectl.ok(['delete', 'namespace', name, '--wait=false']);
    leaving.push(
      this.kubectl.until('namespace', name, 'to go', (object) => object === undefined).then(() => undefined),
    );
  }

  /** Those that go with their claim. */
  async #volumesOf(namespace: string): Promise<V1PersistentVolume[]> {
    const all = await this.kubectl.list<V1PersistentVolume>('pv');
    return all.filter(
      ({ spec }) => spec?.claimRef?.namespace === namespace && spec.persistentVolumeReclaimPolicy === 'Delete',
    );
  }
}

function absent(what: string): never {
  throw new Error(`this cluster was started without ${what}`);
}

export interface TestNamespace {
  readonly name: string;
  readonly kubectl: Kubectl;
}

/** A test's context has all of it. */
interface Owner {
  after(hook: () => Promise<void>): void;
  readonly passed?: boolean;
}

let own: Promise<Started> | undefined;
/** Namespaces take some seconds to go; tests of a file do not wait for each other's. */
const leaving: Promise<void>[] = [];

/**
 * Call it in a test or hook, not while the file is read: it may start a cluster. `bare`: one of the file's own need not have
 * servers and Pageseal.
 */
export async function sharedCluster({ bare = false } = {}): Promise<Cluster> {
  const given = process.env['PAGESEAL_TESTBED'];
  if (given !== undefined) return new Cluster(JSON.parse(given) as Described);
  own ??= start({ id: `file-${process.pid}`, mode: 'node', bare });
  return new Cluster((await own).described);
}

after(async () => {
  const left = await Promise.allSettled(leaving);
  const started = await own?.catch(() => undefined);
  await started?.testbed.stop();
  for (const one of left) if (one.status === 'rejected') throw one.reason;
});
