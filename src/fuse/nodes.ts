// Node ids are inode numbers, so that a successor knows them, but for the root: the kernel calls the mounted directory 1
// whatever its inode is. When it is another, the real inode 1 lies outside the mount and is neither named nor reached.
import { fail } from '../base/errors.ts';
import type { Ino } from '../base/words.ts';
import { ROOT_NODE } from './protocol.ts';

export class NodeIds {
  readonly #root: Ino;

  constructor(root: Ino) {
    this.#root = root;
  }

  toIno(node: bigint): Ino {
    if (node === ROOT_NODE) return this.#root;
    if (node === 0n || node === this.#root) throw fail('ESTALE', `node ${node} was never given out`);
    return node;
  }

  /** Whether the inode can be a node of this mount. */
  has(ino: Ino): boolean {
    return ino !== ROOT_NODE || this.#root === ROOT_NODE;
  }

  toNode(ino: Ino): bigint {
    if (ino === this.#root) return ROOT_NODE;
    if (!this.has(ino)) throw fail('EIO', 'inode 1 lies outside the mounted directory');
    return ino;
  }

  /** The number readdir shows; for '..' of the root, whose parent is outside, the root's own. */
  shown(ino: Ino): bigint {
    return ino === this.#root || ino === ROOT_NODE ? ROOT_NODE : ino;
  }
}
