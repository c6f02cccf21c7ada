// A Secret with a connection and a key, and a StorageClass that takes it from the claim's namespace: what a test needs before
// its first claim.
import { readFileSync } from 'node:fs';
import { makeKey, publicHalf } from '../harness/keys.ts';
import type { Temp } from '../harness/temp.ts';
import type { Backend } from './harness/backend.ts';
import type { Cluster, TestNamespace } from './harness/cluster.ts';
import { secret } from './harness/objects.ts';
import type { SuiteOwner } from './harness/suite-owner.ts';

export const SECRET = 'volume-key';
const ROLES = ['provisioner', 'controller-expand', 'node-stage', 'node-publish'];

export interface Key {
  readonly pem: string;
  readonly publicPem: string;
  readonly passphrase: string;
}

export async function newKey(temp: Temp, passphrase: string): Promise<Key> {
  const key = await makeKey(temp, 2048, 'pkcs8', passphrase);
  const publicPem = readFileSync(await publicHalf(temp, key), 'utf8');
  return { pem: readFileSync(key.file, 'utf8'), publicPem, passphrase };
}

export const secretOf = (backend: Backend, { pem, publicPem, passphrase }: Key): Record<string, string> => ({
  ...backend.secret(),
  'rsa-key': pem,
  'rsa-public-key': publicPem,
  passphrase,
});

/** Its name; it goes with its owner. */
export async function makeClass(cluster: Cluster, owner: SuiteOwner): Promise<string> {
  const name = `e2e-${Math.random().toString(36).slice(2, 10)}`;
  const secrets = ROLES.flatMap((role) => [
    [`csi.storage.k8s.io/${role}-secret-name`, SECRET],
    [`csi.storage.k8s.io/${role}-secret-namespace`, `\${pvc.namespace}`],
  ]);
  await cluster.kubectl.apply({
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: { name },
    provisioner: 'csi.pageseal.dev',
    allowVolumeExpansion: true,
    parameters: { ...Object.fromEntries(secrets), trashDays: '0' },
  });
  owner.after(() => cluster.kubectl.delete('storageclass', name));
  return name;
}

export async function giveSecret(namespace: TestNamespace, data: Readonly<Record<string, string>>): Promise<void> {
  await namespace.kubectl.apply(secret(SECRET, data));
}
