// What the values of the chart's components have in common: images, resources, and where pods run.
import { z } from 'zod';

/**
 * A string of a certain spelling. Helm's message for a wrong one is the pattern itself, so the pattern begins with a group
 * that is repeated no times and says what is wanted.
 */
export const spelled = (wanted: string, pattern: RegExp): z.ZodString =>
  z
    .string()
    .regex(new RegExp(`(?:wanted ${wanted}){0}${pattern.source}`))
    .meta({ title: wanted });

/** Labels, annotations, node selectors. A number or a boolean there is a mistake that the API server refuses. */
export const kubernetesMap = z.record(z.string(), z.string());

/** Handed on to the API server, which knows what it may hold. */
const loose = z.looseObject({});

/** A quantity may be a number in YAML. */
const quantity = z.union([z.string().min(1), z.number().min(0)]);

export const resources = z
  .strictObject({
    requests: z.record(z.string(), quantity).optional(),
    limits: z.record(z.string(), quantity).optional(),
  })
  .meta({ title: 'requests and limits', description: 'Requests and limits of its container.' });

/** Room for whoever must; a keeper that is out of memory ends every mount of its node. */
const withoutMemoryLimit = z
  .strictObject({
    requests: z.record(z.string(), quantity).optional(),
    limits: z.strictObject({ cpu: quantity.optional() }).optional(),
  })
  .meta({
    title: 'requests, and limits without memory',
    description: 'Requests and limits of its container; a memory limit would end every mount of a node.',
  });

export const image = z.strictObject({
  repository: spelled('a repository without its tag', /^[a-zA-Z0-9.-]+(:[0-9]{1,5})?(\/[a-z0-9._-]+)*$/).meta({
    description: 'Name of the image, with its registry.',
  }),
  tag: spelled('a tag', /^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$/).meta({
    description: "Its tag; empty: the chart's appVersion.",
  }),
  digest: spelled('sha256: and 64 hexadecimal digits', /^(sha256:[0-9a-f]{64})?$/).meta({
    description: 'Its digest; taken instead of the tag.',
  }),
});

export const extraArguments = z
  .array(spelled('a flag such as --v=4', /^--?[a-z]/))
  .meta({ description: 'Further flags.' });

const environment = z
  .array(
    z.strictObject({ name: z.string().min(1), value: z.string().optional(), valueFrom: loose.optional() }).meta({
      title: 'environment variable',
    }),
  )
  .meta({ description: 'Further environment variables, for example HTTPS_PROXY.' });

const pods = {
  port: z.int().min(1).max(65_535).meta({ description: 'Port of /metrics and /healthz.' }),
  priorityClassName: z.string().meta({ description: 'Priority of the pods; empty: none.' }),
  nodeSelector: kubernetesMap.meta({ description: 'Labels of the nodes that pods may run on.' }),
  affinity: loose.meta({ description: 'Affinity of the pods; embedded mode sets its own.' }),
  tolerations: z.array(loose).meta({ description: 'Taints that the pods tolerate.' }),
  podAnnotations: kubernetesMap.meta({ description: 'Annotations of the pods.' }),
  podLabels: kubernetesMap.meta({ description: 'Further labels of the pods.' }),
  extraEnv: environment,
} as const;

const accountAnnotations = kubernetesMap.meta({ description: 'Annotations of the service account.' });
const strategies = {
  Deployment: ['RollingUpdate', 'Recreate'],
  DaemonSet: ['RollingUpdate', 'OnDelete'],
} as const;

const updateStrategy = (kind: keyof typeof strategies): z.ZodType =>
  z
    .strictObject({ type: z.enum(strategies[kind]).optional(), rollingUpdate: loose.optional() })
    .meta({ description: `How pods are replaced at an upgrade, as a ${kind} has it.` });

/** `strategy`: the kind of the component's object; the keeper's is not a matter of choice. */
export function component(own: { readonly strategy?: keyof typeof strategies } & Readonly<Record<string, unknown>>) {
  const { strategy, ...fields } = own;
  return z.strictObject({
    ...(fields as Readonly<Record<string, z.ZodType>>),
    ...pods,
    resources: strategy === undefined ? withoutMemoryLimit : resources,
    ...(strategy === undefined ? {} : { updateStrategy: updateStrategy(strategy) }),
    ...(strategy === 'Deployment' ? { serviceAccountAnnotations: accountAnnotations } : {}),
  });
}
