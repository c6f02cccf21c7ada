// Paths that come from a caller: only below kubelet's directory, and never through a symbolic link, since pods own parts
// of that tree and could point one at the node.
import { closeSync, mkdirSync, realpathSync, rmdirSync } from 'node:fs';
import { basename, dirname, normalize } from 'node:path';
import { FsError, fail } from '../base/errors.ts';
import { native } from '../native/native.ts';

const O_PATH = 0o10000000;
const O_DIRECTORY = 0o200000;
const O_CLOEXEC = 0o2000000;
const RESOLVE_NO_MAGICLINKS = 2;
const RESOLVE_NO_SYMLINKS = 4;
const RESOLVE_BENEATH = 8;

export class KubeletPaths {
  /** Without links. */
  readonly root: string;

  /** The directory's own path may lead through links; it is an administrator's. */
  constructor(directory: string) {
    this.root = realpathSync(directory);
  }

  /** The path as mountinfo shows it. */
  check(path: string): string {
    const plain = normalize(path).replace(/\/$/, '');
    if (path.includes('\0') || plain !== path.replace(/\/$/, '') || !plain.startsWith(`${this.root}/`))
      throw fail('bad-input', `path ${JSON.stringify(path)} is not a plain path below ${this.root}`);
    return plain;
  }

  /** Runs `work` with an O_PATH descriptor of the directory; undefined when it does not exist. */
  async within<T>(path: string, work: (fd: number) => Promise<T> | T): Promise<T | undefined> {
    return this.#with(this.check(path), work);
  }

  async #with<T>(plain: string, work: (fd: number) => Promise<T> | T): Promise<T | undefined> {
    const fd = this.#open(plain);
    if (fd === undefined) return undefined;
    try {
      return await work(fd);
    } finally {
      closeSync(fd);
    }
  }

  /**
   * A path of the folder that no rename of the folders above can lead elsewhere: through a descriptor of its parent.
   * undefined when the parent does not exist.
   */
  viaParent<T>(path: string, work: (path: string) => Promise<T> | T): Promise<T | undefined> {
    const plain = this.check(path);
    return this.#with(dirname(plain), (fd) => work(`/proc/self/fd/${fd}/${basename(plain)}`));
  }

  /** The folder itself; its parent is the caller's (CSI: the container orchestrator makes it). */
  async make(path: string): Promise<void> {
    const made = await this.viaParent(path, (stable) => {
      try {
        mkdirSync(stable, 0o750);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw FsError.from(error, `making folder ${path}`);
      }
      return true;
    });
    if (made === undefined) throw fail('failed-precondition', `making folder ${path}: its parent does not exist`);
  }

  /** A missing folder is removed. */
  async remove(path: string): Promise<void> {
    await this.viaParent(path, (stable) => {
      try {
        rmdirSync(stable);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw FsError.from(error, `removing folder ${path}`);
      }
    });
  }

  #open(path: string): number | undefined {
    const root = native.openat2(-100, this.root, O_PATH | O_DIRECTORY | O_CLOEXEC, 0, 0);
    try {
      const resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
      const below = path.slice(this.root.length + 1) || '.';
      return native.openat2(root, below, O_PATH | O_DIRECTORY | O_CLOEXEC, 0, resolve);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') return undefined;
      if (code === 'ELOOP' || code === 'ENOTDIR' || code === 'EXDEV')
        throw fail('bad-input', `path ${path}: a symbolic link or something that is no folder is in it`, {
          cause: error,
        });
      throw FsError.from(error, `opening ${path}`);
    } finally {
      closeSync(root);
    }
  }
}
