// The container image's root file system, made by setup/image.mjs, as a root to run programs in: nothing of the machine is
// in it but /proc, the devices that every runtime gives a container, /dev/fuse, and the folders that are shared with it.
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { type Outcome, run, runOk } from './program.ts';
import type { Temp } from './temp.ts';
import { root } from './tools.ts';

/** By its path: tests change PATH. */
const CHROOT = '/usr/sbin/chroot';
const DEVICES = ['null', 'zero', 'full', 'random', 'urandom', 'fuse'];

export class ImageRoot {
  readonly path: string;
  /** Inside. */
  readonly program = '/usr/local/bin/pageseal';

  /** What a runtime sets, and the marks by which what a test leaves behind is found: nothing else of the machine's. */
  readonly env: NodeJS.ProcessEnv;

  private constructor(path: string, env: NodeJS.ProcessEnv) {
    this.path = path;
    const marks = Object.entries(env).filter(([name]) => name.startsWith('PAGESEAL_TEST_'));
    this.env = { PATH: '/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', ...Object.fromEntries(marks) };
  }

  /** Its mounts go with the test's folder. */
  static async make(temp: Temp): Promise<ImageRoot> {
    const path = temp.at('rootfs');
    await runOk(process.execPath, [join(root, 'setup/image.mjs'), '--rootfs', path]);
    await runOk('mount', ['-t', 'proc', 'proc', join(path, 'proc')]);
    for (const device of DEVICES) {
      const place = join(path, 'dev', device);
      closeSync(openSync(place, 'w'));
      await runOk('mount', ['--bind', `/dev/${device}`, place]);
    }
    return new ImageRoot(path, temp.env);
  }

  /** The same folder inside, where mounts made on one side come up on the other: a hostPath with Bidirectional propagation. */
  async share(folder: string): Promise<void> {
    await runOk('mount', ['--bind', folder, folder]);
    await runOk('mount', ['--make-shared', folder]);
    mkdirSync(join(this.path, folder), { recursive: true });
    await runOk('mount', ['--bind', folder, join(this.path, folder)]);
  }

  get enter(): readonly string[] {
    return [CHROOT, this.path];
  }

  /** With nothing in the environment but `env`. */
  run(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
    return run(CHROOT, [this.path, program, ...args], { env });
  }
}
