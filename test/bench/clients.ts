// The two clients under comparison, driven through their command lines with the same settings, and what their processes
// use.
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { readRecord } from '../../src/cli/mount/record.ts';
import { mustSucceed } from '../harness/juicefs.ts';
import type { TestKey } from '../harness/keys.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { EmbeddedPlace, type Place } from '../harness/place.ts';
import { run, until } from '../harness/program.ts';
import type { Temp } from '../harness/temp.ts';
import { juicefsProgram } from '../harness/tools.ts';

const PASSPHRASE = 'bench';
/** Of both clients' mounts. */
const ROOT_INODE = 1;
/** Linux counts processor time so (USER_HZ). */
const TICKS_PER_S = 100;

export interface Usage {
  /** Processor seconds so far. */
  readonly cpu: number;
  /** MiB, peak of the largest process and proportional set size of all. */
  readonly peak: number;
  readonly pss: number;
  readonly resident: number;
}

export interface Client {
  readonly name: string;
  readonly mountPoint: string;
  format(): Promise<void>;
  /** `metaUrl`: another way to the same metadata. */
  mount(metaUrl?: string): Promise<void>;
  umount(): Promise<void>;
  usage(): Usage;
}

export class OursClient implements Client {
  readonly name = 'pageseal';
  readonly mountPoint: string;
  readonly #pageseal: Pageseal;
  readonly #place: Place;
  readonly #key: TestKey;

  constructor(temp: Temp, key: TestKey, place: Place = new EmbeddedPlace(temp, 'ours')) {
    this.#place = place;
    this.#key = key;
    this.#pageseal = new Pageseal(temp, PASSPHRASE);
    this.mountPoint = temp.folder('ours', 'mnt');
  }

  async format(): Promise<void> {
    await this.#pageseal.formatAt(this.#place, 'bench', ['--rsa-key', this.#key.file, '--compress', 'zstd']);
  }

  mount(metaUrl = this.#place.metaUrl): Promise<void> {
    return this.#pageseal.mount(metaUrl, this.mountPoint, ['--rsa-key', this.#key.file]);
  }

  async umount(): Promise<void> {
    await this.#pageseal.umount(this.mountPoint);
  }

  usage(): Usage {
    const keeper = readRecord(this.mountPoint)?.pid;
    return keeper === undefined ? nothing : usageOf([keeper, ...childrenOf(keeper)]);
  }
}

export class JuicefsClient implements Client {
  readonly name = 'juicefs';
  readonly mountPoint: string;
  readonly #temp: Temp;
  readonly #key: TestKey;
  readonly #place: Place;

  constructor(temp: Temp, key: TestKey, place: Place = new EmbeddedPlace(temp, 'theirs')) {
    this.#temp = temp;
    this.#key = key;
    this.#place = place;
    this.mountPoint = temp.folder('juicefs', 'mnt');
  }

  async #ok(args: readonly string[]): Promise<void> {
    const env = { ...this.#temp.env, JFS_RSA_PASSPHRASE: PASSPHRASE };
    mustSucceed(`juicefs ${args.join(' ')}`, await run(juicefsProgram, args, { env, input: '' }));
  }

  async format(): Promise<void> {
    const { metaUrl, storeFlags } = this.#place;
    const sealing = ['--encrypt-rsa-key', this.#key.file, '--compress', 'zstd'];
    await this.#ok(['format', metaUrl, 'bench', ...storeFlags, '--no-update', ...sealing]);
  }

  /** With its own defaults, and an empty cache folder each time. */
  async mount(metaUrl = this.#place.metaUrl): Promise<void> {
    const cache = this.#temp.at('juicefs', 'cache');
    rmSync(cache, { recursive: true, force: true });
    const quiet = ['--no-usage-report', '--backup-meta', '0', '--log', this.#temp.at('juicefs', 'log')];
    await this.#ok(['mount', '-d', metaUrl, this.mountPoint, '--cache-dir', cache, ...quiet]);
    // On a busy machine it may come back before the mount is there, and the folder below would be measured.
    await until('the mount of the original client', () => statSync(this.mountPoint).ino === ROOT_INODE);
  }

  /** By the system's own command: nothing is left to flush, and the client's own waits for long on a busy machine. */
  async umount(): Promise<void> {
    const gone = async (): Promise<boolean> => (await run('umount', [this.mountPoint])).code === 0;
    await until('the unmount of the original client', gone);
    await until('the end of the original client', () => this.#processes().length === 0);
  }

  #processes(): number[] {
    return processesCalled('juicefs').filter((pid) => commandOf(pid).includes(this.mountPoint));
  }

  usage(): Usage {
    return usageOf(this.#processes());
  }
}

const nothing: Usage = { cpu: 0, peak: 0, pss: 0, resident: 0 };

export function usageOf(pids: readonly number[]): Usage {
  const total = { ...nothing };
  for (const pid of pids) {
    const stat = textOf(pid, 'stat');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    total.cpu += (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / TICKS_PER_S;
    total.peak += kibOf(textOf(pid, 'status'), 'VmHWM') / 1024;
    total.resident += kibOf(textOf(pid, 'status'), 'VmRSS') / 1024;
    total.pss += kibOf(textOf(pid, 'smaps_rollup'), 'Pss') / 1024;
  }
  return total;
}

const kibOf = (text: string, field: string): number =>
  Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0);
const commandOf = (pid: number): string => textOf(pid, 'cmdline').replaceAll('\0', ' ');

function textOf(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return ''; // it ended
  }
}

/** By the short name, which can be read of any process, stuck or not. */
function processesCalled(name: string): number[] {
  const pids = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry));
  return pids.map(Number).filter((pid) => textOf(pid, 'comm').trim() === name);
}

function childrenOf(parent: number): number[] {
  const task = join('/proc', String(parent), 'task');
  if (!existsSync(task)) return [];
  return readdirSync(task).flatMap((thread) =>
    textOf(parent, `task/${thread}/children`).split(' ').filter(Boolean).map(Number),
  );
}
