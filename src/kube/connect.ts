// The one way to a client, for callers that load it when they first need it.
import { type AccessOptions, openAccess } from './access.ts';
import { KubeClient } from './client.ts';

export async function connectKube(options: AccessOptions = {}): Promise<KubeClient> {
  return new KubeClient(await openAccess(options));
}
