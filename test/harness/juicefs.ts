// The original client, as the tests run it: never reports usage, keeps its files in the test's folder, and does nothing
// in the background unless asked.
import { mkdirSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { Inside } from './namespace.ts';
import type { Place } from './place.ts';
import { type Outcome, run, until } from './program.ts';
import { isAlive, type Temp } from './temp.ts';
import { juicefsProgram } from './tools.ts';

/** A program's outcome as an error unless it ended well. */
export function mustSucceed(what: string, outcome: Outcome): string {
  if (outcome.code !== 0) throw new Error(`${what}: exit ${outcome.code}\n${outcome.stdout}${outcome.stderr}`);
  return outcome.stdout + outcome.stderr;
}

export class Juicefs {
  readonly #temp: Temp;
  /** Beside the folder's own. */
  readonly #env: NodeJS.ProcessEnv;
  readonly #enter: readonly string[];
  #mounts = 0;
  /** By mount point. */
  readonly #serving = new Map<string, readonly number[]>();

  constructor(temp: Temp, passphrase?: string, env: NodeJS.ProcessEnv = {}, inside?: Inside) {
    this.#temp = temp;
    this.#enter = inside?.enter ?? [];
    // Without it gc passes over every object younger than an hour.
    this.#env = {
      JFS_GC_SKIPPEDTIME: '0',
      ...env,
      ...(passphrase !== undefined && { JFS_RSA_PASSPHRASE: passphrase }),
    };
  }

  /** Any command; a failure is an outcome. */
  run(args: readonly string[], timeoutMs = 120_000): Promise<Outcome> {
    const [program = '', ...rest] = [...this.#enter, juicefsProgram, ...args];
    return run(program, rest, { env: { ...this.#temp.env, ...this.#env }, timeoutMs, input: '' });
  }

  async ok(args: readonly string[]): Promise<string> {
    return mustSucceed(`juicefs ${args.join(' ')}`, await this.run(args));
  }

  /** With a folder as the bucket. */
  format(metaUrl: string, name: string, bucket: string, flags: readonly string[] = []): Promise<string> {
    return this.ok(['format', metaUrl, name, '--storage', 'file', '--bucket', bucket, '--no-update', ...flags]);
  }

  formatAt({ metaUrl, storeFlags }: Place, name: string, flags: readonly string[] = []): Promise<string> {
    return this.ok(['format', metaUrl, name, ...storeFlags, '--no-update', ...flags]);
  }

  /** In the background; without caches, so that every look goes to metadata and store. */
  async mount(metaUrl: string, mountPoint: string, flags: readonly string[] = []): Promise<void> {
    mkdirSync(mountPoint, { recursive: true });
    const own = this.#temp.at(`juicefs-${++this.#mounts}`);
    const caches = ['--attr-cache', '0', '--entry-cache', '0', '--dir-entry-cache', '0', '--cache-size', '0'];
    const quiet = ['--no-usage-report', '--no-bgjob', '--backup-meta', '0', '--enable-xattr'];
    const files = ['--cache-dir', `${own}-cache`, '--log', `${own}.log`];
    const before = processes(this.#temp);
    await this.ok(['mount', '-d', metaUrl, mountPoint, ...quiet, ...caches, ...files, ...flags]);
    const serving = processes(this.#temp).filter((pid) => !before.includes(pid));
    if (serving.length === 0) throw new Error(`no process of juicefs is found that serves ${mountPoint}`);
    this.#serving.set(mountPoint, serving);
  }

  /** Its process adds the last of its sums to the metadata when nothing is mounted any more: gone when it resolves. */
  async umount(mountPoint: string): Promise<string> {
    const serving = this.#serving.get(mountPoint) ?? [];
    const said = await this.ok(['umount', '--flush', mountPoint]);
    await until(`juicefs to end after ${mountPoint}`, () => !serving.some(isAlive));
    return said;
  }

  /** Answers what it found to complain about; nothing is what is wanted. */
  async fsck(metaUrl: string): Promise<string[]> {
    return complaints(await this.ok(['fsck', metaUrl]));
  }

  /** The same for the tree: link counts and the usage kept per directory. */
  async fsckTree(metaUrl: string): Promise<string[]> {
    return complaints(await this.ok(['fsck', metaUrl, '--path', '/', '--recursive', '--sync-dir-stat']));
  }

  /** Leaked or pending objects and slices, as gc counts them. */
  async gc(metaUrl: string): Promise<string> {
    const text = await this.ok(['gc', metaUrl]);
    const line = text.split('\n').findLast((one) => one.includes('scanned'));
    if (line === undefined) throw new Error(`juicefs gc said nothing of what it scanned:\n${text}`);
    return line;
  }
}

/** Those started through this folder. They shorten their command lines, and leave their environment as it was. */
function processes({ path }: Temp): number[] {
  return readdirSync('/proc').flatMap((name) => {
    try {
      if (!readlinkSync(`/proc/${name}/exe`).endsWith('/juicefs')) return [];
      return readFileSync(`/proc/${name}/environ`, 'utf8').includes(path) ? [Number(name)] : [];
    } catch {
      return []; // no process, or gone
    }
  });
}

/** Said of every folder store (it has no storage classes), and of a busy machine. */
const HARMLESS = /Set storage tier: not supported|latency to database/;

const complaints = (text: string): string[] =>
  text.split('\n').filter((line) => /<(ERROR|FATAL|WARNING)>/.test(line) && !HARMLESS.test(line));
