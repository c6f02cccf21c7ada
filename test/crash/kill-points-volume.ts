// A volume that is put back to its prepared state for each kill, the killed process, and what it left.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openFileSystem } from '../../src/filesystem/open.ts';
import { NodeType, type Vfs } from '../../src/filesystem/vfs/vfs.ts';
import { Juicefs } from '../harness/juicefs.ts';
import { makeKey } from '../harness/keys.ts';
import { Pageseal } from '../harness/pageseal.ts';
import { isScaled, newPlace, type Place } from '../harness/place.ts';
import { runOk } from '../harness/program.ts';
import type { Temp } from '../harness/temp.ts';
import { sizes } from '../sizes.ts';
import type { Act, Contents, Scenario } from './kill-points-scenarios.ts';

const actor = fileURLToPath(new URL('kill-points-actor.ts', import.meta.url));
const source = fileURLToPath(new URL('kill-points.c', import.meta.url));
const caller = { uid: 0, gid: 0, pid: 1, umask: 0o022 };
/** The folder of a volume without servers. */
const WORK = 'work';
/** Longer than any run takes: a hang ends here. */
const RUN_TIMEOUT_MS = 60_000;

/** What a run came to: the points it passed, the steps it finished, and whether it was killed. */
export interface Run {
  readonly points: readonly string[];
  readonly steps: number;
  readonly killed: boolean;
  readonly output: string;
}

/** Answers the library to preload. */
export async function compileShim(temp: Temp): Promise<string> {
  const shim = temp.at('kill-points.so');
  await runOk('cc', ['-shared', '-fPIC', '-O1', '-Wall', '-Werror', '-o', shim, source, '-ldl']);
  return shim;
}

/** What is run under the shim; its volume without servers lies in the test's folder `work`. */
export interface PointsRun {
  readonly temp: Temp;
  readonly shim: string;
  readonly place: Place;
  /** Of Node: a file and its arguments. */
  readonly args: readonly string[];
}

/** To its end, or until it is killed. */
export async function runToPoint({ temp, shim, place, args }: PointsRun, killAt?: number): Promise<Run> {
  const log = temp.at('points');
  rmSync(log, { force: true });
  const env = {
    ...temp.env,
    LD_PRELOAD: shim,
    ...watched(temp, place),
    POINTS_LOG: log,
    ...(killAt !== undefined && { POINTS_KILL: String(killAt) }),
  };
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...args], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const { output, signal, code } = await outcomeOf(child);
  const killed = signal === 'SIGKILL' && killAt !== undefined;
  if (!killed && code !== 0) throw new Error(`${args.join(' ')}: exit ${code ?? signal}\n${output}`);
  const points = existsSync(log) ? readFileSync(log, 'utf8').trimEnd().split('\n') : [];
  await place.quiet(new Set(points.flatMap((point) => / from (\d+) to /.exec(point)?.[1] ?? []).map(Number)));
  return { points, steps: output.split('done\n').length - 1, killed, output };
}

/** What the shim is to look at. */
function watched(temp: Temp, place: Place): NodeJS.ProcessEnv {
  if (!isScaled) return { POINTS_FOLDER: temp.at(WORK) };
  return { POINTS_PORTS: [place.metaUrl, place.store.bucket].map((url) => new URL(url).port).join() };
}

/** Numbers of the points at which a process is killed: all, or as many as the size allows, each run others. */
export function chosenPoints(count: number): number[] {
  const all = Array.from({ length: count }, (_, at) => at + 1);
  if (count <= sizes.killPoints) return all;
  const stride = count / sizes.killPoints;
  const from = Math.random() * stride;
  return Array.from({ length: sizes.killPoints }, (_, i) => all[Math.floor(from + i * stride)] ?? count);
}

export class PointsVolume {
  readonly juicefs: Juicefs;
  readonly place: Place;
  readonly #temp: Temp;
  readonly #shim: string;
  readonly #name: string;

  private constructor(temp: Temp, place: Place, shim: string, name: string) {
    this.place = place;
    this.#temp = temp;
    this.#shim = shim;
    this.#name = name;
    this.juicefs = new Juicefs(temp);
  }

  static async make(temp: Temp, shim: string, name: string, scenario: Scenario): Promise<PointsVolume> {
    const volume = new PointsVolume(temp, await newPlace(temp, `${WORK}/meta`), shim, name);
    const key = await makeKey(temp, 2048, 'pkcs8');
    const flags = ['--encrypt-rsa-key', key.file, '--block-size', '64K', '--trash-days', String(scenario.trashDays)];
    await new Pageseal(temp).formatAt(volume.place, 'points', flags);
    const { output, killed } = await volume.#run([actor, volume.metaUrl, name, 'prepare']);
    if (killed || output !== 'done\n'.repeat(scenario.prepare.length)) throw new Error(`not prepared:\n${output}`);
    return volume;
  }

  get metaUrl(): string {
    return this.place.metaUrl;
  }

  act(act: Act, killAt?: number): Promise<Run> {
    return this.#run([actor, this.metaUrl, this.#name, act], killAt);
  }

  /** An object that nothing names. */
  stray(name: string): void {
    const path = join(this.place.objects, 'points/chunks/0/0', name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, 'stray');
  }

  #run(args: readonly string[], killAt?: number): Promise<Run> {
    return runToPoint({ temp: this.#temp, shim: this.#shim, place: this.place, args }, killAt);
  }

  /** The next client: adds what the dead one left pending, then shows what is there. */
  async recover(): Promise<Contents> {
    const fileSystem = await openFileSystem({
      metaUrl: this.metaUrl,
      key: { kind: 'in-metadata' },
      backgroundJobs: false,
    });
    try {
      return await readContents(fileSystem.vfs);
    } finally {
      await fileSystem.close();
    }
  }
}

async function outcomeOf(child: ChildProcess): Promise<{ output: string; signal: string | null; code: number | null }> {
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  const timer = setTimeout(() => child.kill('SIGTERM'), RUN_TIMEOUT_MS);
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) =>
    child.once('close', (...ending) => resolve(ending)),
  );
  clearTimeout(timer);
  return { output, signal, code };
}

async function readContents(vfs: Vfs): Promise<Contents> {
  const found = new Map<string, Buffer | undefined>();
  const visit = async (ino: bigint, path: string): Promise<void> => {
    const children: { name: string; ino: bigint; type: number }[] = [];
    const handle = await vfs.opendir(caller, ino);
    await vfs.readdir(caller, ino, handle, 0n, true, ({ name, ino: child, type, entry }) => {
      if (entry !== undefined) children.push({ name: name.toString(), ino: child, type });
      return true;
    });
    await vfs.releasedir(caller, ino, handle);
    for (const { name, ino: child, type } of children) {
      const at = path === '' ? name : `${path}/${name}`;
      if (type === NodeType.directory) {
        found.set(at, undefined);
        await visit(child, at);
      } else found.set(at, await readFile(vfs, child));
    }
  };
  await visit(vfs.root, '');
  return found;
}

async function readFile(vfs: Vfs, ino: bigint): Promise<Buffer> {
  const { attr } = await vfs.getattr(caller, ino, undefined);
  const { handle } = await vfs.open(caller, ino, 0);
  const data = Buffer.concat(await vfs.read(caller, ino, handle, 0n, Number(attr.length)));
  await vfs.release(caller, ino, handle);
  return data;
}
