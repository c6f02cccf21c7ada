// An API server of a test file's own, with etcd and nothing else: for CRDs, rules of admission and operators, whose objects
// nobody schedules. Three seconds, and no root.
import { after } from 'node:test';
import { Testbed } from '../testbed/testbed.ts';
import { Kubectl } from './kubectl.ts';

/** Of every such test, for `needs`. */
export const apiServerNeeds = ['openssl', 'an API server'] as const;

export interface ApiServer {
  readonly kubeconfig: string;
  /** As administrator. */
  readonly kubectl: Kubectl;
  readonly testbed: Testbed;
}

let started = 0;

/** It ends with its owner: a test's context, else the file or suite. */
export async function startApiServer(
  owner: { after(hook: () => Promise<void>): void } = { after },
): Promise<ApiServer> {
  const testbed = await Testbed.start({ id: `api-${process.pid}-${++started}`, mode: 'api' });
  owner.after(() => testbed.stop());
  const { kubeconfig } = testbed.described;
  return { kubeconfig, kubectl: new Kubectl(kubeconfig), testbed };
}
