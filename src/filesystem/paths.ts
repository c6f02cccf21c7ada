// Paths to nodes and back, by the rows alone. Reads only.
import { fail } from '../base/errors.ts';
import { Lru } from '../base/lru.ts';
import type { Ino } from '../base/words.ts';
import { childByName, nodeById } from './meta/statements.ts';
import { parseTrashName } from './meta/trash.ts';
import { type Attr, NodeType, ROOT, TRASH } from './meta/types.ts';
import { edgeOf, type NamedEdge } from './meta/volume-rows.ts';
import { type Engine, type Op, read } from './sql/op.ts';

const SLASH = Buffer.from('/');
/** Directories whose paths are kept, a few hundred bytes each. */
const KNOWN = 10_000;
/** A damaged tree could go round for ever. */
const MAX_DEPTH = 4096;

/** The node at a path from the root of the file system; ".trash" leads to the trash. Links are not followed. */
export function* walk(path: string): Op<Attr> {
  let [attr] = (yield* read(nodeById(ROOT)))[0];
  if (attr === undefined) throw fail('metadata-damaged', 'the root directory has no row');
  for (const name of path.split('/').filter((part) => part !== '' && part !== '.')) {
    const parent: Ino = attr.ino;
    const isTrash = parent === ROOT && name === '.trash';
    const [found]: Attr[] = (yield* read(isTrash ? nodeById(TRASH) : childByName(parent, Buffer.from(name))))[0];
    if (found === undefined) throw fail('not-found', `look up ${path}: no ${JSON.stringify(name)} in inode ${parent}`);
    attr = found;
  }
  return attr;
}

/** Bytes of a name below a directory's path. */
export const joined = (directory: Buffer, name: Buffer): Buffer =>
  directory.equals(SLASH) ? Buffer.concat([SLASH, name]) : Buffer.concat([directory, SLASH, name]);

export interface PathsOptions {
  /** What is in the trash has the path that it had when it was deleted. */
  readonly original?: boolean;
}

/** Where directories are. */
export class Paths {
  readonly #engine: Engine;
  readonly #original: boolean;
  readonly #known = new Lru<Ino, Buffer>(KNOWN);

  constructor(engine: Engine, options: PathsOptions = {}) {
    this.#engine = engine;
    this.#original = options.original === true;
    this.#known.set(ROOT, SLASH);
    if (!this.#original) this.#known.set(TRASH, Buffer.from('/.trash'));
  }

  /** Of any node, one for each of its names; in the order of the directories' inodes. */
  async ofNode({ ino, type }: Attr): Promise<Buffer[]> {
    if (type === NodeType.directory) return [await this.ofDirectory(ino)].filter((path) => path !== undefined);
    const edges = await this.#engine.view(function* () {
      const [found] = yield* read(edgeOf(ino));
      return found;
    });
    const paths: Buffer[] = [];
    for (const { parent, name } of edges.sort((a, b) => (a.parent < b.parent ? -1 : 1))) {
      const directory = await this.ofDirectory(parent);
      if (directory !== undefined) paths.push(joined(directory, name));
    }
    return paths;
  }

  /** Undefined when the directory, or one that it was in, is gone for good. */
  async ofDirectory(ino: Ino): Promise<Buffer | undefined> {
    const names: { readonly ino: Ino; readonly name: Buffer }[] = [];
    let at = ino;
    let path = this.#known.get(at);
    while (path === undefined && names.length < MAX_DEPTH) {
      const edge = await this.#edgeOf(at);
      if (edge === undefined) return undefined;
      // In the trash the parent is in the name.
      const deleted = this.#original && edge.parent > TRASH;
      const was = deleted ? parseTrashName(edge.name) : undefined;
      if (deleted && was === undefined) return undefined;
      names.push({ ino: at, name: was?.name ?? edge.name });
      at = was?.parent ?? edge.parent;
      path = this.#known.get(at);
    }
    if (path === undefined) return undefined;
    for (const step of names.reverse()) {
      path = joined(path, step.name);
      this.#known.set(step.ino, path);
    }
    return path;
  }

  async #edgeOf(ino: Ino): Promise<NamedEdge | undefined> {
    return this.#engine.view(function* () {
      const [[edge]] = yield* read(edgeOf(ino));
      return edge;
    });
  }
}
