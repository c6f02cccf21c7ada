// Machines of a network that is the test's own: a network namespace for servers with a bridge in it, and one for each
// client, joined by a pair of virtual interfaces. Nothing of it is in the machine's own network. Each namespace lives as
// long as a process in it does, and such processes end with the test's folder; mounts made in one are seen everywhere.
import { type ChildProcess, spawn } from 'node:child_process';
import { runOk } from './program.ts';
import type { Temp } from './temp.ts';

/** For tests of networks (RFC 2544): nobody routes it. */
const PREFIX = '198.18.0';
const FIRST_CLIENT = 10;
const CLIENT_INTERFACE = 'eth0';

/** Where a program runs: its command line behind these words. */
export interface Inside {
  readonly enter: readonly string[];
}

export class Namespace implements Inside {
  readonly address: string;
  /** The one through which it sees the others. */
  readonly interfaceName: string;
  readonly pid: number;
  readonly enter: readonly string[];
  readonly #temp: Temp;

  constructor(temp: Temp, pid: number, address: string, interfaceName: string) {
    this.#temp = temp;
    this.pid = pid;
    this.address = address;
    this.interfaceName = interfaceName;
    this.enter = ['nsenter', `--net=/proc/${pid}/ns/net`, '--'];
  }

  async shell(script: string): Promise<string> {
    const [program = '', ...args] = this.enter;
    return await runOk(program, [...args, 'sh', '-ec', script], { env: this.#temp.env });
  }
}

export class Network {
  readonly servers: Namespace;
  readonly clients: readonly Namespace[];

  private constructor(servers: Namespace, clients: readonly Namespace[]) {
    this.servers = servers;
    this.clients = clients;
  }

  static async make(temp: Temp, clientCount: number): Promise<Network> {
    const servers = new Namespace(temp, await hold(temp), `${PREFIX}.1`, 'bridge0');
    await servers.shell(`ip link set lo up
      ip link add bridge0 type bridge
      ip address add ${servers.address}/24 dev bridge0
      ip link set bridge0 up`);
    const clients: Namespace[] = [];
    for (let number = 0; number < clientCount; number++) {
      const client = new Namespace(temp, await hold(temp), `${PREFIX}.${FIRST_CLIENT + number}`, CLIENT_INTERFACE);
      await servers.shell(`ip link add client${number} type veth peer name ${CLIENT_INTERFACE} netns ${client.pid}
        ip link set client${number} master bridge0 up`);
      await client.shell(`ip link set lo up
        ip address add ${client.address}/24 dev ${CLIENT_INTERFACE}
        ip link set ${CLIENT_INTERFACE} up`);
      clients.push(client);
    }
    return new Network(servers, clients);
  }

  /** What was on its way to or from it is lost, and nobody is told. */
  async unplug(client: Namespace): Promise<void> {
    await this.servers.shell(`ip link set client${this.clients.indexOf(client)} down`);
  }

  async plug(client: Namespace): Promise<void> {
    await this.servers.shell(`ip link set client${this.clients.indexOf(client)} up`);
  }
}

/** A process in a new namespace, which keeps it. */
async function hold(temp: Temp): Promise<number> {
  const keep = ['--net', 'sh', '-c', 'echo made; exec sleep infinity'];
  const child = spawn('unshare', keep, { env: temp.env, stdio: ['ignore', 'pipe', 'inherit'] });
  await firstOutput(child);
  child.stdout.destroy();
  child.unref(); // it goes with the test's folder
  if (child.pid === undefined) throw new Error('unshare did not start');
  return child.pid;
}

function firstOutput(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`unshare --net: exit ${code}`)));
    child.stdout?.once('data', () => resolve());
  });
}
