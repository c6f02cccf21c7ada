// Values of the chart as one schema: charts/pageseal/values.schema.json is generated from it, with the patterns that the
// flags use which the chart fills in. Patterns must mean the same to RE2, which Helm reads them with: no lookahead.
import { z } from 'zod';
import { levels } from '../base/log.ts';
import { component, extraArguments, image, kubernetesMap, resources, spelled } from './chart-components.ts';
import { storageClasses } from './chart-storage-classes.ts';
import { TOPOLOGY_NODE_ID } from './driver.ts';
import { endpointShape, MAX_ENDPOINTS } from './endpoints.ts';
import { selinuxLabel } from './selinux.ts';

/** Nothing that a mount path of Kubernetes or a shell trips over, and neither . nor .. */
const directoryPattern = /^(\/\.?[A-Za-z0-9_@%+=~-][A-Za-z0-9_.@%+=~-]*)+$/;
const directoryWords = 'an absolute directory, without a slash at its end';
/** A socket's path has 107 bytes at most; this is what /plugins_registry/csi.pageseal.dev-reg.sock leaves. */
const MAX_KUBELET_DIRECTORY = 64;
const MAX_DIRECTORY = 1024;

/** The pattern, or nothing. */
const orEmpty = (pattern: RegExp): RegExp => new RegExp(`^(${pattern.source.slice(1, -1)})?$`);

