// rename: plain, NOREPLACE and EXCHANGE. Locks both nodes in ascending order, changes them, then the parents.
import { fail } from '../../base/errors.ts';
import type { Caller } from '../../base/words.ts';
import { type Change, change, must, type Op, read, write } from '../sql/op.ts';
import { asLimit, checkLimits, type TreeLimit } from './limits.ts';
import { checkName, isReserved, shown } from './names.ts';
import { ancestorsFor, childrenOf, lockedChildren } from './namespace-statements.ts';
import { type Done, done, Missing, type NamespaceEnv, nodeDelta, touched } from './outcome.ts';
import { checkInto, checkLoose, checkOutOf, checkSticky, inTrash, isTrash } from './permission.ts';
import { treeAndPending, treeLimits, type Used } from './quota-rows.ts';
import { type Known, type Leaving, leave, type Removal, remove } from './removal.ts';
import {
  deleteEdge,
  deleteLooseEdge,
  type Edge,
  edgeByName,
  nodeById,
  touch,
  touchEntered,
  updateNode,
} from './statements.ts';
import { type Attr, type Ino, NodeType } from './types.ts';
import { lockTree, rebuildDirStats, type UsageDelta } from './usage-rows.ts';

/** Flags of renameat2(2). */
export const RENAME_NOREPLACE = 1;
export const RENAME_EXCHANGE = 2;
const RENAME_WHITEOUT = 4;
/** Not of the kernel: out of the trash, also into a directory that lies there itself. Only together with NOREPLACE. */
export const RENAME_RESTORE = 32;

export interface RenameArgs {
  readonly parent: Ino;
  readonly name: Buffer;
  readonly newParent: Ino;
  readonly newName: Buffer;
  readonly flags: number;
}

/** Both sides after the checks that all renames share. */
interface Sides {
  readonly from: Attr;
  readonly to: Attr;
  readonly source: Attr;
  readonly target: Attr | undefined;
  /** The edge in the target's place: it may lead to no node. */
  readonly targetEdge: Edge | undefined;
  readonly targetHasEntries: boolean;
  /** Quotas of both directories and of those above them. */
  readonly quotas: { readonly from: readonly TreeLimit[]; readonly to: readonly TreeLimit[] };
  /** Of the other directory, where a directory comes there. */
  readonly above: { readonly from: readonly Ino[]; readonly to: readonly Ino[] };
  readonly leaving: Leaving;
  readonly known: Known;
}

export const renameOp = (env: NamespaceEnv, caller: Caller, args: RenameArgs): (() => Op<Done<void>>) => {
  const { parent, name, newParent, newName, flags } = args;
  checkFlags(flags);
  checkName(name);
  checkName(newName);
  if (isReserved(parent, name) || isReserved(newParent, newName))
    throw fail('EPERM', `rename ${shown(name)} to ${shown(newName)}: the name is reserved in the root`);
  return function* () {
    const sides = yield* readSides(env, caller, args);
    const { source, target } = sides;
    // The same entry, or two names of one node: nothing to do.
    if (source.ino === target?.ino) return done(env, undefined);
    for (const [directory, node] of [
      [sides.from, source],
      [sides.to, target],
    ] as const) {
      if (node === undefined) continue;
      checkLoose(node);
      checkSticky(caller, directory, node);
    }
    const exchanges = flags === RENAME_EXCHANGE;
    checkLoops(sides);
    const moves = yield* checkQuotas(sides, exchanges);
    if (exchanges) return yield* exchange(env, args, sides, moves);
    return yield* replace(env, args, sides, moves);
  };
};

/** Looks at names that others are changing. */
const LOOKS = 3;

/**
 * The nodes are locked first, so nobody moves them when their names are looked at after that: unless a name has got
 * another node while its first one was waited for. Then it is locked, too.
 */
function* readSides(env: NamespaceEnv, caller: Caller, args: RenameArgs): Op<Sides> {
  for (let look = 1; ; look++) {
    const sides = yield* lookAt(env, caller, args);
    if (sides.settled || look === LOOKS) {
      const { source, ...rest } = sides;
      if (source !== undefined) return { ...rest, source };
      throw fail('ENOENT', `rename ${shown(args.name)} in directory ${args.parent}: no such entry`);
    }
  }
}

