// The files of deploy/examples as a reader uses them: the commands in their first comment are run as they stand there, in a
// folder that holds the files which they ask for. Everything that they make is taken away again.
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { makeKey, publicHalf } from '../harness/keys.ts';
import { run } from '../harness/program.ts';
import type { Temp } from '../harness/temp.ts';
import { clusterPrograms, root } from '../harness/tools.ts';
import { Backend } from './harness/backend.ts';
import type { Cluster } from './harness/cluster.ts';
import type { Kubectl, KubeObject } from './harness/kubectl.ts';

export const PASSPHRASE = 'correct horse battery staple';
/** A command waits for pods that pull nothing and write a line. */
const COMMANDS_BOUND_MS = 600_000;

/** A folder with the files that the examples need, a database for their schemas, and the buckets that they name. */
export class Examples {
  readonly cluster: Cluster;
  /** Its role may make schemas; its own bucket is not used. */
  readonly backend: Backend;
  readonly #temp: Temp;

  private constructor(cluster: Cluster, temp: Temp, backend: Backend) {
    this.cluster = cluster;
    this.#temp = temp;
    this.backend = backend;
  }

  /** `buckets` are made, and go with the folder. */
  static async make(cluster: Cluster, temp: Temp, buckets: readonly string[] = ['volumes']): Promise<Examples> {
    // A hook that is asked for in a hook runs at that one's end, so the folder's owner takes everything away.
    const owner = { after: (hook: () => void) => temp.beforeRemoval(async () => hook()) };
    const examples = new Examples(cluster, temp, Backend.make(cluster, owner));
    for (const bucket of buckets) {
      const folder = examples.bucketFolder(bucket);
      mkdirSync(folder);
      owner.after(() => rmSync(folder, { recursive: true, force: true }));
    }
    await examples.#writeFiles();
    return examples;
  }

  bucketFolder(bucket: string): string {
    return join(this.cluster.servers.buckets, bucket);
  }

  async #writeFiles(): Promise<void> {
    const { servers } = this.cluster;
    const key = await makeKey(this.#temp, 2048, 'pkcs8', PASSPHRASE);
    const files: Record<string, string> = {
      'volume.pem': readFileSync(key.file, 'utf8'),
      'public.pem': readFileSync(await publicHalf(this.#temp, key), 'utf8'),
      passphrase: PASSPHRASE,
      'ca.pem': this.backend.authority,
      'access-key': servers.accessKey,
      'secret-key': servers.secretKey,
      metaurl: this.backend.metaUrl(`\${fs}`),
      'juicefs-metaurl': this.backend.metaUrl('juicefs'),
      envs: `{TZ: Europe/Berlin, JFS_RSA_PASSPHRASE: ${PASSPHRASE}}`,
    };
    for (const schema of ['shared', 'archive', 'projects', 'juicefs']) {
      if (schema !== 'juicefs') files[`${schema}-metaurl`] = this.backend.metaUrl(schema);
      this.backend.sql(`CREATE SCHEMA ${schema} AUTHORIZATION ${this.backend.name}`);
    }
    for (const [name, text] of Object.entries(files)) writeFileSync(join(this.#folder, name), text, { mode: 0o600 });
    symlinkSync(join(root, 'deploy'), join(this.#folder, 'deploy'));
  }

  get #folder(): string {
    return this.#temp.folder('examples');
  }

  kubectl(namespace: string): Kubectl {
    return this.cluster.kubectl.in(namespace);
  }

  /** The commands of an example, from the `from`th paragraph on. Answers what they printed. */
  async run(name: string, from = 0, to = Number.POSITIVE_INFINITY): Promise<string> {
    const path = [join(root, 'bin'), clusterPrograms, process.env['PATH']].join(delimiter);
    const env = { ...this.#temp.env, KUBECONFIG: this.cluster.described.kubeconfig, PATH: path };
    const script = paragraphsOf(name).slice(from, to).join('\n');
    const options = { env, cwd: this.#folder, timeoutMs: COMMANDS_BOUND_MS };
    const { code, stdout, stderr } = await run('sh', ['-ec', script], options);
    if (code !== 0) throw new Error(`${name}: exit ${code}\n${stdout}${stderr}\n${await this.#explain(name)}`);
    return stdout;
  }

  /** What an example made, and volumes of its claims: gone when it resolves, unless they are retained. */
  async remove(name: string): Promise<void> {
    const { kubectl } = this.cluster;
    const objects = objectsOf(name);
    const namespaces = namespacesOf(name);
    for (const namespace of namespaces)
      for (const kind of ['deployments,statefulsets,jobs,pods', 'persistentvolumeclaims'])
        await kubectl.in(namespace).ok(['delete', kind, '--all', '--wait', '--timeout=120s'], { timeoutMs: 150_000 });
    const isOurs = (volume: Volume): boolean => namespaces.includes(volume.spec?.claimRef?.namespace ?? '');
    for (const volume of (await kubectl.list<Volume>('pv')).filter(isOurs)) {
      const volumeName = volume.metadata?.name ?? '';
      if (volume.spec?.persistentVolumeReclaimPolicy === 'Retain') await kubectl.delete('pv', volumeName);
      else await kubectl.until('pv', volumeName, 'to be deleted', (found) => found === undefined);
    }
    for (const { kind = '', metadata } of objects.filter((each) => each.metadata?.namespace === undefined))
      await kubectl.delete(kind, metadata?.name ?? '');
    for (const namespace of namespaces) await kubectl.delete('namespace', namespace);
  }

  async #explain(name: string): Promise<string> {
    const all = [...namespacesOf(name).map((each) => this.kubectl(each)), this.cluster.system];
    return (await Promise.all(all.map((kubectl) => kubectl.explainAll()))).join('\n');
  }
}

interface Volume extends KubeObject {
  readonly spec?: {
    readonly persistentVolumeReclaimPolicy?: string;
    readonly claimRef?: { readonly namespace?: string };
  };
}

const textOf = (name: string): string => readFileSync(join(root, 'deploy/examples', `${name}.yaml`), 'utf8');

const objectsOf = (name: string): KubeObject[] =>
  parseAllDocuments(textOf(name)).map((document) => document.toJS() as KubeObject);

/** Those that its commands make. */
const namespacesOf = (name: string): string[] =>
  [...textOf(name).matchAll(/^# \$ kubectl create namespace (\S+)$/gm)].map(([, namespace = '']) => namespace);

/** Runs of `# $ COMMAND` lines with continued ones, a text for each run between empty lines. */
function paragraphsOf(name: string): string[] {
  const header = /^(#.*\n)*/.exec(textOf(name))?.[0] ?? '';
  return header
    .split(/^#\n/m)
    .map((part) => {
      let continued = false;
      return part
        .split('\n')
        .filter((line) => {
          const wanted = line.startsWith('# $ ') || continued;
          continued = wanted && line.endsWith('\\');
          return wanted;
        })
        .map((line) => line.replace(/^# (\$ )?/, ''))
        .join('\n');
    })
    .filter((text) => text !== '');
}
