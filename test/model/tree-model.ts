// The tree as POSIX has it, in a few maps: what the metadata operations are compared with. Knows names, kinds, links
// and whether a file is open; no owners, no times, no trash.
import type { ErrorCode } from '../../src/base/errors.ts';

export type Kind = 'file' | 'directory' | 'symlink';

export interface ModelNode {
  readonly id: number;
  readonly kind: Kind;
  readonly entries: Map<string, ModelNode>;
  parent: ModelNode | undefined;
  links: number;
}

/** Names the errno that an operation fails with. */
export class ModelError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode) {
    super(code);
    this.code = code;
  }
}

const refuse = (condition: boolean, code: ErrorCode): void => {
  if (condition) throw new ModelError(code);
};

export class TreeModel {
  readonly root: ModelNode;
  readonly open = new Set<ModelNode>();
  #next = 1;

  constructor() {
    this.root = this.#node('directory', undefined);
    this.root.parent = this.root;
  }

  /** In an order that the steps of a run can count on: the root, then as they lie in the tree. */
  directories(from: ModelNode = this.root): ModelNode[] {
    const below = [...from.entries.values()].filter(({ kind }) => kind === 'directory');
    return [from, ...below.flatMap((node) => this.directories(node))];
  }

  make(directory: ModelNode, name: string, kind: Kind): ModelNode {
    refuse(directory.entries.has(name), 'EEXIST');
    const node = this.#node(kind, directory);
    directory.entries.set(name, node);
    return node;
  }

  link(directory: ModelNode, name: string, to: ModelNode, newName: string): void {
    const node = this.#at(directory, name);
    refuse(node.kind === 'directory', 'EPERM');
    refuse(to.entries.has(newName), 'EEXIST');
    to.entries.set(newName, node);
    node.links += 1;
  }

  unlink(directory: ModelNode, name: string): void {
    const node = this.#at(directory, name);
    refuse(node.kind === 'directory', 'EPERM');
    directory.entries.delete(name);
    node.links -= 1;
  }

  rmdir(directory: ModelNode, name: string): void {
    const node = this.#at(directory, name);
    refuse(node.kind !== 'directory', 'ENOTDIR');
    refuse(node.entries.size > 0, 'ENOTEMPTY');
    directory.entries.delete(name);
  }

  rename(from: ModelNode, name: string, to: ModelNode, newName: string, flags: number): void {
    const source = this.#at(from, name);
    const target = to.entries.get(newName);
    if (source === target) return;
    refuse(source.kind === 'directory' && this.#within(to, source), 'EINVAL');
    if (flags === 2) {
      refuse(target !== undefined && target.kind === 'directory' && this.#within(from, target), 'EINVAL');
      if (target === undefined) throw new ModelError('ENOENT');
      this.#put(from, name, target);
    } else {
      if (target !== undefined) this.#replace(source, target, flags);
      from.entries.delete(name);
    }
    this.#put(to, newName, source);
  }

  #replace(source: ModelNode, target: ModelNode, flags: number): void {
    refuse(flags === 1, 'EEXIST');
    refuse(source.kind === 'directory' && target.kind !== 'directory', 'ENOTDIR');
    refuse(source.kind !== 'directory' && target.kind === 'directory', 'EISDIR');
    refuse(target.entries.size > 0, 'ENOTEMPTY');
    target.links -= 1;
  }

  /** Path to kind and links; links of a directory are 2 and its child directories. */
  listing(from: ModelNode = this.root, path = '', found = new Map<string, string>()): Map<string, string> {
    for (const [name, node] of from.entries) {
      const children = [...node.entries.values()].filter(({ kind }) => kind === 'directory').length;
      found.set(`${path}/${name}`, `${node.kind} ${node.kind === 'directory' ? 2 + children : node.links}`);
      this.listing(node, `${path}/${name}`, found);
    }
    return found;
  }

  #node(kind: Kind, parent: ModelNode | undefined): ModelNode {
    return { id: this.#next++, kind, entries: new Map(), parent, links: 1 };
  }

  #at(directory: ModelNode, name: string): ModelNode {
    const node = directory.entries.get(name);
    if (node === undefined) throw new ModelError('ENOENT');
    return node;
  }

  #put(directory: ModelNode, name: string, node: ModelNode): void {
    directory.entries.set(name, node);
    if (node.kind === 'directory') node.parent = directory;
  }

  #within(node: ModelNode, above: ModelNode): boolean {
    for (let at = node; at !== at.parent; at = at.parent ?? this.root) if (at === above) return true;
    return above === this.root;
  }
}
