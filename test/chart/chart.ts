// The chart as Helm renders it: objects to look at, and what Helm says where values are wrong.
import { join } from 'node:path';
import { parseAllDocuments, stringify } from 'yaml';
import { type Outcome, run } from '../harness/program.ts';
import { clusterPrograms, root } from '../harness/tools.ts';

export const chartFolder = join(root, 'charts/pageseal');
const helmProgram = join(clusterPrograms, 'helm');
export const NAMESPACE = 'pageseal-system';
/** Helm without a cluster believes in an old one. */
const KUBERNETES = ['--kube-version', '1.36.0'];

export type Values = Readonly<Record<string, unknown>>;

/** Of an object, what the tests ask for; the rest is reached by `at`. */
export interface Rendered {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly args: readonly string[];
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
}

export interface PodTemplate {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> };
  readonly spec: Readonly<Record<string, unknown>> & { readonly containers: readonly Container[] };
}

export function helm(...args: readonly string[]): Promise<Outcome> {
  return run(helmProgram, args);
}

/** With `--values -` among the arguments. */
export function helmWith(values: Values, ...args: readonly string[]): Promise<Outcome> {
  return run(helmProgram, args, { input: stringify(values) });
}

/** `helm template` with these values beside the defaults. */
export function template(values: Values, folder = chartFolder): Promise<Outcome> {
  return helmWith(values, 'template', 'pageseal', folder, '--namespace', NAMESPACE, ...KUBERNETES, '--values', '-');
}

export const lint = (values: Values): Promise<Outcome> =>
  helmWith(values, 'lint', '--strict', chartFolder, ...KUBERNETES, '--values', '-');

export async function render(values: Values, folder = chartFolder): Promise<readonly Rendered[]> {
  const outcome = await template(values, folder);
  if (outcome.code !== 0) throw new Error(outcome.stderr);
  return parseAllDocuments(outcome.stdout)
    .map((document) => document.toJS() as Rendered | null)
    .filter((object) => object !== null);
}

export function find(objects: readonly Rendered[], kind: string, name: string): Rendered {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name);
  if (found === undefined) throw new Error(`no ${kind} ${name} was rendered`);
  return found;
}

export const ofKind = (objects: readonly Rendered[], kind: string): readonly Rendered[] =>
  objects.filter((object) => object.kind === kind);

/** What lies at "spec.template.spec"; undefined where there is nothing. */
export const at = (object: unknown, path: string): unknown =>
  path
    .split('.')
    .reduce<unknown>((found, name) => (found as Readonly<Record<string, unknown>> | undefined)?.[name], object);

/** The pods that objects make, by the object's name. */
export const podTemplates = (objects: readonly Rendered[]): ReadonlyMap<string, PodTemplate> =>
  new Map(
    objects
      .filter(({ kind }) => ['Deployment', 'DaemonSet', 'Job'].includes(kind))
      .map((object) => [object.metadata.name, at(object, 'spec.template') as PodTemplate]),
  );

export function podOf(objects: readonly Rendered[], name: string): PodTemplate {
  const found = podTemplates(objects).get(name);
  if (found === undefined) throw new Error(`no pods of ${name} were rendered`);
  return found;
}

/** The container of our own program. */
export function pagesealOf(pod: PodTemplate): Container {
  const found = pod.spec.containers.find(({ name }) => name === 'pageseal');
  if (found === undefined) throw new Error('a pod without our program');
  return found;
}

export const embedded: Values = { embedded: { enabled: true, node: 'node-1', directory: '/srv/pageseal' } };

/** Corners of the values: each switch the other way, and all together. */
export const corners: Readonly<Record<string, Values>> = {
  defaults: {},
  embedded,
  mirrored: { image: { registry: 'mirror.example.com/k8s' } },
  'by digest': { image: { digest: `sha256:${'a'.repeat(64)}` } },
  'several replicas': { controller: { replicas: 2 }, operator: { replicas: 3 } },
  'Secrets in named namespaces': {
    controller: { secretNamespaces: ['team-a', 'team-b'] },
    operator: { namespaces: ['team-a'] },
  },
  'Secrets that stay': { controller: { secretFinalizer: true } },
  'Secrets that stay in named namespaces': {
    controller: { secretFinalizer: true, secretNamespaces: ['team-a'], replicas: 2 },
  },
  'Secrets everywhere': { operator: { namespaces: ['*'] } },
  'own Secrets only': { controller: { secretNamespaces: [] } },
  'host network': { hostNetwork: true, metrics: { host: '::' } },
  'no metrics': { metrics: { service: false }, networkPolicy: { enabled: false } },
  'collected metrics': {
    metrics: { serviceMonitor: { enabled: true, interval: '1m', labels: { release: 'prometheus' } } },
    networkPolicy: {
      metricsFrom: [{ namespaceSelector: { matchLabels: { name: 'monitoring' } } }],
      egress: [{ ports: [{ port: 443, protocol: 'TCP' }] }],
    },
  },
  'other folders': { kubeletDir: '/var/snap/microk8s/common/var/lib/kubelet', logLevel: 'debug' },
  'endpoints and names': {
    allowedEndpoints: ['db.example.com:5432', '*.s3.example.com', '10.0.0.0/8', '[fd00::]/8'],
    ambientCredentials: true,
    hostAliases: [{ ip: '10.77.0.9', hostnames: ['db.example.com'] }],
    imagePullSecrets: [{ name: 'registry' }],
    commonLabels: { team: 'storage' },
  },
  'authorities of our own': { trustedAuthorities: { configMap: 'our-authorities', key: 'bundle.pem' } },
  'no definitions': { crds: { install: false } },
  'a quota, SELinux and republishing': {
    priorityQuota: true,
    csiDriver: { requiresRepublish: true, seLinuxMount: true },
  },
  'no label': { csiDriver: { seLinuxLabel: '' } },
  classes: {
    storageClasses: [
      {
        name: 'pageseal',
        isDefault: true,
        annotations: { note: 'encrypted' },
        provisionerSecret: { name: 'pageseal', namespace: NAMESPACE },
        nodeSecret: { name: 'pageseal-key', namespace: '$' + '{pvc.namespace}' },
        parameters: { compression: 'zstd', pageSize: '1MiB', trashDays: '0' },
        reclaimPolicy: 'Retain',
        allowVolumeExpansion: false,
        mountOptions: ['ledger=strict'],
      },
      { name: 'plain' },
    ],
  },
  'pods of their own kind': {
    controller: podValues('Recreate'),
    operator: podValues('Recreate'),
    node: podValues('OnDelete'),
    keeper: { ...podValues('OnDelete'), updateStrategy: undefined, resources: { limits: { cpu: '1' } } },
    sidecars: { provisioner: { extraArgs: ['--kube-api-qps=20'] } },
  },
};

function podValues(type: string): Values {
  return {
    priorityClassName: '',
    updateStrategy: type === 'Recreate' ? { type } : { type, rollingUpdate: null },
    resources: { requests: { cpu: 1, memory: '1Gi' }, limits: { memory: '2Gi' } },
    nodeSelector: { 'kubernetes.io/os': 'linux' },
    affinity: { podAntiAffinity: {} },
    tolerations: [{ key: 'dedicated', operator: 'Exists' }],
    podAnnotations: { note: 'x' },
    podLabels: { tier: 'storage' },
    extraEnv: [{ name: 'HTTPS_PROXY', value: 'http://proxy.example.com:3128' }],
  };
}
