// `pageseal migrate pv NAME`: prints a PersistentVolume of this driver for one of the JuiceFS CSI driver. It reads, from the
// cluster or a file, and changes nothing.
import { readFileSync } from 'node:fs';
import { text as readAll } from 'node:stream/consumers';
import { type Command, Option } from 'commander';
import { fail, hasCode } from '../base/errors.ts';
import type { SecretMap } from '../config/secret.ts';
import type { JuicefsVolume, Mapped, SecretReference } from '../csi/juicefs-volume.ts';

interface Flags {
  readonly file?: string;
  readonly kubeconfig?: string;
  readonly encryption: 'required' | 'none';
  readonly as?: string;
  /** False: --no-claim. */
  readonly claim?: string | false;
}

export function register(program: Command): void {
  const migrate = program.command('migrate').description('take over volumes of the JuiceFS CSI driver');
  migrate
    .command('pv [name]')
    .description('print a PersistentVolume for csi.pageseal.dev that is the same directory of the same file system')
    .option('-f, --file <file>', "read it from a file, '-' is standard input, and not from the cluster")
    .option('--kubeconfig <file>', "how to reach the cluster (default: as kubectl, or the pod's own account)")
    .addOption(
      new Option('--encryption <what>', 'whether the file system is encrypted')
        .choices(['required', 'none'])
        .default('required'),
    )
    .option('--as <name>', "name of the new volume (default: the old one's with -pageseal)")
    .option('--claim <namespace/name>', "the only claim that may bind it (default: the old volume's)")
    .option('--no-claim', 'any claim that fits may bind it')
    .action(migrateVolume);
}

interface Source {
  volume(name: string | undefined): Promise<unknown>;
  /** Undefined: it cannot be read here. */
  secret(reference: SecretReference): Promise<SecretMap | undefined>;
  close(): void;
}

async function migrateVolume(name: string | undefined, flags: Flags): Promise<void> {
  const source = flags.file === undefined ? await clusterSource(flags) : await fileSource(flags.file);
  try {
    await printMigrated(name, source, flags);
  } finally {
    source.close();
  }
}

async function printMigrated(name: string | undefined, source: Source, flags: Flags): Promise<void> {
  const { checkJuicefsSecret, mapJuicefsVolume, parseJuicefsVolume } = await import('../csi/juicefs-volume.ts');
  const volume = parseJuicefsVolume(await source.volume(name));
  const { secretRef } = volume;
  const secret = await source.secret(secretRef);
  if (secret !== undefined) checkJuicefsSecret(secret, `secret ${secretRef.namespace}/${secretRef.name}`);
  const mapped = mapJuicefsVolume(volume, {
    encryption: flags.encryption,
    name: flags.as ?? `${volume.metadata.name}-pageseal`,
    claim: claimOf(flags.claim, volume),
  });
  const { Document } = await import('yaml');
  const document = new Document(mapped.manifest, { aliasDuplicateObjects: false });
  document.commentBefore = commentOf(volume, mapped, secret !== undefined, flags)
    .map((line) => (line === '' ? '' : ` ${line}`))
    .join('\n');
  process.stdout.write(document.toString({ lineWidth: 0 }));
}

function claimOf(flag: Flags['claim'], { spec }: JuicefsVolume): { namespace: string; name: string } | undefined {
  if (flag === false) return undefined;
  // Without the uid of the old claim: a new one of the same name binds.
  if (flag === undefined) return spec.claimRef && { namespace: spec.claimRef.namespace, name: spec.claimRef.name };
  const [, namespace, name] = /^([a-z0-9-]+)\/([a-z0-9.-]+)$/.exec(flag) ?? [];
  if (namespace === undefined || name === undefined) throw fail('bad-input', '--claim: wanted NAMESPACE/NAME');
  return { namespace, name };
}

function commentOf(volume: JuicefsVolume, mapped: Mapped, secretSeen: boolean, flags: Flags): string[] {
  const { metadata, secretRef } = volume;
  const lines = [
    `PersistentVolume ${metadata.name} of the JuiceFS CSI driver, for Pageseal: same directory, same Secret`,
    `(${secretRef.namespace}/${secretRef.name}, unchanged). Retain: deleting this object never deletes data.`,
  ];
  if (!secretSeen) lines.push('The Secret could not be read here, so it was not looked at.');
  lines.push(
    flags.encryption === 'required'
      ? 'encryption: required: a file system whose record says that it is not encrypted is refused (see --encryption).'
      : 'encryption: none: what pods write here is stored in clear, as before.',
  );
  if (mapped.dropped.length > 0) lines.push(`Left out, without a meaning here: ${mapped.dropped.join(', ')}.`);
  if (mapped.ignored.length > 0) lines.push(`Mount options without effect here: ${mapped.ignored.join(', ')}.`);
  lines.push('', ...stepsOf(volume, flags));
  return lines;
}

