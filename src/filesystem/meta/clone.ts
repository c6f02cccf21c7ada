// Clones a file or a tree without its data: a file in one transaction, a tree detached, batch by batch, and attached under
// its name when it is whole. Whatever fails or dies on the way, nothing is seen of it.
import { nowNs, nowSeconds } from '../../base/clock.ts';
import { FsError, fail } from '../../base/errors.ts';
import type { OnProgress } from '../../base/progress.ts';
import { type Change, change, type Flight, must, type Op, read, write } from '../sql/op.ts';
import { ruleById } from './acl-rows.ts';
import { type CloneHow, checkReadable, clonedAttr, copyOf, mayDo } from './clone-node.ts';
import type { MetaContext } from './context.ts';
import { attachDetached, insertDetached, noAnswer, removeDetached, renewDetached } from './detached.ts';
import { checkLimits } from './limits.ts';
import { checkName, isReserved, shown } from './names.ts';
import { ancestors, treeUsage } from './namespace-statements.ts';
import { nodeDelta } from './outcome.ts';
import { checkInto, inTrash, isRoot, isTrash } from './permission.ts';
import { readdirOp } from './readdir.ts';
import { References } from './references.ts';
import type { Outcome, Reply } from './request.ts';
import { edgeByName, insertEdge, nodeById, touchEntered } from './statements.ts';
import { type Attr, type Dirent, type Ino, NodeType } from './types.ts';
import { weightOf } from './usage.ts';
import { type Delta, noDelta, plus, type UsageDelta } from './usage-rows.ts';

/** Entries per transaction: other clients wait for as long as one takes. */
const BATCH = 100;
/** `before` that every tree is older than. */
const ANY_AGE = 1n << 62n;
/** access(2)'s bits. */
const WRITE_AND_SEARCH = 3;

export interface CloneArgs extends CloneHow {
  readonly source: Ino;
  readonly parent: Ino;
  readonly name: Buffer;
  /** Entries so far, and of the tree as it was at the start. */
  readonly onProgress?: OnProgress;
  readonly signal?: AbortSignal;
}

export interface Cloned {
  readonly ino: Ino;
  /** With the clone itself. */
  readonly entries: number;
}

const attrAnswer: Reply<Attr> = {
  encode: () => Buffer.alloc(0),
  decode: () => fail('internal', 'clone: asked again') as never,
};

export async function clone(ctx: MetaContext, args: CloneArgs): Promise<Cloned> {
  checkName(args.name);
  const { source, total } = await ctx.engine.view(() => lookAt(ctx, args));
  const ino = await ctx.newInode();
  if (source.type !== NodeType.directory) {
    await ctx.write({}, attrAnswer, () => cloneFile(ctx, args, ino));
    args.onProgress?.(1, 1);
    return { ino, entries: 1 };
  }
  await ctx.write({}, attrAnswer, () => makeDetached(ctx, args, ino));
  try {
    const made = await fillTree(ctx, args, { from: source.ino, to: ino }, total.inodes);
    await ctx.write({}, noAnswer, () => attach(ctx, args, ino, made));
    return { ino, entries: Number(made.inodes) };
  } catch (thrown) {
    await removeDetached(ctx, ino, ANY_AGE).catch((error: unknown) => {
      ctx.log.warn('an unfinished clone stays for gc', { inode: ino, reason: FsError.from(error).message });
    });
    throw thrown;
  }
}

const what = ({ source, name }: CloneArgs): string => `clone inode ${source} as ${shown(name)}`;

/** Refuses early what would be refused at the end. */
function* lookAt(ctx: MetaContext, args: CloneArgs): Op<{ readonly source: Attr; readonly total: Delta }> {
  yield* checkPlace(args);
  const source = yield* sourceOf(args, false);
  const [above, [below]] = yield* read(ancestors(args.parent), treeUsage(args.source));
  if (above.includes(args.source)) throw fail('EINVAL', `${what(args)}: a clone cannot lie in its source`);
  const inside = source.type === NodeType.directory ? below : undefined;
  const total = plus(weightOf(source), { ...noDelta, ...inside });
  yield* ctx.usage.checkAnew(args.parent, total);
  return { source, total };
}

