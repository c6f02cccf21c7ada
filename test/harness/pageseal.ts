// Our own command line, as a user runs it: through bin/pageseal, in the test's environment.
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { mustSucceed } from './juicefs.ts';
import type { Inside } from './namespace.ts';
import type { Place } from './place.ts';
import { type Outcome, run } from './program.ts';
import type { Temp } from './temp.ts';
import { root } from './tools.ts';

export const pagesealProgram = join(root, 'bin/pageseal');

export class Pageseal {
  readonly #temp: Temp;
  readonly #passphrase: string | undefined;
  readonly #enter: readonly string[];

  constructor(temp: Temp, passphrase?: string, inside?: Inside) {
    this.#enter = inside?.enter ?? [];
    this.#temp = temp;
    this.#passphrase = passphrase;
  }

  /** Any command; a failure is an outcome. */
  run(args: readonly string[], input = ''): Promise<Outcome> {
    const { said, password } = withoutPassword(args);
    const [program = '', ...rest] = [...this.#enter, pagesealProgram, ...said];
    const given = { META_PASSWORD: password, JFS_RSA_PASSPHRASE: this.#passphrase };
    const secrets = Object.entries(given).filter(([, value]) => value !== undefined);
    return run(program, rest, { env: { ...this.#temp.env, ...Object.fromEntries(secrets) }, input });
  }

  async ok(args: readonly string[]): Promise<string> {
    return mustSucceed(`pageseal ${args.join(' ')}`, await this.run(args));
  }

  formatAt({ metaUrl, storeFlags }: Place, name: string, flags: readonly string[] = []): Promise<string> {
    return this.ok(['format', metaUrl, name, ...storeFlags, ...flags]);
  }

  /** With a folder as the bucket. */
  format(metaUrl: string, name: string, bucket: string, flags: readonly string[] = []): Promise<string> {
    return this.ok(['format', metaUrl, name, '--storage', 'file', '--bucket', bucket, ...flags]);
  }

  /** In the background. */
  async mount(metaUrl: string, mountPoint: string, flags: readonly string[] = []): Promise<void> {
    mkdirSync(mountPoint, { recursive: true });
    await this.ok(['mount', '-d', metaUrl, mountPoint, '--log', `${mountPoint}.log`, ...flags]);
  }

  async umount(mountPoint: string): Promise<string> {
    const args = ['umount', mountPoint];
    const outcome = await this.run(args);
    const why = outcome.code === 0 ? '' : holders(mountPoint);
    return mustSucceed(`pageseal ${args.join(' ')}${why}`, outcome);
  }
}

/** Whoever still has the mount, in a mount namespace of its own or by a process that serves it. */
function holders(mountPoint: string): string {
  const lines = readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const [mounts, words] = ['mountinfo', 'cmdline'].map((name) => readFileSync(`/proc/${pid}/${name}`, 'utf8'));
      return mounts?.includes(` ${mountPoint} `) ? [`${pid}: ${words?.replaceAll('\0', ' ').slice(0, 200)}`] : [];
    } catch {
      return []; // ended meanwhile
    }
  });
  return `, still held by [${lines.join('; ')}]`;
}

/** As users are told to do it: the database's password is not on the command line. */
function withoutPassword(args: readonly string[]): { said: string[]; password: string | undefined } {
  let password: string | undefined;
  const said = args.map((arg) => {
    if (!arg.startsWith('postgres')) return arg;
    const [, before = '', given, after = ''] = /^(postgres(?:ql)?:\/\/[^:@/]*)(?::([^@/]*))?(@.*)$/.exec(arg) ?? [];
    if (given === undefined) return arg;
    password = decodeURIComponent(given);
    return before + after;
  });
  return { said, password };
}
