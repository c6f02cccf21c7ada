// A machine of a test's network with an /etc/hosts of its own: names that no DNS knows lead where the test says, and
// elsewhere a moment later. What is mounted there is not seen outside; `at` finds its files.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import type { Inside } from './namespace.ts';
import type { Temp } from './temp.ts';

/** As the chart's `hostAliases`. */
export interface HostAlias {
  readonly ip: string;
  readonly hostnames: readonly string[];
}

export class Names implements Inside {
  readonly enter: readonly string[];
  readonly #pid: number;
  readonly #file: string;

  private constructor(pid: number, file: string) {
    this.#pid = pid;
    this.#file = file;
    this.enter = ['nsenter', '--target', String(pid), '--mount', '--net', '--'];
  }

  /** `machine`: a process in the network that is meant. */
  static async on(temp: Temp, machine: number, aliases: readonly HostAlias[]): Promise<Names> {
    const file = temp.at('hosts');
    write(file, aliases);
    return new Names(await holdMounts(temp, machine, file), file);
  }

  /** Who looks a name up from now on finds this. */
  change(aliases: readonly HostAlias[]): void {
    write(this.#file, aliases);
  }

  /** A path there, as a path of the test's own. */
  at(path: string): string {
    return `/proc/${this.#pid}/root${path}`;
  }
}

/** Into the file itself: another one of its name would not be the one that is mounted. */
const write = (file: string, aliases: readonly HostAlias[]): void =>
  writeFileSync(file, aliases.map(({ ip, hostnames }) => `${ip} ${hostnames.join(' ')}\n`).join(''));

/** A process in mounts of its own, which keeps them. */
async function holdMounts(temp: Temp, machine: number, hosts: string): Promise<number> {
  const script = `mount --bind ${hosts} /etc/hosts && echo made && exec sleep infinity`;
  const apart = ['unshare', '--mount', '--propagation', 'slave', 'sh', '-ec', script];
  const child = spawn('nsenter', ['--target', String(machine), '--net', '--', ...apart], {
    env: temp.env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await Promise.race([once(child.stdout, 'data'), failed(child)]);
  child.stdout.destroy();
  child.unref(); // it goes with the test's folder
  if (child.pid === undefined) throw new Error('nsenter did not start');
  return child.pid;
}

async function failed(child: ChildProcess): Promise<never> {
  const [code] = await once(child, 'exit');
  throw new Error(`unshare --mount: exit ${code}`);
}