/** A claim's volume cannot be changed, so the claim is made anew; what a policy of Delete does then must be told first. */
function stepsOf({ metadata, spec }: JuicefsVolume, flags: Flags): string[] {
  const { claimRef, persistentVolumeReclaimPolicy: policy } = spec;
  const steps: string[] = [];
  if (policy !== 'Retain')
    steps.push(
      'the old volume is deleted WITH ITS DATA when its claim goes, so first:',
      `  kubectl patch pv ${metadata.name} -p '{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}'`,
    );
  steps.push('end the pods that use it, and apply this file');
  if (claimRef !== undefined && flags.claim === undefined)
    steps.push(
      `delete claim ${claimRef.name} in namespace ${claimRef.namespace} and make it again as it was, but for`,
      `  volumeName: ${flags.as ?? `${metadata.name}-pageseal`}`,
    );
  const firsts = steps.filter((step) => !step.startsWith(' '));
  return steps.map((step) => (step.startsWith(' ') ? ` ${step}` : `${firsts.indexOf(step) + 1}. ${step}`));
}

/** Objects of a file, also of `kubectl get -o yaml` with its list. */
async function fileSource(file: string): Promise<Source> {
  const { parseAllDocuments } = await import('yaml');
  const what = file === '-' ? 'standard input' : file;
  const documents = parseAllDocuments(await textOf(file, what));
  if (!Array.isArray(documents) || documents.some(({ errors }) => errors.length > 0))
    throw fail('bad-input', `${what}: is not YAML or JSON`);
  const objects = documents.flatMap((document) => itemsOf(document.toJS())).filter(isObject);
  const found = (kind: string, name: string | undefined, namespace?: string): KubernetesObject[] =>
    objects.filter(
      (object) =>
        object.kind === kind &&
        (name === undefined || object.metadata?.name === name) &&
        (namespace === undefined || object.metadata?.namespace === namespace),
    );
  return {
    volume: async (name) => {
      const [volume, ...more] = found('PersistentVolume', name);
      if (volume === undefined) throw fail('not-found', `persistent volume ${name ?? ''}: is not in the file`);
      if (more.length > 0) throw fail('bad-input', 'the file holds several persistent volumes: say which one');
      return volume;
    },
    secret: async ({ namespace, name }) => {
      const [secret] = found('Secret', name, namespace);
      return secret === undefined ? undefined : secretMapOf(secret);
    },
    close: () => undefined,
  };
}

async function textOf(file: string, what: string): Promise<string> {
  try {
    return file === '-' ? await readAll(process.stdin) : readFileSync(file, 'utf8');
  } catch (cause) {
    throw fail('bad-input', `${what}: cannot be read`, { cause });
  }
}

interface KubernetesObject {
  readonly kind?: string;
  readonly metadata?: { readonly name?: string; readonly namespace?: string };
  readonly items?: readonly unknown[];
  readonly data?: Readonly<Record<string, string>>;
  readonly stringData?: Readonly<Record<string, string>>;
}

const isObject = (value: unknown): value is KubernetesObject => typeof value === 'object' && value !== null;
const itemsOf = (value: unknown): readonly unknown[] => (isObject(value) && value.items ? value.items : [value]);

function secretMapOf({ data, stringData }: KubernetesObject): SecretMap {
  const decoded = Object.entries(data ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]);
  return { ...Object.fromEntries(decoded), ...stringData };
}

async function clusterSource({ kubeconfig }: Flags): Promise<Source> {
  const { connectKube } = await import('../kube/connect.ts');
  const { persistentVolumes, secrets } = await import('../kube/resources.ts');
  const kube = await connectKube({ kubeconfig });
  return {
    volume: async (name) => {
      if (name === undefined) throw fail('bad-input', 'which persistent volume: its name is missing');
      return { ...(await kube.get(persistentVolumes, { name })), kind: persistentVolumes.kind };
    },
    // Who may not read it still gets a volume; the node looks at the Secret in any case.
    secret: (reference) =>
      kube.get(secrets, reference).then(secretMapOf, (thrown: unknown) => {
        if (hasCode(thrown, 'permission-denied', 'not-found')) return undefined;
        throw thrown;
      }),
    close: () => kube.close(),
  };
}
