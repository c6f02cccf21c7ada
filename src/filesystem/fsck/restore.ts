// What lost its place or its node gets one again: below /lost+found, where a person can look at it. Nothing that holds data
// is taken away. Each step is one transaction.
import { nowNs } from '../../base/clock.ts';
import { increment } from '../meta/counters.ts';
import { newDirectory } from '../meta/new-directory.ts';
import { paint } from '../meta/overlap.ts';
import { bigintAt, bytesAt } from '../meta/rows.ts';
import { decodeSlices } from '../meta/slices.ts';
import { edgeByName, insertEdge, insertNode, nodeById, touch } from '../meta/statements.ts';
import { hourName } from '../meta/trash.ts';
import { type Attr, CHUNK_SIZE, type Ino, NodeType, ROOT, TRASH } from '../meta/types.ts';
import { change, type Engine, type Op, query, read, write } from '../sql/op.ts';

/** As the tool of every Unix file system names it. */
const LOST_FOUND = 'lost+found';
const PRIVATE_DIRECTORY = 0o700;
const PRIVATE_FILE = 0o600;
const HOUR_NS = 3_600_000_000_000n;
/** Names that are tried before giving up. */
const MAX_NAMES = 1000;

export class Restorer {
  readonly #engine: Engine;
  /** Mode of directories that are made again. */
  readonly #mode: number;
  #place: Ino | undefined;

  constructor(engine: Engine, mode: number) {
    this.#engine = engine;
    this.#mode = mode;
  }

  /** Gives a node without an entry one; answers its path. */
  async attach(ino: Ino, type: NodeType): Promise<string> {
    if (ino > TRASH) return this.#attachHour(ino);
    const parent = await this.#lostFound();
    const name = await this.#engine.run(function* (): Op<string> {
      const free = yield* freeName(parent, `#${ino}`);
      yield* write(
        insertEdge(parent, Buffer.from(free), ino, type),
        change('UPDATE jfs_node SET parent = ? WHERE inode = ?', parent, ino),
        touch(parent, nowNs(), type === NodeType.directory ? 1 : 0),
      );
      return free;
    });
    return `/${LOST_FOUND}/${name}`;
  }

  /** A directory that entries speak of; empty of everything else. `parent` undefined: it goes below lost+found. */
  async directory(ino: Ino, parent: Ino | undefined): Promise<string> {
    const fixed = ino === ROOT || ino === TRASH ? ROOT : parent;
    await this.#insert(newDirectory(ino, ino === TRASH ? 0o555 : this.#mode, fixed ?? ROOT, nowNs()));
    return fixed === undefined ? this.attach(ino, NodeType.directory) : 'its place';
  }

  /** A file of which the data is left; as long as that is. */
  async file(ino: Ino, parent: Ino | undefined): Promise<string> {
    const length = await this.#engine.view(() => lengthOfData(ino));
    const like = newDirectory(ino, PRIVATE_FILE, parent ?? ROOT, nowNs());
    await this.#insert({ ...like, type: NodeType.file, nlink: 1, length });
    return parent === undefined ? this.attach(ino, NodeType.file) : 'its place';
  }

  /** A link of which the target is left. */
  async symlink(ino: Ino, parent: Ino, target: Buffer): Promise<void> {
    const like = newDirectory(ino, 0o777, parent, nowNs());
    await this.#insert({ ...like, type: NodeType.symlink, nlink: 1, length: BigInt(target.length) });
  }

  /** Data of an inode that is something else now becomes a file of its own. */
  async dataAsFile(ino: Ino): Promise<string> {
    const fresh = (await this.#engine.run(() => increment('nextInode', 1n), { durable: true })) - 1n;
    await this.#engine.run(function* (): Op<void> {
      yield* write(change('UPDATE jfs_chunk SET inode = ? WHERE inode = ?', fresh, ino));
    });
    return this.file(fresh, undefined);
  }

  async #insert(attr: Attr): Promise<void> {
    await this.#engine.run(function* (): Op<void> {
      yield* write(insertNode(attr));
    });
  }

  async #attachHour(ino: Ino): Promise<string> {
    const name = await this.#engine.run(function* (): Op<string> {
      const [[node]] = yield* read(nodeById(ino, true));
      const made = node?.ctime ?? nowNs();
      for (let later = 0; later < MAX_NAMES; later++) {
        const hour = hourName(made + BigInt(later) * HOUR_NS);
        const [taken] = yield* read(edgeByName(TRASH, Buffer.from(hour)));
        if (taken.length > 0) continue;
        yield* write(
          insertEdge(TRASH, Buffer.from(hour), ino, NodeType.directory),
          change('UPDATE jfs_node SET parent = ? WHERE inode = ?', TRASH, ino),
        );
        return hour;
      }
      return '';
    });
    return `/.trash/${name}`;
  }

  async #lostFound(): Promise<Ino> {
    this.#place ??= await this.#makeLostFound();
    return this.#place;
  }

  async #makeLostFound(): Promise<Ino> {
    const fresh = (await this.#engine.run(() => increment('nextInode', 1n), { durable: true })) - 1n;
    return this.#engine.run(function* (): Op<Ino> {
      const [[edge], [root]] = yield* read(edgeByName(ROOT, Buffer.from(LOST_FOUND)), nodeById(ROOT, true));
      const [[node] = []] = edge === undefined ? [[]] : yield* read(nodeById(edge.ino));
      if (node?.type === NodeType.directory) return node.ino;
      const name = edge === undefined ? LOST_FOUND : yield* freeName(ROOT, LOST_FOUND);
      yield* write(
        ...(root === undefined ? [insertNode(newDirectory(ROOT, 0o777, ROOT, nowNs()))] : []),
        insertNode(newDirectory(fresh, PRIVATE_DIRECTORY, ROOT, nowNs())),
        insertEdge(ROOT, Buffer.from(name), fresh, NodeType.directory),
        touch(ROOT, nowNs(), 1),
      );
      return fresh;
    });
  }
}

/** `wish`, or what comes nearest to it and is not there yet. */
export function* freeName(parent: Ino, wish: string): Op<string> {
  for (let more = 0; more < MAX_NAMES; more++) {
    const name = more === 0 ? wish : `${wish}.${more}`;
    const [taken] = yield* read(edgeByName(parent, Buffer.from(name)));
    if (taken.length === 0) return name;
  }
  return `${wish}.${nowNs()}`;
}

/** Where the last byte ends that shows something; a chunk that cannot be read counts whole. */
function* lengthOfData(ino: Ino): Op<bigint> {
  const [chunks] = yield* read(
    query('SELECT indx, BYTES(slices) FROM jfs_chunk WHERE inode = ? ORDER BY indx DESC', [ino], (row) => ({
      indx: bigintAt(row, 0),
      bytes: bytesAt(row, 1),
    })),
  );
  for (const { indx, bytes } of chunks) {
    const end = endOf(bytes);
    if (end > 0) return indx * BigInt(CHUNK_SIZE) + BigInt(end);
  }
  return 0n;
}

function endOf(bytes: Buffer): number {
  try {
    const shown = paint(decodeSlices(bytes, ''), 0, CHUNK_SIZE).filter(({ layer }) => (layer?.id ?? 0n) !== 0n);
    const last = shown.at(-1);
    return last === undefined ? 0 : last.pos + last.len;
  } catch {
    return CHUNK_SIZE;
  }
}
