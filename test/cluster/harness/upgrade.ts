// The release with other values for a while: everything runs with them when it resolves, keepers too.
import type { V1Pod } from '@kubernetes/client-node';
import { runOk, until } from '../../harness/program.ts';
import { programPath } from '../testbed/programs.ts';
import type { Cluster } from './cluster.ts';

/** `flags` of helm, beside the values of all tests; none: the release as others found it, also where it was uninstalled. */
export async function upgrade(cluster: Cluster, flags: readonly string[] = []): Promise<void> {
  const { name, chart, values, namespace } = cluster.release;
  const where = ['--kubeconfig', cluster.described.kubeconfig, '--namespace', namespace];
  const how = ['--reset-values', '--values', values, ...flags, '--wait', '--timeout', '150s'];
  await runOk(programPath('helm'), ['upgrade', '--install', name, chart, ...where, ...how], { timeoutMs: 180_000 });
  await replaceKeeper(cluster);
}

/** An upgrade leaves it as it is, and with it the directories that it sees. */
async function replaceKeeper({ system }: Cluster): Promise<void> {
  const keepers = (): Promise<V1Pod[]> => system.list<V1Pod>('pods', ['-l', 'app.kubernetes.io/component=keeper']);
  for (const { metadata } of await keepers()) await system.delete('pod', metadata?.name ?? '');
  await until('another keeper', async () => (await keepers()).length === 1);
  const [keeper] = await keepers();
  await system.podReady(keeper?.metadata?.name ?? '');
}