/** Where the clone is to hang, at the start and at the end. */
function* checkPlace(args: CloneArgs): Generator<Flight, void, unknown> {
  const { parent, name, caller } = args;
  const [[directory], edges] = yield* read(nodeById(parent), edgeByName(parent, name));
  checkInto(directory, parent);
  if (edges.length > 0 || isReserved(parent, name)) throw fail('EEXIST', `${what(args)}: the name is taken`);
  const [[rule]] = directory.accessAcl === 0 ? [[undefined]] : yield* read(ruleById(directory.accessAcl));
  if (!mayDo(directory, args, WRITE_AND_SEARCH, rule))
    throw fail('EACCES', `${what(args)}: user ${caller.uid} may not write to directory ${parent}`);
}

function* sourceOf(args: CloneArgs, lock: boolean): Generator<Flight, Attr, unknown> {
  const { source, caller } = args;
  const [[node]] = yield* read(nodeById(source, lock));
  if (isTrash(source) || (node !== undefined && inTrash(node) && !isRoot(caller)))
    throw fail('EPERM', `${what(args)}: it is in the trash`);
  if (node === undefined || node.nlink === 0) throw fail('ENOENT', `${what(args)}: it is gone`);
  yield* checkReadable(node, args);
  return node;
}

function* cloneFile(ctx: MetaContext, args: CloneArgs, ino: Ino): Op<Outcome<Attr>> {
  const { parent, name } = args;
  const source = yield* sourceOf(args, true);
  yield* checkPlace(args);
  if (source.type === NodeType.directory) throw fail('EAGAIN', `${what(args)}: it became a directory`);
  const now = nowNs();
  const copy = clonedAttr(source, ino, parent, args, now);
  const references = new References();
  const changes = yield* copyOf(source, copy, references);
  const usage = nodeDelta(copy, 1n, { directory: parent, quotas: parent, volume: true });
  yield* ctx.usage.checkAnew(parent, usage);
  yield* write(
    ...changes,
    insertEdge(parent, name, ino, copy.type),
    ...references.changes(),
    touchEntered(parent, now),
  );
  return { answer: copy, usage: [usage] };
}

/** It counts in the volume's totals from the start, in its parent's sums and quotas only once it is there. */
function* makeDetached(ctx: MetaContext, args: CloneArgs, ino: Ino): Op<Outcome<Attr>> {
  const source = yield* sourceOf(args, true);
  if (source.type !== NodeType.directory) throw fail('ENOTDIR', `${what(args)}: it is no directory any more`);
  const copy = clonedAttr(source, ino, args.parent, args, nowNs());
  const usage = nodeDelta(copy, 1n, { volume: true });
  yield* ctx.usage.checkAnew(undefined, usage);
  yield* write(...(yield* copyOf(source, copy, new References())), insertDetached(ino, nowSeconds()));
  return { answer: copy, usage: [usage] };
}

interface Pair {
  readonly from: Ino;
  readonly to: Ino;
}

interface Level extends Pair {
  after: Buffer | undefined;
  /** Child directories that were made and not filled yet. */
  readonly waiting: Pair[];
}