const namespace = spelled('a namespace, or * for all', /^(\*|[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)$/);
const MAX_NAMESPACES = 1000;
const namespaces = (description: string): z.ZodType => z.array(namespace).max(MAX_NAMESPACES).meta({ description });

/** From 8 on Kubernetes' clients log what the API server answers, Secrets included. */
const MOST_VERBOSE = 7;
const goDuration = spelled('a duration such as 30s or 2m', /^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$/);

/** What is checked by nobody here: the API server knows it. */
const kubernetesObjects = z.array(z.looseObject({}));

const embedded = z
  .strictObject({
    enabled: z.boolean().meta({ description: 'Database and objects in a directory of one node, for a trial.' }),
    node: spelled('the name of a node, of up to 63 characters', orEmpty(TOPOLOGY_NODE_ID)).meta({
      description: 'The name of that node; controller, node plugin and keeper run there only.',
    }),
    directory: spelled(directoryWords, orEmpty(directoryPattern))
      .max(MAX_DIRECTORY)
      .meta({ description: 'The directory on that node; it is made where it is missing.' }),
  })
  .meta({ title: 'embedded mode' });

const trustedAuthorities = z
  .strictObject({
    configMap: spelled('the name of a ConfigMap', orEmpty(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/)).meta({
      description: "A ConfigMap of the release's namespace; empty: none.",
    }),
    key: spelled('a key of a ConfigMap', /^[A-Za-z0-9._-]{1,253}$/).meta({
      description: 'The key with the certificates, as PEM.',
    }),
  })
  .meta({ title: 'authorities that vouch for databases and stores beside the public ones' });

const sidecar = (what: string): z.ZodType =>
  z
    .strictObject({
      image: image.meta({ description: 'Its image: repository, tag and digest.' }),
      extraArgs: extraArguments,
      resources,
    })
    .meta({ title: what });

const metrics = z.strictObject({
  host: spelled('an address such as 0.0.0.0 or ::', /^([0-9]{1,3}(\.[0-9]{1,3}){3}|[0-9a-fA-F]*:[0-9a-fA-F:.]*)$/).meta(
    {
      description: 'Address that /metrics and /healthz are served at: 0.0.0.0, or :: for IPv6.',
    },
  ),
  service: z.boolean().meta({ description: 'A headless Service per component.' }),
  serviceMonitor: z.strictObject({
    enabled: z.boolean().meta({ description: 'A ServiceMonitor of the Prometheus operator.' }),
    interval: goDuration.meta({ description: 'How often metrics are collected.' }),
    labels: kubernetesMap.meta({ description: 'By which a Prometheus finds the ServiceMonitor.' }),
  }),
});

const networkPolicy = z.strictObject({
  enabled: z.boolean().meta({ description: 'Lets nobody connect but to the port of metrics.' }),
  metricsFrom: kubernetesObjects.meta({ description: 'Peers that may collect metrics; empty: everybody.' }),
  egress: kubernetesObjects.meta({ description: 'Egress rules of all components; empty: everything may be reached.' }),
});

const replicas = z.int().min(1).max(9).meta({ description: 'Pods; one of them acts at a time.' });

export const chartValues = z
  .strictObject({
    image: image
      .extend({
        registry: spelled(
          'the host of a registry, with a path where it has one',
          /^([a-zA-Z0-9.-]+(:[0-9]{1,5})?(\/[a-z0-9._-]+)*)?$/,
        ).meta({ description: 'Takes the place of the registry in every image of the chart.' }),
        pullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']).meta({ description: 'When images are pulled.' }),
      })
      .meta({ title: 'image of Pageseal' }),
    imagePullSecrets: z
      .array(z.strictObject({ name: z.string().min(1) }))
      .meta({ description: 'Secrets with which images are pulled.' }),
    kubeletDir: spelled(directoryWords, directoryPattern)
      .max(MAX_KUBELET_DIRECTORY)
      .meta({ description: 'Where the kubelet keeps pods and plugins.' }),
    logLevel: z.enum(levels).meta({ description: 'How much the components log.' }),
    allowedEndpoints: z
      .array(spelled('a host, *.domain or network, each with or without :port', endpointShape))
      .max(MAX_ENDPOINTS)
      .meta({
        description:
          'Databases and stores that Secrets may name: hosts, *.domains, networks, each with or without :port. Empty: all but the node itself and its link.',
      }),
    trustedAuthorities,
    ambientCredentials: z
      .boolean()
      .meta({ description: "Use the node's own credentials for stores where a Secret brings none." }),
    hostAliases: z
      .array(z.strictObject({ ip: z.string().min(2), hostnames: z.array(z.string().min(1)).min(1) }))
      .meta({ description: "Names that the cluster's DNS does not know." }),
    hostNetwork: z.boolean().meta({ description: 'Put all pods on the network of their node.' }),
    commonLabels: kubernetesMap.meta({ description: 'Labels of every object.' }),
    embedded,
    csiDriver: z.strictObject({
      requiresRepublish: z.boolean().meta({ description: 'Let the kubelet bring changed Secrets to running pods.' }),
      seLinuxLabel: spelled('an SELinux label, user:role:type:level', orEmpty(selinuxLabel)).meta({
        description: 'Label of mounts on nodes that have SELinux; empty: none.',
      }),
      seLinuxMount: z.boolean().meta({ description: "Mount with the pod's SELinux label." }),
    }),
    controller: component({
      replicas,
      secretNamespaces: namespaces(
        'Namespaces whose Secrets may be read for provisioning; ["*"]: all; empty: the one of the release.',
      ),
      secretFinalizer: z
        .boolean()
        .meta({ description: 'Keep Secrets, by a finalizer, as long as a volume needs them to be deleted.' }),
      strategy: 'Deployment',
    }),
    node: component({ strategy: 'DaemonSet' }),
    keeper: component({
      recoveryDeadline: z
        .int()
        .min(10)
        .max(3600)
        .meta({ description: 'Seconds that callers wait for a keeper that is gone before their calls fail.' }),
      terminationGracePeriodSeconds: z
        .int()
        .min(10)
        .max(3600)
        .meta({ description: 'Seconds that workers may take to store what is dirty when the pod is deleted.' }),
    }),
    operator: component({
      replicas,
      namespaces: namespaces(
        'Namespaces whose Secrets may be read for FileSystem objects; ["*"]: all; empty: the one of the release.',
      ),
      strategy: 'Deployment',
    }),
    sidecars: z.strictObject({
      verbosity: z.int().min(0).max(MOST_VERBOSE).meta({ description: 'Of the log of the programs beside ours.' }),
      timeout: goDuration.meta({ description: 'Of one call to the driver.' }),
      provisioner: sidecar('csi-provisioner'),
      resizer: sidecar('csi-resizer'),
      registrar: sidecar('csi-node-driver-registrar'),
    }),
    metrics,
    networkPolicy,
    priorityQuota: z.boolean().meta({ description: 'A ResourceQuota that admits system priorities.' }),
    crds: z.strictObject({
      install: z.boolean().meta({ description: 'Install and upgrade the custom resource definitions.' }),
    }),
    storageClasses,
    global: z.looseObject({}).optional().meta({ description: 'Put here by Helm for charts within charts; not used.' }),
  })
  .meta({ title: 'Values of the Pageseal chart' });

export type ChartValues = z.infer<typeof chartValues>;
