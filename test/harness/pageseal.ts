// Our own command line, as a user runs it: through bin/pageseal, in the test's environment.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { mustSucceed } from './juicefs.ts';
import type { Inside } from './namespace.ts';
import type { Place } from './place.ts';
import { type Outcome, run } from './program.ts';
import type { Temp } from './temp.ts';
import { root } from './tools.ts';

export const pagesealProgram = join(root, 'bin/pageseal');

export class Pageseal {
  readonly #env: NodeJS.ProcessEnv;
  readonly #enter: readonly string[];

  constructor(temp: Temp, passphrase?: string, inside?: Inside) {
    this.#enter = inside?.enter ?? [];
    this.#env = { ...temp.env, ...(passphrase !== undefined && { JFS_RSA_PASSPHRASE: passphrase }) };
  }

  /** Any command; a failure is an outcome. */
  run(args: readonly string[], input = ''): Promise<Outcome> {
    const [program = '', ...rest] = [...this.#enter, pagesealProgram, ...args];
    return run(program, rest, { env: this.#env, input });
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

  umount(mountPoint: string): Promise<string> {
    return this.ok(['umount', mountPoint]);
  }
}