/** Depth first: in memory is one batch of each directory on the way down. Answers what was made. */
async function fillTree(ctx: MetaContext, args: CloneArgs, root: Pair, total: bigint): Promise<Delta> {
  let made: Delta = weightOf({ type: NodeType.directory, length: 0n });
  const ids: Ino[] = [];
  const path: Level[] = [{ ...root, after: undefined, waiting: [] }];
  for (let here = path.at(-1); here !== undefined; here = path.at(-1)) {
    if (args.signal?.aborted) throw fail('cancelled', `${what(args)}: cancelled`);
    const next = here.waiting.pop();
    if (next !== undefined) {
      path.push({ ...next, after: undefined, waiting: [] });
      continue;
    }
    const entries = await ctx.engine.view(readdirOp(here.from, here.after, BATCH, false));
    const last = entries.at(-1);
    if (last === undefined) {
      path.pop();
      continue;
    }
    while (ids.length < entries.length) ids.push(await ctx.newInode());
    const { from, to } = here;
    const batch = { root: root.to, from, to, entries, ids };
    const done = await ctx.write({}, batchAnswer, () => cloneBatch(ctx, args, batch));
    ids.splice(0, done.length);
    for (const { source, copy } of done) {
      made = plus(made, weightOf(copy));
      if (copy.type === NodeType.directory) here.waiting.push({ from: source, to: copy.ino });
    }
    here.after = last.name;
    args.onProgress?.(Number(made.inodes), Number(made.inodes > total ? made.inodes : total));
  }
  return made;
}

interface Batch extends Pair {
  readonly root: Ino;
  readonly entries: readonly Dirent[];
  readonly ids: readonly Ino[];
}

interface Copied {
  readonly source: Ino;
  readonly copy: Attr;
}

const batchAnswer: Reply<readonly Copied[]> = { encode: () => Buffer.alloc(0), decode: () => [] };

/** What went from the source since it was listed is left out. */
function* cloneBatch(ctx: MetaContext, args: CloneArgs, batch: Batch): Op<Outcome<readonly Copied[]>> {
  const { root, to, entries, ids } = batch;
  const inodes = [...new Set(entries.map(({ ino }) => ino))].sort((a, b) => (a < b ? -1 : 1));
  const nodes = (yield* read(...inodes.map((ino) => nodeById(ino, true)))).flat();
  const known = new Map(nodes.map((node) => [node.ino, node]));
  const references = new References();
  const changes: Change[] = [];
  const copied: Copied[] = [];
  const now = nowNs();
  for (const { ino, name, type } of entries) {
    const source = known.get(ino);
    const id = ids[copied.length];
    if (source === undefined || source.type !== type || id === undefined) continue;
    yield* checkReadable(source, args);
    const copy = clonedAttr(source, id, to, args, now);
    changes.push(...(yield* copyOf(source, copy, references)), insertEdge(to, name, id, type));
    copied.push({ source: ino, copy });
  }
  const usage: UsageDelta[] = copied.map(({ copy }) => nodeDelta(copy, 1n, { directory: to, volume: true }));
  yield* ctx.usage.checkAnew(undefined, {
    ...usage.reduce<Delta>(plus, noDelta),
    owners: usage.flatMap(({ owner }) => owner ?? []),
  });
  const folders = copied.filter(({ copy }) => copy.type === NodeType.directory).length;
  yield* write(...changes, ...references.changes(), addLinks(to, folders), renewDetached(root, nowSeconds()));
  return { answer: copied, usage };
}

/** Its times are those of the copy, whatever is put into it. */
const addLinks = (ino: Ino, links: number): Change =>
  must(1, change('UPDATE jfs_node SET nlink = nlink + ? WHERE inode = ?', BigInt(links), ino), () =>
    fail('ENOENT', `directory ${ino} of an unfinished clone: it is gone`),
  );

function* attach(ctx: MetaContext, args: CloneArgs, ino: Ino, made: Delta): Op<Outcome<void>> {
  const { parent, name } = args;
  yield* checkPlace(args);
  const limits = yield* read(...ctx.usage.limitsOf({ directory: parent }));
  yield* checkLimits(limits.flat(), made);
  yield* write(
    insertEdge(parent, name, ino, NodeType.directory),
    attachDetached(ino),
    touchEntered(parent, nowNs(), 1),
  );
  const itself = { directory: parent, ...weightOf({ type: NodeType.directory, length: 0n }) };
  return { answer: undefined, usage: [itself, { quotas: parent, ...made }] };
}
