// The object store that a Secret names, anywhere but on the node itself: who is there, and by whose credentials.
import { fail } from '../base/errors.ts';
import { checkEndpoint, type Endpoints } from '../config/endpoints.ts';
import type { Connection } from '../config/secret.ts';
import { secretNames } from '../config/secret-names.ts';
import { storeEndpoints } from '../filesystem/places.ts';

const HTTPS_PORT = 443;

export interface StoreRules {
  readonly endpoints: Endpoints;
  /** Volumes without credentials of their own use the node's: everybody who may write a Secret then is the node. */
  readonly ambientCredentials: boolean;
}

export function checkStorePlace(storage: string, bucket: string, connection: Connection, rules: StoreRules): void {
  const what = `secret: ${secretNames.bucket}`;
  // Errors further on quote what they cannot read.
  if (bucket.includes('@')) throw fail('bad-input', `${what}: wanted an address without user and password`);
  for (const url of storeEndpoints({ storage, bucket })) {
    if (url.protocol !== 'https:')
      throw fail('refused', `${what}: the transport rule wants https:// for volumes of pods`, {
        hint: 'internal endpoints that speak http:// work on the command line only',
      });
    checkEndpoint(url.hostname, Number(url.port || HTTPS_PORT), rules.endpoints, what);
  }
  const { accessKey, secretKey } = connection;
  if ((accessKey === undefined) !== (secretKey === undefined))
    throw fail('bad-input', `secret: ${secretNames.accessKey} and ${secretNames.secretKey} belong together`);
  if (accessKey === undefined && !rules.ambientCredentials)
    throw fail(
      'refused',
      `secret: ${secretNames.accessKey}: is missing, and the credentials of the node are not for volumes`,
      {
        hint: '--ambient-credentials of the driver lends them to everybody who may write a Secret',
      },
    );
}
