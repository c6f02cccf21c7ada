// The tree of a dump into rows, entry by entry. What can be counted is counted and not believed: links, parents, sums,
// references. Memory holds the directories on the way down and one batch of rows.
import { fail } from '../../base/errors.ts';
import { unescapeBytes } from '../dump/text.ts';
import { addRuleOp, sameRule } from '../meta/acl-rows.ts';
import { bigintAt, nodeTypeAt } from '../meta/rows.ts';
import { type Ino, NodeType, ROOT, TRASH } from '../meta/types.ts';
import { type Engine, type Query, query, read } from '../sql/op.ts';
import type { Batch, KnownNode } from './batch.ts';
import { attrOf, chunkOf, type LoadedAttr, nameOf, objectOf, ruleOf, targetOf, textOf } from './fields.ts';
import type { JsonReader } from './json-reader.ts';
import {
  addLink,
  insertChunk,
  insertLoadedEdge,
  insertLoadedNode,
  insertQuota,
  insertStats,
  insertTarget,
  insertXattr,
  type Limits,
  type Sums,
  spaceOf,
} from './rows.ts';

/** Directories in one another; each takes some hundred bytes while it is open. */
const MAX_DEPTH = 1_000_000;
/** The original client's own nodes, which are in no table, begin here. */
const FIRST_SPECIAL: Ino = 0x7fffffff00000000n;
const MAX_RULES = 10_000;

export interface TreeOptions {
  readonly engine: Engine;
  readonly batch: Batch;
  readonly reader: JsonReader;
  readonly dirStats: boolean;
  /** Limits by directory; each is written when its directory has been read. */
  readonly quotas: Map<Ino, Limits>;
  /** Usage by owner is wanted. */
  readonly owners: boolean;
  readonly progress: (done: number) => void;
}

/** Lengths of what is no file are not counted. */
const nodeOf = (ino: Ino): Query<KnownNode> =>
  query('SELECT type, length FROM jfs_node WHERE inode = ?', [ino], (row) => {
    const type = nodeTypeAt(row, 0);
    return { type, length: type === NodeType.file ? bigintAt(row, 1) : 0n };
  });

export type Usage = Omit<Sums, 'length'>;

/** An entry that is being read. */
interface Frame {
  readonly parent: Frame | undefined;
  readonly ino: Ino | undefined;
  readonly name: Buffer | undefined;
  attr: LoadedAttr | undefined;
  /** It has been loaded under another name. */
  again: boolean;
  accessAcl: bigint;
  defaultAcl: bigint;
  target: Buffer | undefined;
  /** Whether the reader is between its entries, and not between its fields. */
  inside: boolean;
  first: boolean;
  directories: bigint;
  readonly sums: Sums;
  readonly tree: Usage;
}

const frameOf = (parent: Frame | undefined, name: Buffer | undefined, ino?: Ino): Frame => ({
  parent,
  ino,
  name,
  attr: undefined,
  again: false,
  accessAcl: 0n,
  defaultAcl: 0n,
  target: undefined,
  inside: false,
  first: true,
  directories: 0n,
  sums: { length: 0n, space: 0n, inodes: 0n },
  tree: { space: 0n, inodes: 0n },
});

export class TreeLoader {
  readonly total: Usage = { space: 0n, inodes: 0n };
  readonly users = new Map<bigint, Usage>();
  readonly groups = new Map<bigint, Usage>();
  entries = 0;
  highestInode: Ino = ROOT;
  highestTrash: Ino = TRASH;
  highestSlice = 0n;
  readonly #options: TreeOptions;
  readonly #reader: JsonReader;
  readonly #batch: Batch;
  readonly #rules = new Map<string, bigint>();

  constructor(options: TreeOptions) {
    this.#options = options;
    this.#reader = options.reader;
    this.#batch = options.batch;
  }