/** `settled`: what stands behind the names is locked. */
type Look = Omit<Sides, 'source'> & { readonly source: Attr | undefined; readonly settled: boolean };

/** All in one flight. Nothing of the trees is asked for where both names lie in one directory. */
function* lookAt(env: NamespaceEnv, caller: Caller, args: RenameArgs): Op<Look> {
  const { parent, name, newParent, newName, flags } = args;
  const apart = parent !== newParent;
  const exchanges = flags === RENAME_EXCHANGE;
  const leaving = leave(env, newParent, newName);
  const [turn, nodes, [sourceEdge], [targetEdge], [from], [to], inTarget, ...more] = yield* read(
    apart ? lockTree(parent, name, newParent, newName) : undefined,
    lockedChildren(parent, name, newParent, newName),
    edgeByName(parent, name),
    edgeByName(newParent, newName),
    nodeById(parent),
    nodeById(newParent),
    childrenOf(newParent, newName),
    apart ? env.usage.quotasAbove(parent, newParent) : undefined,
    apart ? ancestorsFor(newParent, parent, name) : undefined,
    apart && exchanges ? ancestorsFor(parent, newParent, newName) : undefined,
    exchanges ? undefined : leaving.taken,
    exchanges ? undefined : leaving.pending,
    exchanges ? undefined : leaving.sessions,
  );
  checkOutOf(caller, from, parent);
  checkInto(to, newParent, restores(args));
  if (sourceEdge === undefined) throw fail('ENOENT', `rename ${shown(name)} in directory ${parent}: no such entry`);
  const source = nodes.find(({ ino }) => ino === sourceEdge.ino);
  const target = nodes.find(({ ino }) => ino === targetEdge?.ino);
  const [quotas, aboveTo, aboveFrom, taken, pending, sessions] = more;
  const above = (directory: Ino): TreeLimit[] => {
    const ask = asLimit(treeLimits(directory, 'directory'), (quota) => ({ of: 'tree', quota }));
    return quotas.flatMap(({ origin, quota }) => (origin === directory ? [{ of: 'tree', quota, ask }] : []));
  };
  return {
    ...{ from, to, source, target, targetEdge, targetHasEntries: inTarget.length > 0 },
    ...{ quotas: { from: above(parent), to: above(newParent) }, above: { from: aboveFrom, to: aboveTo } },
    ...{ leaving, known: { taken, pending, sessions } },
    settled:
      source !== undefined &&
      target?.ino === targetEdge?.ino &&
      (!apart || turn.length > 0 || !(isDirectory(source) || (exchanges && isDirectory(target)))),
  };
}

/** The flight of a plain rename, over what is there unless that is forbidden. */
function* replace(env: NamespaceEnv, args: RenameArgs, sides: Sides, moves: readonly UsageDelta[]): Op<Done<void>> {
  const { from, to, source, target, targetEdge } = sides;
  const { newParent, newName } = args;
  if (targetEdge !== undefined && (args.flags & RENAME_NOREPLACE) !== 0)
    throw fail('EEXIST', `rename to ${shown(newName)} in directory ${newParent}: the name is taken`);
  let replaced: Removal = { changes: [], effects: { usage: [] } };
  if (target !== undefined) {
    checkReplace(source, target, sides.targetHasEntries);
    const { leaving, known } = sides;
    const removal = yield* remove(env, leaving, known, { directory: to, name: newName, node: target });
    if (removal instanceof Missing) return { answer: removal };
    replaced = removal;
  }
  const takeEdge = target === undefined ? deleteLooseEdge : deleteEdge;
  const parents = touchParents(env, args, sides, {
    from: -linksOf(source),
    // It gains a link by the source and loses one by a replaced directory.
    to: linksOf(source) - linksOf(targetEdge),
  });
  yield* write(
    ...inOrder(replaced.changes, sourceUpdate(env, source, from, to), source, target),
    ...(targetEdge === undefined ? [] : [takeEdge(newParent, newName, targetEdge.ino)]),
    // It has lost its sums, and what comes may be just what is pending to have gone from it: they begin before it comes.
    ...(inTrash(to) ? [rebuildDirStats(to.ino)] : []),
    moveEdge(args, source.ino),
    // A directory lost its sums when it went into the trash.
    ...(isTrash(from.ino) && isDirectory(source) ? [rebuildDirStats(source.ino)] : []),
    ...parents.changes,
  );
  const usage = [...entriesMoved(from, to, source), ...moves, ...replaced.effects.usage];
  return done(env, undefined, { ...replaced.effects, usage, directories: parents.directories });
}

