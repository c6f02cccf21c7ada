// Which resources of the API are used, and where each has its path.
import type {
  ConfigMap,
  CoreEvent,
  CsiNode,
  KubeObject,
  Lease,
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  Secret,
  StorageClass,
} from './objects.ts';

/** `T` is what the resource's objects look like; nothing holds it at run time. */
export interface Resource<T extends KubeObject> {
  /** '' is the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
  readonly example?: T;
}

export interface Name {
  readonly name: string;
  readonly namespace?: string | undefined;
}

function resource<T extends KubeObject>(
  group: string,
  version: string,
  plural: string,
  kind: string,
  namespaced = false,
): Resource<T> {
  return { group, version, plural, kind, namespaced };
}

export const secrets = resource<Secret>('', 'v1', 'secrets', 'Secret', true);
export const configMaps = resource<ConfigMap>('', 'v1', 'configmaps', 'ConfigMap', true);
export const events = resource<CoreEvent>('', 'v1', 'events', 'Event', true);
export const nodes = resource<Node>('', 'v1', 'nodes', 'Node');
export const pods = resource<Pod>('', 'v1', 'pods', 'Pod', true);
export const persistentVolumes = resource<PersistentVolume>('', 'v1', 'persistentvolumes', 'PersistentVolume');
export const persistentVolumeClaims = resource<PersistentVolumeClaim>(
  '',
  'v1',
  'persistentvolumeclaims',
  'PersistentVolumeClaim',
  true,
);
export const storageClasses = resource<StorageClass>('storage.k8s.io', 'v1', 'storageclasses', 'StorageClass');
export const csiNodes = resource<CsiNode>('storage.k8s.io', 'v1', 'csinodes', 'CSINode');
export const leases = resource<Lease>('coordination.k8s.io', 'v1', 'leases', 'Lease', true);

export const apiVersionOf = ({ group, version }: Resource<KubeObject>): string =>
  group === '' ? version : `${group}/${version}`;

/** Of the whole resource; without a namespace, all of them. */
export function collectionPath(of: Resource<KubeObject>, namespace?: string): string {
  const root = of.group === '' ? `/api/${of.version}` : `/apis/${of.group}/${of.version}`;
  const place = of.namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  return `${root}${place}/${of.plural}`;
}

export const objectPath = (of: Resource<KubeObject>, { name, namespace }: Name, subresource?: string): string =>
  `${collectionPath(of, namespace)}/${encodeURIComponent(name)}${subresource === undefined ? '' : `/${subresource}`}`;

export const nameOf = ({ metadata }: KubeObject): Name => ({ name: metadata.name, namespace: metadata.namespace });

/** "namespace/name", or the name alone. */
export const keyOf = ({ name, namespace }: Name): string => (namespace === undefined ? name : `${namespace}/${name}`);

export function parseKey(key: string): Name {
  const slash = key.indexOf('/');
  return slash < 0 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}
