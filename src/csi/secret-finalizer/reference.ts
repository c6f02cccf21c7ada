// Which Secret a volume belongs to. CreateVolume brings a Secret's contents without its name, so the templates of the
// StorageClass are filled in as the external provisioner does it (getSecretReference of its pkg/controller). A volume that is
// there has the name in annotations, with which the provisioner finds the Secret again when it deletes.
import { fail } from '../../base/errors.ts';
import { DRIVER_NAME } from '../../config/driver.ts';
import { SIDECAR_PREFIX } from '../../config/storage-class-names.ts';
import type { PersistentVolume, PersistentVolumeClaim, StorageClass } from '../../kube/objects.ts';
import { keyOf } from '../../kube/resources.ts';

const ANNOTATION = 'volume.kubernetes.io/provisioner-deletion-secret';
/** The second counts for calls that no pair of its own is for. */
const PAIRS = ['provisioner-secret', 'secret'];
const NAMESPACE = /^(?=.{1,63}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?$/;
const NAME = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/;

/** "namespace/name"; undefined: the volume is another driver's, or needs no Secret. */
export function secretOfVolume({ metadata, spec }: PersistentVolume): string | undefined {
  if (spec.csi?.driver !== DRIVER_NAME) return undefined;
  const name = metadata.annotations?.[`${ANNOTATION}-name`];
  const namespace = metadata.annotations?.[`${ANNOTATION}-namespace`];
  return name === undefined || name === '' || !namespace ? undefined : keyOf({ namespace, name });
}

/** "namespace/name" of what the provisioner makes the volume of that name with. Throws BAD_INPUT where the class names none. */
export function secretOfClaim(from: StorageClass, claim: PersistentVolumeClaim, volume: string): string {
  const { parameters = {} } = from;
  const pair = PAIRS.find((each) => parameters[`${SIDECAR_PREFIX}${each}-name`] !== undefined);
  const what = `storage class ${from.metadata.name}`;
  if (pair === undefined) throw fail('bad-input', `${what}: names no provisioner Secret`);
  const { name: claimName, namespace: claimNamespace = '', annotations = {} } = claim.metadata;
  // The namespace is never up to who makes a claim, so its name and annotations do not count there.
  const common: Readonly<Record<string, string>> = { 'pv.name': volume, 'pvc.namespace': claimNamespace };
  const ofClaim = Object.entries(annotations).map(([key, value]) => [`pvc.annotations['${key}']`, value] as const);
  const own = { ...Object.fromEntries(ofClaim), ...common, 'pvc.name': claimName };
  const filled = (part: string, tokens: Readonly<Record<string, string>>, wanted: RegExp): string => {
    const parameter = `${SIDECAR_PREFIX}${pair}-${part}`;
    const text = (parameters[parameter] ?? '').replace(/\$\{([^}]*)\}/g, (whole, token: string) =>
      Object.hasOwn(tokens, token) ? (tokens[token] ?? '') : whole,
    );
    if (!wanted.test(text)) throw fail('bad-input', `${what}: ${parameter}: leads to no ${part} of a Secret: ${text}`);
    return text;
  };
  return keyOf({ namespace: filled('namespace', common, NAMESPACE), name: filled('name', own, NAME) });
}
