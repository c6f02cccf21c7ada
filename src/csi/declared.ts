// A file system that a FileSystem object declares, as CreateVolume needs it: there, Ready, and the one that the Secret of the
// StorageClass leads to. It is never made or changed here; that is the operator's.
import { fail } from '../base/errors.ts';
import type { KubeClient } from '../kube/client.ts';
import { type FileSystemObject, type FileSystemStatus, fileSystems } from '../kube/crd/file-system.ts';

export interface Declared {
  readonly uuid: string;
  /** "namespace/name", for messages. */
  readonly key: string;
}

/** Rejects UNAVAILABLE until it is Ready: the provisioner comes again by itself. `key` is checked text. */
export async function readyFileSystem(client: KubeClient | undefined, key: string): Promise<Declared> {
  const what = `file system ${key}`;
  if (client === undefined)
    throw fail('unsupported', `storage class: fileSystem: ${key}: the driver does not run in a cluster (--kube)`);
  const [namespace = '', name = ''] = key.split('/');
  const found = await client.find(fileSystems, { namespace, name });
  if (found === undefined)
    throw fail('metadata-unavailable', `${what}: is not declared`, {
      hint: 'apply a FileSystem of that name, or correct fileSystem of the StorageClass; the claim is tried again by itself',
    });
  const { uuid } = found.status ?? {};
  if (uuid === undefined || uuid === '' || !isReady(found)) throw notReady(what, found);
  return { uuid, key };
}

/** A status of an older spec says nothing about this one. */
function isReady({ metadata, status }: FileSystemObject): boolean {
  if (metadata.deletionTimestamp !== undefined) return false;
  if (status?.observedGeneration !== undefined && status.observedGeneration !== metadata.generation) return false;
  return readyOf(status)?.status === 'True';
}

const readyOf = (status: FileSystemStatus | undefined) => status?.conditions?.find(({ type }) => type === 'Ready');

function notReady(what: string, { metadata, status }: FileSystemObject): Error {
  const { reason, message } = readyOf(status) ?? {};
  const going = metadata.deletionTimestamp === undefined ? '' : ', and is being deleted';
  const why = message === undefined || message === '' ? (reason ?? 'the operator has not looked at it yet') : message;
  return fail('metadata-unavailable', `${what}: is not Ready${going} (${status?.phase ?? 'Pending'}): ${why}`, {
    hint: 'kubectl describe filesystem says more; the claim is tried again by itself',
  });
}

/** What the Secret leads to must be it: two places of one name would be two truths. */
export const otherPlace = ({ key, uuid }: Declared, found: string): Error =>
  fail('failed-precondition', `file system ${key}: is ${uuid}, but the Secret of the StorageClass leads to ${found}`, {
    hint: 'let the provisioner Secret name the same metaurl as the Secret of the FileSystem',
  });