function* exchange(env: NamespaceEnv, args: RenameArgs, sides: Sides, moves: readonly UsageDelta[]): Op<Done<void>> {
  const { from, to, source, target } = sides;
  checkInto(from, args.parent);
  if (target === undefined)
    throw fail('ENOENT', `exchange with ${shown(args.newName)} in ${args.newParent}: no such entry`);
  const links = linksOf(target) - linksOf(source);
  const parents = touchParents(env, args, sides, { from: links, to: -links });
  yield* write(
    ...inOrder([sourceUpdate(env, target, to, from)], sourceUpdate(env, source, from, to), source, target),
    turnEdge(args.parent, args.name, source, target),
    turnEdge(args.newParent, args.newName, target, source),
    ...parents.changes,
  );
  const usage = [...entriesMoved(from, to, source), ...entriesMoved(to, from, target), ...moves];
  return done(env, undefined, { usage, directories: parents.directories });
}

const restores = ({ flags }: RenameArgs): boolean => (flags & RENAME_RESTORE) !== 0;

function checkFlags(flags: number): void {
  if ([0, RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_NOREPLACE | RENAME_RESTORE].includes(flags)) return;
  if ((flags & ~RENAME_NOREPLACE) === RENAME_WHITEOUT)
    throw fail('ENOTSUP', 'rename leaving a whiteout: not supported');
  throw fail('EINVAL', `rename with flags ${flags}: wanted 0, 1 or 2`);
}

const isDirectory = (attr: Pick<Attr, 'type'> | undefined): boolean => attr?.type === NodeType.directory;

/** The links that a node gives its parent. */
const linksOf = (attr: Pick<Attr, 'type'> | undefined): number => (isDirectory(attr) ? 1 : 0);

function checkReplace(source: Attr, target: Attr, hasEntries: boolean): void {
  if (isDirectory(source) && !isDirectory(target))
    throw fail('ENOTDIR', `rename directory ${source.ino} over inode ${target.ino}: not a directory`);
  if (!isDirectory(source) && isDirectory(target))
    throw fail('EISDIR', `rename inode ${source.ino} over inode ${target.ino}: it is a directory`);
  if (hasEntries) throw fail('ENOTEMPTY', `rename over directory ${target.ino}: it has entries`);
}

/** The kernel keeps a directory from going below itself; a library caller is kept from it here. */
function checkLoops({ from, to, source, target, above }: Sides): void {
  if (above.to.includes(source.ino))
    throw fail('EINVAL', `rename directory ${source.ino} into directory ${to.ino}: that lies below it`);
  if (target !== undefined && above.from.includes(target.ino))
    throw fail('EINVAL', `exchange directory ${target.ino} with an entry below it, in directory ${from.ino}`);
}

/**
 * What moves between quota trees: a file with its entry, a directory with everything below it, which takes a flight to be
 * counted, and which nobody adds up or sets a quota during. Nothing does where the same quotas are above both; of a file
 * that is not certain, since a quota may be set just now. What is pending below a directory moves with it by itself: it
 * will be added to the quotas that are above it then.
 */
function* checkQuotas(sides: Sides, exchange: boolean): Op<UsageDelta[]> {
  const { from, to, source, target, quotas } = sides;
  if (from.ino === to.ino) return [];
  const [before, after] = [quotaInodes(quotas.from), quotaInodes(quotas.to)];
  const same = before.size === after.size && [...before].every((ino) => after.has(ino));
  if (same && (isDirectory(source) || (exchange && isDirectory(target)))) return [];
  const forth = yield* moving(source);
  const back = exchange && target !== undefined ? yield* moving(target) : undefined;
  const growth = minus(forth.all, back?.all);
  yield* checkLimits(quotas.to, growth, before);
  yield* checkLimits(quotas.from, minus(nothing, growth), after);
  const moved = minus(forth.counted, back?.counted);
  const deltas = [{ length: 0n, ...moved, quotas: to.ino }];
  // Nothing in the trash counts towards quotas.
  if (!isTrash(from.ino)) deltas.push({ length: 0n, ...minus(nothing, moved), quotas: from.ino });
  return deltas;
}

