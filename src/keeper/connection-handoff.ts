// A caller's connection and key as a worker takes them.
import { environmentFor } from '../config/worker-environment.ts';
import type { Handoff, StoreOverrides, WorkerSettings } from './handoff.ts';
import type { Connection } from './messages.ts';

export function handoffOf(
  connection: Connection,
  rest: Omit<WorkerSettings, 'metaUrl' | 'store' | 'environment' | 'encryptionRequired'>,
): Handoff {
  const { metaUrl, encryptionRequired } = connection;
  const store = storeOf(connection);
  // A volume that brings credentials of its own has no use for the node's.
  const environment = environmentFor({ withIdentity: store.accessKey === undefined });
  return {
    settings: { metaUrl, store, environment, encryptionRequired, ...rest },
    pem: connection.rsaKey.length > 0 ? Buffer.from(connection.rsaKey) : undefined,
    passphrase: connection.hasPassphrase ? Buffer.from(connection.passphrase) : undefined,
  };
}

/** What is empty is as the record says. */
function storeOf(connection: Connection): StoreOverrides {
  const { storage, bucket, accessKey, secretKey, sessionToken, caBundle } = connection;
  const given = { storage, bucket, accessKey, secretKey, sessionToken, caBundle };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== ''));
}
