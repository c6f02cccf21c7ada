// A test's own folder. Whatever happened, `remove` ends the processes started through it, takes away every mount below it
// and then the folder; nothing outside it is touched.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { mountProcesses, removeMountRecords } from './mount-records.ts';

/** What is told to end gets this long before it is killed. */
const TERM_GRACE_MS = 3000;
const POLL_MS = 20;
/** Set in the environment of everything started through a folder. */
const MARK = 'PAGESEAL_TEST_TEMP';

/** A server that is ending may make a folder again on its way out: what is there when this process ends goes, too. */
const removed: Temp[] = [];
process.once('exit', () => {
  for (const temp of removed) if (temp.mounts().length === 0) rmSync(temp.path, { recursive: true, force: true });
});

export class Temp {
  readonly path = realpathSync(mkdtempSync(join(tmpdir(), 'pageseal-')));
  /** For children: the test's environment, without a passphrase, and their home and temporary files in the folder. */
  readonly env: NodeJS.ProcessEnv;
  readonly #endings: (() => Promise<void>)[] = [];

  constructor() {
    const own = { HOME: this.folder('home'), TMPDIR: this.folder('tmp') };
    const env: NodeJS.ProcessEnv = { ...process.env, [MARK]: this.path, ...own };
    delete env['JFS_RSA_PASSPHRASE'];
    delete env['NODE_TEST_CONTEXT'];
    this.env = env;
  }

  /** A path inside. */
  at(...parts: string[]): string {
    return join(this.path, ...parts);
  }

  /** A folder inside, made if need be. */
  folder(...parts: string[]): string {
    const path = this.at(...parts);
    mkdirSync(path, { recursive: true });
    return path;
  }

  /** Mount points below, outermost first. */
  mounts(): string[] {
    return mountPoints().filter((point) => point.startsWith(`${this.path}/`));
  }

  /** For servers: they are stopped when nothing is mounted any more, the last one first. */
  beforeRemoval(stop: () => Promise<void>): void {
    this.#endings.unshift(stop);
  }

  async remove(): Promise<void> {
    // Workers bear no mark of ours; one that still flushes would make the folder again, to put a last file into it.
    const mounting = mountProcesses(this.path);
    const served = [...mounting, ...[...this.#processes(), ...mounting].flatMap(descendants)];
    const alive = (): number[] => [...this.#processes(), ...served.filter(isAlive)];
    unmount(this.mounts(), []); // lets a healthy server flush and end by itself
    for (const stop of this.#endings) await stop().catch(() => undefined); // what resists is killed below
    for (const pid of this.#processes()) signal(pid, 'SIGTERM');
    const deadline = Date.now() + TERM_GRACE_MS;
    while (alive().length > 0 && Date.now() < deadline) await new Promise((r) => setTimeout(r, POLL_MS));
    for (const pid of alive()) signal(pid, 'SIGKILL');
    unmount(this.mounts(), ['-l']);
    const left = this.mounts();
    if (left.length > 0) throw new Error(`still mounted: ${left.join(', ')}`);
    removeMountRecords(this.path);
    rmSync(this.path, { recursive: true, force: true });
    removed.push(this);
  }

  /** By the folder's name in their environment or on their command line. */
  #processes(): number[] {
    return processesNaming(this.path).filter((pid) => pid !== process.pid);
  }
}

/** A folder that goes when the hook's owner (a test's context, else the file or the enclosing suite) ends. */
export function makeTemp(owner: { after(hook: () => Promise<void>): void } = { after }): Temp {
  const temp = new Temp();
  owner.after(() => temp.remove());
  return temp;
}

function mountPoints(): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .flatMap((line) => line.split(' ')[4] ?? [])
    .map((point) => point.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))));
}

/** Innermost first. Never looks through a mount, whose server may be dead or stuck. */
function unmount(points: readonly string[], flags: readonly string[]): void {
  for (const point of points.toReversed())
    spawnSync('umount', [...flags, '--no-canonicalize', point], { stdio: 'ignore', timeout: 10_000 });
}

/** A process that is stuck while it starts (its program lies on a hung mount, say) blocks who reads these files. */
const LOOK_TIMEOUT_S = '5';

/** In a program of its own, which can be killed when it blocks; then one process after the other. */
function processesNaming(text: string): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const look = (some: readonly string[]): { readonly found: string[]; readonly blocked: boolean } => {
    const files = some.flatMap((pid) => [`/proc/${pid}/environ`, `/proc/${pid}/cmdline`]);
    // The pattern comes by stdin: on the command line it would find itself.
    const args = ['-s', 'KILL', LOOK_TIMEOUT_S, 'grep', '--text', '-lsF', '-f', '-', ...files];
    const { stdout, status } = spawnSync('timeout', args, { input: text, encoding: 'utf8' });
    return { found: stdout.match(/(?<=\/proc\/)\d+/g) ?? [], blocked: status === null || status >= KILLED };
  };
  const all = look(pids);
  const found = all.blocked ? pids.flatMap((pid) => look([pid]).found) : all.found;
  return [...new Set(found)].map(Number);
}

/** Exit codes of `timeout` from here on mean that it had to end the program. */
const KILLED = 124;

/** Children, and theirs. */
export function descendants(pid: number): number[] {
  const children = tasksOf(pid).flatMap((task) => {
    try {
      return readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
    } catch {
      return []; // gone
    }
  });
  return children.flatMap((child) => [child, ...descendants(child)]);
}

function tasksOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return []; // gone
  }
}

/** One that is dead may still wait for a parent that looks late (containers). */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // gone
  }
}
