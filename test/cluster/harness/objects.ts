// Objects as tests apply them, with what they always have: claims, and pods of busybox that sleep or run one script.
import type { V1PersistentVolumeClaim, V1Pod, V1Secret, V1Volume, V1VolumeMount } from '@kubernetes/client-node';
import { busyboxImage } from '../testbed/programs.ts';

/** Where pods see their volume. */
export const DATA = '/data';

export interface PodOptions {
  /** Claims by the path where the pod sees them. */
  readonly claims?: Readonly<Record<string, string>>;
  /** The pod runs this and ends; without, it sleeps until it is deleted. */
  readonly script?: string;
  readonly image?: string;
  readonly readOnly?: boolean;
  readonly subPath?: string;
  readonly pod?: Partial<NonNullable<V1Pod['spec']>>;
  readonly container?: Partial<NonNullable<V1Pod['spec']>['containers'][number]>;
}

export function pod(name: string, options: PodOptions = {}): V1Pod {
  const { script = 'exec sleep infinity', claims = {}, readOnly = false, subPath } = options;
  const volumes = Object.values(claims).map((claimName, index): V1Volume => {
    return { name: `volume-${index}`, persistentVolumeClaim: { claimName } };
  });
  const volumeMounts = Object.keys(claims).map((mountPath, index): V1VolumeMount => {
    return { name: `volume-${index}`, mountPath, readOnly, ...(subPath !== undefined && { subPath }) };
  });
  const container = {
    name: 'main',
    image: options.image ?? busyboxImage,
    command: ['sh', '-ec', script],
    volumeMounts,
  };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: {
      restartPolicy: 'Never',
      // A shell as the first process ignores SIGTERM.
      terminationGracePeriodSeconds: 1,
      containers: [{ ...container, ...options.container }],
      volumes,
      ...options.pod,
    },
  };
}

export function claim(
  name: string,
  storageClassName: string,
  more: Partial<V1PersistentVolumeClaim['spec']> = {},
): V1PersistentVolumeClaim {
  const spec = {
    storageClassName,
    accessModes: ['ReadWriteMany'],
    resources: { requests: { storage: '1Gi' } },
    ...more,
  };
  return { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name }, spec };
}

export const secret = (name: string, stringData: Readonly<Record<string, string>>): V1Secret => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name },
  stringData: { ...stringData },
});
