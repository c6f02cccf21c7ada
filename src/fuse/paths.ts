// Paths to inodes, for a transport that names everything by path. Walks from the root each time and holds no inode: such
// a transport never says when it forgets one.
import { fail } from '../base/errors.ts';
import type { Attr, Caller, Ino, Vfs } from '../filesystem/vfs/vfs.ts';

export interface Place {
  readonly parent: Ino;
  readonly name: Buffer;
}

export class Paths {
  readonly #vfs: Vfs;
  readonly #caller: Caller;

  constructor(vfs: Vfs, caller: Caller) {
    this.#vfs = vfs;
    this.#caller = caller;
  }

  async attr(path: string): Promise<Attr> {
    const ino = await this.ino(path);
    return (await this.#vfs.getattr(this.#caller, ino, undefined)).attr;
  }

  async ino(path: string): Promise<Ino> {
    let at = this.#vfs.root;
    for (const name of path.split('/')) {
      if (name === '') continue;
      const { attr } = await this.#vfs.lookup(this.#caller, at, Buffer.from(name));
      this.#vfs.forget(attr.ino, 1n);
      at = attr.ino;
    }
    return at;
  }

  /** Directory and last name. */
  async place(path: string): Promise<Place> {
    const cut = path.lastIndexOf('/');
    const name = path.slice(cut + 1);
    if (name === '') throw fail('EINVAL', 'the mounted directory has no name');
    return { parent: await this.ino(path.slice(0, cut)), name: Buffer.from(name) };
  }
}