const quotaInodes = (limits: readonly TreeLimit[]): ReadonlySet<Ino> => new Set(limits.map(({ quota }) => quota.ino));

const nothing: Used = { space: 0n, inodes: 0n };
const minus = (a: Used, b: Used = nothing): Used => ({ space: a.space - b.space, inodes: a.inodes - b.inodes });

/** `all` is what is there, `counted` what quotas above have been told of it. */
function* moving(node: Attr): Op<{ readonly all: Used; readonly counted: Used }> {
  const { space, inodes } = nodeDelta(node, 1n, {});
  if (!isDirectory(node)) return { all: { space, inodes }, counted: { space, inodes } };
  const [[tree]] = yield* read(treeAndPending(node.ino));
  const { below = nothing, pending = nothing } = tree ?? {};
  const all = { space: space + below.space, inodes: inodes + below.inodes };
  return { all, counted: minus(all, pending) };
}

/** Only a node with a single parent has it written down. */
function sourceUpdate(env: NamespaceEnv, node: Attr, from: Attr, to: Attr): Change {
  const moves = from.ino !== to.ino && (isDirectory(node) || node.parent !== 0n);
  return updateNode(node.ino, { ctime: env.now(), ...(moves ? { parent: to.ino } : {}) });
}

/** The rows are locked in ascending order already; written in it too, they read as the rule says. */
const inOrder = (replaced: readonly Change[], update: Change, source: Attr, target: Attr | undefined): Change[] =>
  target !== undefined && target.ino < source.ino ? [...replaced, update] : [update, ...replaced];

const moveEdge = ({ parent, name, newParent, newName }: RenameArgs, ino: Ino): Change =>
  must(
    1,
    change(
      'UPDATE jfs_edge SET parent = ?, name = ? WHERE parent = ? AND name = ? AND inode = ?',
      newParent,
      newName,
      parent,
      name,
      ino,
    ),
    () => fail('ENOENT', `rename ${shown(name)} in directory ${parent}: it is gone`),
  );

const turnEdge = (parent: Ino, name: Buffer, was: Attr, becomes: Attr): Change =>
  must(
    1,
    change(
      'UPDATE jfs_edge SET inode = ?, type = ? WHERE parent = ? AND name = ? AND inode = ?',
      becomes.ino,
      BigInt(becomes.type),
      parent,
      name,
      was.ino,
    ),
    () => fail('ENOENT', `exchange ${shown(name)} in directory ${parent}: it is gone`),
  );

/**
 * Lower inode first, once when they are the same. Trash directories keep their links and times. And what the directories
 * are like then.
 */
function touchParents(
  env: NamespaceEnv,
  args: RenameArgs,
  { from, to }: Sides,
  links: { from: number; to: number },
): { readonly changes: readonly Change[]; readonly directories: readonly Attr[] } {
  const now = env.now();
  const enter = restores(args) ? touch : touchEntered;
  if (from.ino === to.ino) {
    const sum = links.from + links.to;
    return { changes: [enter(from.ino, now, sum)], directories: [touched(from, now, sum)] };
  }
  const leave = args.flags === RENAME_EXCHANGE ? touchEntered : touch;
  const both = [
    ...(isTrash(from.ino)
      ? []
      : [{ change: leave(from.ino, now, links.from), directory: touched(from, now, links.from) }]),
    { change: enter(to.ino, now, links.to), directory: touched(to, now, links.to) },
  ].sort((a, b) => (a.directory.ino < b.directory.ino ? -1 : 1));
  return { changes: both.map(({ change }) => change), directories: both.map(({ directory }) => directory) };
}

/** The figures of both directories; quotas are checkQuotas' part. */
function entriesMoved(from: Attr, to: Attr, node: Attr): UsageDelta[] {
  if (from.ino === to.ino) return [];
  return [nodeDelta(node, -1n, { directory: from.ino }), nodeDelta(node, 1n, { directory: to.ino })];
}
