// Pageseal in the cluster as its users put it there: the image loaded, the chart installed by helm, everything running.
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { run } from '../../harness/program.ts';
import { root } from '../../harness/tools.ts';
import { Kubectl } from '../harness/kubectl.ts';
import { SERVERS_ADDRESS } from './machine.ts';
import { pagesealArchive, pagesealImage, programPath } from './programs.ts';
import { hostAliases, LOOPBACK_NAME, METADATA_NAME, POSTGRES_NAME, S3_NAME } from './servers.ts';
import type { Testbed } from './testbed.ts';

export const RELEASE = 'pageseal';
export const RELEASE_NAMESPACE = 'pageseal-system';
export const chartFolder = join(root, 'charts/pageseal');

/** As handed on to the test files of a run. */
export interface Release {
  readonly name: string;
  readonly namespace: string;
  readonly chart: string;
  /** File of the values that it is installed with. */
  readonly values: string;
  readonly image: string;
}

const [repository = '', tag = ''] = pagesealImage.split(/:(?=[^/]*$)/);
/** What differs from the chart's defaults. */
const testValues = {
  // As where tenants write Secrets: the servers beside the cluster, and whatever a test starts there.
  allowedEndpoints: [`${POSTGRES_NAME}:5432`, `${S3_NAME}:443`, SERVERS_ADDRESS, LOOPBACK_NAME, METADATA_NAME],
  image: { repository, tag },
  // What may not be in a log is looked for in what says most.
  logLevel: 'debug',
  sidecars: { verbosity: 7 },
  hostAliases,
};
/** Pulls, starts and registers; the bound is for a hang. */
const INSTALL_BOUND = '180s';

/** `wait`: until everything runs; without, whoever looks for the fault finds the cluster up. */
export async function install(testbed: Testbed, wait: boolean): Promise<Release> {
  if (!existsSync(pagesealArchive)) throw new Error(`${pagesealArchive} is missing: node setup/cluster.mjs makes it`);
  const { kubeconfig, state } = testbed.described;
  await testbed.load(pagesealArchive);
  const values = join(state, 'values.yaml');
  writeFileSync(values, stringify(testValues));
  await labelNamespace(kubeconfig);
  const where = ['--kubeconfig', kubeconfig, '--namespace', RELEASE_NAMESPACE];
  const how = ['--values', values, ...(wait ? ['--wait', '--timeout', INSTALL_BOUND] : [])];
  const { code, stderr } = await run(programPath('helm'), ['install', RELEASE, chartFolder, ...where, ...how], {
    timeoutMs: 300_000,
  });
  if (code !== 0)
    throw new Error(`helm install: ${stderr}\n${await new Kubectl(kubeconfig, RELEASE_NAMESPACE).explainAll()}`);
  return { name: RELEASE, namespace: RELEASE_NAMESPACE, chart: chartFolder, values, image: pagesealImage };
}

/** The keeper is privileged: a namespace that enforces pod security must say that this is meant. */
async function labelNamespace(kubeconfig: string): Promise<void> {
  const labels = { 'pod-security.kubernetes.io/enforce': 'privileged' };
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: RELEASE_NAMESPACE, labels } };
  await new Kubectl(kubeconfig).apply(namespace);
}
