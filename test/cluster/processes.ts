// Processes of the driver's pods as the host sees them: found by the pod's control group, so that nothing has to run in them.
import { readdirSync, readFileSync } from 'node:fs';
import type { Cluster } from './harness/cluster.ts';

export interface DriverPod {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
  };
  readonly spec: {
    readonly serviceAccountName: string;
    readonly volumes: readonly { readonly projected?: object; readonly secret?: object }[];
  };
  readonly status: {
    readonly podIP?: string;
    readonly containerStatuses?: readonly { readonly name: string; readonly restartCount: number }[];
  };
}

export const componentOf = ({ metadata }: DriverPod): string => metadata.labels['app.kubernetes.io/component'] ?? '';

/** Those that are not on their way out. */
export async function podsOf(cluster: Cluster, component: string): Promise<DriverPod[]> {
  const label = `app.kubernetes.io/name=pageseal,app.kubernetes.io/component=${component}`;
  const pods = await cluster.system.list<DriverPod>('pods', ['-l', label]);
  return pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
}

/** Pids of all processes of a component's pods, sidecars and workers included, the pause process not. */
export async function processesOf(cluster: Cluster, component: string): Promise<number[]> {
  const pods = await podsOf(cluster, component);
  return allProcesses().filter((pid) => {
    const groups = contentsOf(`/proc/${pid}/cgroup`);
    return (
      pods.some(({ metadata }) => groups.includes(`pod${metadata.uid}`)) &&
      !/^\/?pause\0|\/pause\0/.test(commandOf(pid))
    );
  });
}

/** Of them those that run this command of ours (`csi`, `keeper`, `worker`, `operator`). */
export async function ourProcesses(cluster: Cluster, component: string, command: string): Promise<number[]> {
  const processes = await processesOf(cluster, component);
  return processes.filter(
    (pid) => /\/opt\/pageseal\//.test(commandOf(pid)) && commandOf(pid).split('\0').includes(command),
  );
}

export const allProcesses = (): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);

export const commandOf = (pid: number): string => contentsOf(`/proc/${pid}/cmdline`);

/** Empty when the process is gone. */
export function contentsOf(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
