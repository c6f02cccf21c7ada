// A PersistentVolume of the JuiceFS CSI driver as one of ours: the same directory of the same file system, with the same
// Secret. Whatever the other driver does that has no counterpart here is refused by name, or left out and told.
import { z } from 'zod';
import { fail } from '../base/errors.ts';
import { check } from '../config/check.ts';
import { checkedDirectory } from '../config/directory.ts';
import { DRIVER_NAME } from '../config/driver.ts';
import { parseEndpoints } from '../config/endpoints.ts';
import { parseMountOptions } from '../config/mount-options.ts';
import { parseNodeSecret, type SecretMap } from '../config/secret.ts';
import { contextNames, ignoredContextPrefixes } from '../config/volume-context-names.ts';
import { placeOf } from '../connection/place.ts';

const JUICEFS_DRIVER = 'csi.juicefs.com';

const reference = z.object({ name: z.string(), namespace: z.string() });
const schema = z.object({
  kind: z.literal('PersistentVolume'),
  metadata: z.object({ name: z.string(), labels: z.record(z.string(), z.string()).optional() }),
  spec: z.object({
    capacity: z.record(z.string(), z.string()),
    accessModes: z.array(z.string()),
    persistentVolumeReclaimPolicy: z.string().optional(),
    storageClassName: z.string().optional(),
    volumeMode: z.string().optional(),
    mountOptions: z.array(z.string()).optional(),
    claimRef: z.object({ name: z.string(), namespace: z.string() }).optional(),
    nodeAffinity: z.unknown().optional(),
    csi: z
      .object({
        driver: z.string(),
        volumeHandle: z.string(),
        readOnly: z.boolean().optional(),
        nodeStageSecretRef: reference.optional(),
        nodePublishSecretRef: reference.optional(),
        volumeAttributes: z.record(z.string(), z.string()).optional(),
      })
      .optional(),
  }),
});
export type JuicefsVolume = z.infer<typeof schema> & { readonly secretRef: SecretReference };
export type SecretReference = z.infer<typeof reference>;

/** The object as the cluster or a file has it, looked at as far as it matters here. */
export function parseJuicefsVolume(object: unknown): JuicefsVolume {
  const volume = check(schema, object, 'persistent volume');
  const { csi, volumeMode } = volume.spec;
  const what = `persistent volume ${volume.metadata.name}`;
  if (csi === undefined) throw fail('unsupported', `${what}: is not of a CSI driver`);
  if (csi.driver !== JUICEFS_DRIVER)
    throw fail('unsupported', `${what}: is of driver ${csi.driver}, wanted ${JUICEFS_DRIVER}`);
  if (volumeMode === 'Block') throw fail('unsupported', `${what}: is a raw block volume, which is not offered`);
  const secretRef = csi.nodePublishSecretRef ?? csi.nodeStageSecretRef;
  if (secretRef === undefined)
    throw fail('unsupported', `${what}: names no Secret (nodePublishSecretRef), so nothing says where its data is`);
  return { ...volume, secretRef };
}

/** What a Secret of the other driver must be to work here unchanged; throws the reason that a node would give. */
export function checkJuicefsSecret(secret: SecretMap, what: string): void {
  if (secret['metaurl'] === undefined && secret['token'] !== undefined)
    throw fail('unsupported', `${what}: is of JuiceFS Cloud Service, whose metadata only its own client speaks with`);
  if ((secret['configs'] ?? '').trim() !== '')
    throw fail('unsupported', `${what}: configs: brings files for a mount pod, and there is none here`, {
      hint: 'put credentials into access-key and secret-key, and certificates into ca-bundle',
    });
  const parsed = parseNodeSecret(secret);
  if (parsed === undefined) throw fail('bad-input', `${what}: is empty`);
  const rules = { embedded: undefined, endpoints: parseEndpoints(''), ambientCredentials: true };
  placeOf(parsed.connection, { ...rules, fileSystem: undefined });
}

export interface MappingOptions {
  readonly encryption: 'required' | 'none';
  /** Of the new volume; two volumes of one name cannot be. */
  readonly name: string;
  /** The claim that may bind it; undefined: any that fits. */
  readonly claim: { readonly namespace: string; readonly name: string } | undefined;
}

export interface Mapped {
  readonly manifest: object;
  /** Settings of the other driver that mean nothing here. */
  readonly dropped: readonly string[];
  /** Mount options that stay in the manifest and have no effect. */
  readonly ignored: readonly string[];
}

export function mapJuicefsVolume(volume: JuicefsVolume, options: MappingOptions): Mapped {
  const { metadata, spec, secretRef } = volume;
  const { csi } = spec;
  const attributes = sortAttributes(csi?.volumeAttributes ?? {}, `persistent volume ${metadata.name}`);
  const flags = [...(spec.mountOptions ?? []), ...attributes.mountOptions].flatMap((entry) => entry.split(','));
  const { subdir, ignored } = parseMountOptions(flags);
  const directory = checkedDirectory(`/${subdir ?? ''}/${attributes.subPath}`, 'directory of the volume');
  const mountOptions = flags.map((flag) => flag.trim()).filter((flag) => flag !== '' && !/^-{0,2}subdir=/.test(flag));
  return {
    manifest: {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name: options.name, ...(metadata.labels && { labels: metadata.labels }) },
      spec: {
        capacity: spec.capacity,
        volumeMode: 'Filesystem',
        accessModes: spec.accessModes,
        persistentVolumeReclaimPolicy: 'Retain',
        storageClassName: spec.storageClassName ?? '',
        ...(options.claim && { claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', ...options.claim } }),
        ...(mountOptions.length > 0 && { mountOptions }),
        ...(spec.nodeAffinity !== undefined && { nodeAffinity: spec.nodeAffinity }),
        csi: {
          driver: DRIVER_NAME,
          volumeHandle: metadata.name,
          ...(csi?.readOnly === true && { readOnly: true }),
          nodeStageSecretRef: secretRef,
          nodePublishSecretRef: secretRef,
          volumeAttributes: { [contextNames.directory]: directory, [contextNames.encryption]: options.encryption },
        },
      },
    },
    dropped: attributes.dropped,
    ignored,
  };
}

interface Attributes {
  readonly subPath: string;
  readonly mountOptions: readonly string[];
  readonly dropped: readonly string[];
}

/** What provisioning wrote down for its own use. */
const ofProvisioning: ReadonlySet<string> = new Set(['capacity', 'pathPattern', 'secretFinalizer']);

/** The other driver copies all parameters of its StorageClass here. */
function sortAttributes(given: Readonly<Record<string, string>>, what: string): Attributes {
  const dropped: string[] = [];
  for (const name of Object.keys(given)) {
    if (name === 'subPath' || name === 'mountOptions') continue;
    if (!ofProvisioning.has(name) && !ignoredContextPrefixes.some((prefix) => name.startsWith(prefix)))
      throw fail('unsupported', `${what}: volumeAttributes: ${name}: has no counterpart here`, {
        hint: 'give the volume without it, by -f FILE, if it can do without',
      });
    dropped.push(name);
  }
  return {
    // The directory that a pathPattern gave is written there, too.
    subPath: given['subPath'] ?? '',
    mountOptions: (given['mountOptions'] ?? '').split(','),
    dropped,
  };
}
