// The one Secret that a FileSystem names, in its own namespace. What private keys and passphrases are in it is not decoded.
import { fail, hasCode } from '../base/errors.ts';
import { type ProvisionerSecret, parseProvisionerSecret } from '../config/secret.ts';
import { secretNames } from '../config/secret-names.ts';
import type { KubeClient } from '../kube/client.ts';
import type { FileSystemObject } from '../kube/crd/file-system.ts';
import { secrets } from '../kube/resources.ts';

/** That it is there is all that may be known of these. */
const untold: ReadonlySet<string> = new Set([
  secretNames.privateKey,
  secretNames.passphrase,
  secretNames.keyServiceToken,
]);
const UNTOLD = 'there';

/** Undefined: there is none. Rejects bad-input where it cannot be what it should. */
export async function readSecret(
  client: KubeClient,
  { metadata, spec }: FileSystemObject,
): Promise<ProvisionerSecret | undefined> {
  const { namespace } = metadata;
  try {
    const found = await client.find(secrets, { name: spec.secretName, namespace });
    if (found === undefined) return undefined;
    const map = Object.entries(found.data ?? {}).map(([name, value]) => {
      if (untold.has(name)) return [name, value === '' ? '' : UNTOLD] as const;
      return [name, Buffer.from(value, 'base64').toString()] as const;
    });
    return parseProvisionerSecret(Object.fromEntries(map));
  } catch (thrown) {
    if (!hasCode(thrown, 'permission-denied')) throw thrown;
    throw fail(
      'permission-denied',
      `secret ${spec.secretName}: the operator may not read Secrets of namespace ${namespace}`,
      {
        cause: thrown,
        hint: 'add the namespace to operator.namespaces of the chart',
      },
    );
  }
}
