// The testbed's machine: PID, network and mount namespaces of its own, held by one process. Everything of the cluster runs
// in there, containers included; when that process ends, the kernel ends them all and takes their mounts and networks along.
// To them /run and /var/lib are their own, so kubelet, keeper and CNI use their usual paths, and several testbeds can run.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Namespace } from '../../harness/namespace.ts';
import { runOk, until } from '../../harness/program.ts';
import { isAlive, type Temp } from '../../harness/temp.ts';
import { type Component, mustRun, programPath, startComponent } from './programs.ts';

/** Addresses of the testbed's own network; nothing outside sees them. */
export const NODE_ADDRESS = '10.77.0.1';
export const POD_RANGE = '10.88.0.0/24';
export const SERVICE_RANGE = '10.96.0.0/16';
/**
 * The first of the services' range is the API server's. It listens there itself, as there is no kube-proxy; port 443 of the
 * other addresses is free for stores.
 */
export const API_ADDRESS = '10.96.0.1';
/** Where a database and a store are for pods. */
export const SERVERS_ADDRESS = '10.77.0.2';
const BRIDGE = 'node0';

/** For servers that are started beside the cluster: in the network of the process that holds the testbed's namespaces. */
export const serversNetwork = (temp: Temp, pid: number): Namespace => new Namespace(temp, pid, SERVERS_ADDRESS, BRIDGE);

/**
 * What the kubelet wants of the kernel, and would otherwise set for the whole host: the testbed sees files with these
 * values in the places of the settings.
 */
const KERNEL_SETTINGS: Readonly<Record<string, string>> = {
  'vm/overcommit_memory': '1',
  'vm/panic_on_oom': '0',
  'kernel/panic': '10',
  'kernel/panic_on_oops': '1',
  'kernel/keys/root_maxkeys': '1000000',
  'kernel/keys/root_maxbytes': '25000000',
};

export class Machine {
  readonly #holder: Component;
  /** Of the first process inside, as the host counts. */
  readonly pid: number;
  readonly enter: readonly string[];

  private constructor(holder: Component, pid: number) {
    this.#holder = holder;
    this.pid = pid;
    this.enter = ['nsenter', '--target', String(pid), '--mount', '--net', '--pid', '--'];
  }

  /** `state`: a folder on a disk, for what of /var/lib and the kubelet's is big. */
  static async start(state: string, logs: string, env: NodeJS.ProcessEnv): Promise<Machine> {
    // A slave of the host's mounts: what is unmounted there must not live on here.
    const apart = ['--pid', '--net', '--mount', '--propagation', 'slave', '--fork', '--kill-child', '--mount-proc'];
    const command = ['unshare', ...apart, '--', programPath('pause')];
    const holder = startComponent({ name: 'machine', logs, env, command });
    let pid: number | undefined;
    await until('the namespaces of the testbed', () => {
      mustRun(holder);
      pid = childOf(holder.child.pid ?? 0);
      return pid !== undefined && readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith(programPath('pause'));
    });
    const machine = new Machine(holder, pid ?? 0);
    await machine.shell(mountScript(state));
    await machine.shell(networkScript);
    return machine;
  }

  shell(script: string): Promise<string> {
    const [program = '', ...args] = [...this.enter, 'sh', '-ec', script];
    return runOk(program, args);
  }

  async stop(): Promise<void> {
    if (isAlive(this.pid)) process.kill(this.pid, 'SIGKILL');
    // unshare waits for the first process, and the kernel lets that end after all others.
    await until(
      'the processes of the testbed to end',
      () => !isAlive(this.pid) && !isAlive(this.#holder.child.pid ?? 0),
    );
  }
}

function childOf(pid: number): number | undefined {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
  return children[0] === undefined ? undefined : Number(children[0]);
}

function mountScript(state: string): string {
  const folder = (...parts: string[]): string => {
    mkdirSync(join(state, ...parts), { recursive: true });
    return join(state, ...parts);
  };
  const layers = `lowerdir=/var/lib,upperdir=${folder('var-lib')},workdir=${folder('var-lib-work')}`;
  const settings = Object.entries(KERNEL_SETTINGS).map(([path, value]) => {
    const file = join(folder('sysctl'), path.replaceAll('/', '.'));
    writeFileSync(file, `${value}\n`);
    return `[ ! -e /proc/sys/${path} ] || mount --bind ${file} /proc/sys/${path}`;
  });
  return `
    # A volume that somebody else's test mounts must end with their umount.
    awk '$3 ~ /^fuse/ { print $2 }' /proc/self/mounts | while read -r foreign; do umount -l "$foreign" || true; done
    mount -t tmpfs -o mode=755 tmpfs /run
    mkdir /run/lock
    mount -t overlay -o ${layers} overlay /var/lib
    mkdir -p /var/lib/kubelet
    mount --bind ${folder('kubelet')} /var/lib/kubelet
    ${settings.join('\n')}
    # What pods mount below a Bidirectional folder is seen by the kubelet and by other pods.
    mount --make-rshared /`;
}

const networkScript = `
  ip link set lo up
  ip address add ${API_ADDRESS}/32 dev lo
  ip link add ${BRIDGE} type bridge
  ip address add ${NODE_ADDRESS}/24 dev ${BRIDGE}
  ip address add ${SERVERS_ADDRESS}/24 dev ${BRIDGE}
  ip link set ${BRIDGE} up`;