  /** The value of FSTree or Trash: `root` whatever the dump calls it, since a dumped directory becomes the root. */
  async load(root: Ino): Promise<void> {
    await this.#reader.expect('{');
    const stack = [frameOf(undefined, undefined, root)];
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const key = await this.#reader.key(top.first);
      top.first = false;
      if (top.inside) {
        if (key === undefined) {
          top.inside = false;
          continue;
        }
        if (stack.length >= MAX_DEPTH) throw this.#reader.fail(`directories nested more than ${MAX_DEPTH} deep`);
        stack.push(frameOf(top, nameOf(unescapeBytes(key), `directory ${top.attr?.ino}`)));
        await this.#reader.expect('{');
      } else if (key === undefined) {
        stack.pop();
        await this.#finish(top);
      } else if (key === 'entries') {
        const attr = this.#attrOf(top);
        if (attr.type !== NodeType.directory) throw this.#reader.fail(`entries of inode ${attr.ino}, no directory,`);
        await this.#reader.expect('{');
        [top.inside, top.first] = [true, true];
      } else await this.#field(top, key);
    }
  }

  #attrOf({ attr }: Frame): LoadedAttr {
    if (attr === undefined) throw this.#reader.fail('an entry does not begin with its attr:');
    return attr;
  }

  async #field(frame: Frame, key: string): Promise<void> {
    const reader = this.#reader;
    if (key === 'attr') {
      const attr = this.#placed(frame, attrOf(await reader.value(), `entry at byte ${reader.position}`));
      const known = await this.#known(attr);
      // A dump that was not of one moment may say two lengths: the first counts.
      frame.attr = { ...attr, ...known };
      frame.again = known !== undefined;
      return;
    }
    if (key === 'chunks' || key === 'xattrs') return this.#list(frame, key);
    if (key === 'symlink') {
      const { ino } = this.#attrOf(frame);
      const what = `inode ${ino}: symlink`;
      frame.target = targetOf(unescapeBytes(textOf(await reader.value(), what)), what);
    } else if (key === 'posix_acl_access') frame.accessAcl = await this.#rule(frame);
    else if (key === 'posix_acl_default') frame.defaultAcl = await this.#rule(frame);
    // A field of a later release.
    else await reader.text();
  }

  /** Checks where a node may be; the roots are what the caller says. */
  #placed({ parent, ino }: Frame, attr: LoadedAttr): LoadedAttr {
    if (ino !== undefined) {
      if (attr.type !== NodeType.directory) throw this.#reader.fail('the root is no directory:');
      // The original client invents one without rights for a volume that has no trash.
      return { ...attr, ino, mode: ino === TRASH && attr.mode === 0n ? 0o555n : attr.mode };
    }
    const hour = parent?.attr?.ino === TRASH;
    const fits = hour
      ? attr.ino > TRASH && attr.type === NodeType.directory
      : attr.ino > 1n && attr.ino < FIRST_SPECIAL;
    if (!fits) throw this.#reader.fail(`inode ${attr.ino} cannot stand there,`);
    if (hour && attr.ino > this.highestTrash) this.highestTrash = attr.ino;
    if (!hour && attr.ino > this.highestInode) this.highestInode = attr.ino;
    return attr;
  }

  /** A file may have several names. A directory has one: a second one fails when its row is written. */
  async #known(attr: LoadedAttr): Promise<KnownNode | undefined> {
    const { ino, type } = attr;
    if (type === NodeType.directory) return undefined;
    const known =
      this.#batch.pendingNode(ino) ??
      (await this.#options.engine.view(function* () {
        const [nodes] = yield* read(nodeOf(ino));
        return nodes[0];
      }));
    if (known === undefined) this.#batch.noteNode(attr);
    else if (known.type !== type) throw this.#reader.fail(`inode ${ino} is there twice, as different things,`);
    return known;
  }

  async #list(frame: Frame, key: 'chunks' | 'xattrs'): Promise<void> {
    const { ino, type } = this.#attrOf(frame);
    const reader = this.#reader;
    if (key === 'chunks' && type !== NodeType.file) throw reader.fail(`chunks of inode ${ino}, no file,`);
    if (await reader.isNull()) return;
    await reader.expect('[');
    for (let first = true; await reader.element(first); first = false) {
      const value = await reader.value();
      if (frame.again) continue;
      if (key === 'chunks') {
        const chunk = chunkOf(value, `inode ${ino}`);
        for (const { id } of chunk.slices) if (id > this.highestSlice) this.highestSlice = id;
        await this.#batch.add(...insertChunk(ino, chunk));
      } else {
        const { name, value: text } = objectOf(value, `inode ${ino}: xattr`);
        const what = `inode ${ino}: xattr`;
        await this.#batch.add(insertXattr(ino, textOf(name, what), unescapeBytes(textOf(text, what))));
      }
    }
  }

  /** The id of an equal rule, made if need be; rules are shared. */
  async #rule(frame: Frame): Promise<bigint> {
    const { ino } = this.#attrOf(frame);
    const rule = ruleOf(await this.#reader.value(), `inode ${ino}: access list`);
    const key = JSON.stringify(rule);
    const known = this.#rules.get(key);
    if (known !== undefined) return known;
    const { engine } = this.#options;
    await engine.run(addRuleOp(rule));
    const [id] = await engine.view(function* () {
      const [ids] = yield* read(sameRule(rule));
      return ids;
    });
    if (id === undefined) throw fail('internal', `load inode ${ino}: its access list was not stored`);
    if (this.#rules.size >= MAX_RULES) this.#rules.clear();
    this.#rules.set(key, BigInt(id));
    return BigInt(id);
  }

  /** All of an entry has been read, and all below it. */
  async #finish(frame: Frame): Promise<void> {
    const attr = this.#attrOf(frame);
    const { ino, type } = attr;
    const { parent, name } = frame;
    const isDirectory = type === NodeType.directory;
    const space = spaceOf(attr);
    if ((type === NodeType.symlink) !== (frame.target !== undefined))
      throw this.#reader.fail(`inode ${ino} has a target and is no link, or the reverse,`);
    if (parent !== undefined && name !== undefined) {
      await this.#batch.add(insertLoadedEdge(parent.attr?.ino ?? 0n, name, ino, type));
      count(parent, attr, space, frame.tree);
    }
    if (frame.again) {
      await this.#batch.add(addLink(ino));
    } else await this.#node(frame, attr, space);
    if (isDirectory) await this.#directory(frame, ino);
    if (parent === undefined) return;
    this.entries += 1;
    this.#options.progress(this.entries);
  }

  async #node(frame: Frame, attr: LoadedAttr, space: bigint): Promise<void> {
    const { ino, type } = attr;
    const isDirectory = type === NodeType.directory;
    const length = isDirectory ? 4096n : (frame.target && BigInt(frame.target.length)) || attr.length;
    const parent = frame.parent?.attr?.ino ?? ROOT;
    const nlink = isDirectory ? 2n + (ino >= TRASH ? 0n : frame.directories) : 1n;
    const { accessAcl, defaultAcl } = frame;
    await this.#batch.add(insertLoadedNode({ ...attr, length, parent, nlink, accessAcl, defaultAcl }));
    if (frame.target !== undefined) await this.#batch.add(insertTarget(ino, frame.target));
    if (ino === ROOT || ino === TRASH) return;
    add(this.total, space, 1n);
    if (!this.#options.owners) return;
    // Links and special files count nothing for their owners, who have rows all the same.
    const counts = isDirectory || type === NodeType.file;
    const used = counts ? { space, inodes: 1n } : { space: 0n, inodes: 0n };
    addOwner(this.users, attr.uid, used);
    addOwner(this.groups, attr.gid, used);
  }

  /** Directories in the trash have no sums: they came there empty. */
  async #directory(frame: Frame, ino: Ino): Promise<void> {
    const inTrash = (frame.parent?.attr?.ino ?? 0n) > TRASH;
    if (this.#options.dirStats && ino !== TRASH && !inTrash) await this.#batch.add(insertStats(ino, frame.sums));
    const limits = this.#options.quotas.get(ino);
    if (limits === undefined) return;
    this.#options.quotas.delete(ino);
    await this.#batch.add(insertQuota(ino, limits, frame.tree));
  }
}

function count(parent: Frame, attr: LoadedAttr, space: bigint, below: Usage): void {
  const { sums, tree } = parent;
  if (attr.type === NodeType.directory) parent.directories += 1n;
  sums.length += attr.length;
  sums.space += space;
  sums.inodes += 1n;
  add(tree, space + below.space, 1n + below.inodes);
}

function add(usage: Usage, space: bigint, inodes: bigint): void {
  usage.space += space;
  usage.inodes += inodes;
}

function addOwner(owners: Map<bigint, Usage>, id: bigint, { space, inodes }: Usage): void {
  const usage = owners.get(id) ?? { space: 0n, inodes: 0n };
  add(usage, space, inodes);
  owners.set(id, usage);
}
