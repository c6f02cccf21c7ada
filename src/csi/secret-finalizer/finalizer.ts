// The finalizer on one Secret: put on and taken off by patches that change the list of finalizers alone, and only if nobody
// wrote the Secret since it was read.
import { SECRET_FINALIZER } from '../../config/driver.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { Secret } from '../../kube/objects.ts';
import { nameOf, secrets } from '../../kube/resources.ts';

export const isHeld = ({ metadata }: Secret): boolean => metadata.finalizers?.includes(SECRET_FINALIZER) === true;

/** Rejects CONFLICT where somebody else wrote it meanwhile. */
export const putOn = (client: KubeClient, secret: Secret): Promise<Secret> =>
  write(client, secret, [...(secret.metadata.finalizers ?? []), SECRET_FINALIZER]);

/** Rejects CONFLICT where somebody else wrote it meanwhile. */
export const takeOff = (client: KubeClient, secret: Secret): Promise<Secret> =>
  write(
    client,
    secret,
    (secret.metadata.finalizers ?? []).filter((each) => each !== SECRET_FINALIZER),
  );

function write(client: KubeClient, secret: Secret, finalizers: readonly string[]): Promise<Secret> {
  const { resourceVersion, uid } = secret.metadata;
  return client.patch(secrets, nameOf(secret), { metadata: { resourceVersion, uid, finalizers } });
}
