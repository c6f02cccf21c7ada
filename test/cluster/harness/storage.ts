// A class whose claims each get an encrypted file system of their own on a test's backend, with the Secret that all of its
// calls take; both go with the test.
import { readFileSync } from 'node:fs';
import type { V1PersistentVolume, V1PersistentVolumeClaim, V1StorageClass } from '@kubernetes/client-node';
import { makeKey, publicHalf } from '../../harness/keys.ts';
import { Temp } from '../../harness/temp.ts';
import { Backend } from './backend.ts';
import type { Cluster, TestNamespace } from './cluster.ts';
import { secret } from './objects.ts';

const DRIVER = 'csi.pageseal.dev';
const SECRET = 'volume';
const PASSPHRASE = 'passphrase of a cluster test';
const CALLS = ['provisioner', 'controller-expand', 'node-stage', 'node-publish'];

export interface Storage {
  /** Name of the class. */
  readonly className: string;
  readonly backend: Backend;
  /** All of the Secret's fields. */
  readonly secret: Readonly<Record<string, string>>;
}

export async function storage(
  cluster: Cluster,
  { name, kubectl }: TestNamespace,
  owner: { after(hook: () => Promise<void>): void },
  parameters: Readonly<Record<string, string>> = {},
): Promise<Storage> {
  const backend = Backend.make(cluster, { after: (hook) => owner.after(async () => hook()) });
  const fields = { ...backend.secret(), ...(await newKeys()) };
  const className = `class-${name}`;
  const from = { name: SECRET, namespace: name };
  await kubectl.apply(secret(SECRET, fields), storageClass(className, from, parameters));
  owner.after(() => kubectl.delete('storageclass', className));
  return { className, backend, secret: fields };
}

/** As fields of a Secret. */
export async function newKeys(): Promise<Record<string, string>> {
  const temp = new Temp();
  const key = await makeKey(temp, 2048, 'pkcs8', PASSPHRASE);
  const fields = {
    'rsa-key': readFileSync(key.file, 'utf8'),
    'rsa-public-key': readFileSync(await publicHalf(temp, key), 'utf8'),
    passphrase: PASSPHRASE,
  };
  await temp.remove();
  return fields;
}

/** All of its calls take the one Secret. */
export function storageClass(
  name: string,
  from: { readonly name: string; readonly namespace: string },
  more: Readonly<Record<string, string>>,
): V1StorageClass {
  const secrets = CALLS.flatMap((call) => [
    [`csi.storage.k8s.io/${call}-secret-name`, from.name],
    [`csi.storage.k8s.io/${call}-secret-namespace`, from.namespace],
  ]);
  return {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: { name },
    provisioner: DRIVER,
    allowVolumeExpansion: true,
    parameters: { ...Object.fromEntries(secrets), ...more },
  };
}

/** The volume that a claim is bound to; waits for it. */
export async function boundVolume({ kubectl }: TestNamespace, claim: string): Promise<V1PersistentVolume> {
  const isBound = (found: V1PersistentVolumeClaim | undefined): boolean => found?.status?.phase === 'Bound';
  const found = await kubectl.until<V1PersistentVolumeClaim>('pvc', claim, 'to be bound', isBound);
  return kubectl.get<V1PersistentVolume>('pv', found?.spec?.volumeName ?? '');
}
