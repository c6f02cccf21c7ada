// Before the operator is uninstalled: its finalizers go, since nobody would take them off afterwards. The lease is taken
// first, so that an operator that still runs stops, and puts none back.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { fail } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { isConflict, isMissing } from '../kube/api-error.ts';
import type { KubeClient } from '../kube/client.ts';
import { microTimeText } from '../kube/conditions.ts';
import { connectKube } from '../kube/connect.ts';
import { FILE_SYSTEM_FINALIZER, type FileSystemObject, fileSystems } from '../kube/crd/file-system.ts';
import type { Lease } from '../kube/objects.ts';
import { leases, nameOf } from '../kube/resources.ts';

export interface ReleaseOptions {
  readonly namespace: string;
  readonly leaseName: string;
  readonly kubeconfig?: string | undefined;
}

/** Nobody leads for so long: the rest of the uninstallation. One that fails leaves an operator that works again. */
const LEASE_SECONDS = 120;
/** The leader looks at its lease every other second; a turn that it is in ends at its next step. */
const SETTLE_MS = 5000;
const MAX_PASSES = 12;

/** Answers how many objects were let go. */
export async function releaseFileSystems({ namespace, leaseName, kubeconfig }: ReleaseOptions): Promise<number> {
  const client = await connectKube({ kubeconfig });
  try {
    const found = await holding(client);
    if (found === undefined) return 0;
    await takeLease(client, namespace, leaseName);
    await sleep(SETTLE_MS);
    let released = 0;
    for (let pass = 0; pass < MAX_PASSES; pass++) {
      const held = (await holding(client)) ?? [];
      if (held.length === 0) return released;
      for (const object of held) if (await release(client, object)) released++;
    }
    throw fail('busy', 'release: somebody keeps putting finalizers back');
  } finally {
    client.close();
  }
}

/** Undefined: there is no such kind (any more). */
async function holding(client: KubeClient): Promise<FileSystemObject[] | undefined> {
  try {
    const { items } = await client.list(fileSystems);
    return items.filter(({ metadata }) => metadata.finalizers?.includes(FILE_SYSTEM_FINALIZER));
  } catch (thrown) {
    if (isMissing(thrown)) return undefined;
    throw thrown;
  }
}

async function release(client: KubeClient, object: FileSystemObject): Promise<boolean> {
  const { resourceVersion, finalizers = [] } = object.metadata;
  const rest = finalizers.filter((each) => each !== FILE_SYSTEM_FINALIZER);
  try {
    await client.patch(fileSystems, nameOf(object), { metadata: { resourceVersion, finalizers: rest } });
    log.info('let go of a file system, which stays as it is', { ...nameOf(object) });
    return true;
  } catch (thrown) {
    if (isConflict(thrown) || isMissing(thrown)) return false;
    throw thrown;
  }
}

async function takeLease(client: KubeClient, namespace: string, name: string): Promise<void> {
  const holderIdentity = `release-${randomBytes(4).toString('hex')}`;
  for (let attempt = 0; attempt < MAX_PASSES; attempt++) {
    const renewTime = microTimeText(new Date());
    const spec = { holderIdentity, leaseDurationSeconds: LEASE_SECONDS, acquireTime: renewTime, renewTime };
    try {
      const found: Lease | undefined = await client.find(leases, { namespace, name });
      if (found === undefined) await client.create(leases, { metadata: { namespace, name }, spec });
      else await client.replace(leases, { ...found, spec: { ...found.spec, ...spec } });
      return;
    } catch (thrown) {
      if (!isConflict(thrown)) throw thrown;
    }
  }
  throw fail('busy', `release: the lease ${namespace}/${name} cannot be taken`);
}
