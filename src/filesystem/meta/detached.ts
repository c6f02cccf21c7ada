// Trees that hang nowhere: a clone is made as one and attached at its end, so an unfinished one is seen by nobody. Who
// removes one marks it first, and then neither its maker can go on nor attach it.
import { nowNs } from '../../base/clock.ts';
import { fail } from '../../base/errors.ts';
import { type Change, change, must, type Op, type Query, query, read, write } from '../sql/op.ts';
import type { MetaContext } from './context.ts';
import { nodeDelta } from './outcome.ts';
import { readdirOp } from './readdir.ts';
import type { Outcome, Reply } from './request.ts';
import { bigintAt } from './rows.ts';
import {
  anyChild,
  deleteDirQuota,
  deleteDirStats,
  deleteEdge,
  deleteNode,
  deleteSymlink,
  insertDelfile,
  nodeById,
  touch,
} from './statements.ts';
import { type Attr, type Dirent, type Ino, NodeType } from './types.ts';

/** Entries per look and per transaction. */
const BATCH = 100;
/** `added` of a tree that is being removed. */
const REMOVING = 0n;

/** Nobody asks for these answers again. */
export const noAnswer: Reply<void> = { encode: () => Buffer.alloc(0), decode: () => undefined };

export const insertDetached = (ino: Ino, seconds: bigint): Change =>
  change('INSERT INTO jfs_detached_node (inode, added) VALUES (?, ?)', ino, seconds);

const taken = (ino: Ino) => () => fail('ENOENT', `the unfinished clone ${ino} was taken away as garbage`);

/** With every step of the work: it is still ours, and in use. */
export const renewDetached = (ino: Ino, seconds: bigint): Change =>
  must(
    1,
    change('UPDATE jfs_detached_node SET added = ? WHERE inode = ? AND added <> ?', seconds, ino, REMOVING),
    taken(ino),
  );

/** Together with its new entry. */
export const attachDetached = (ino: Ino): Change =>
  must(1, change('DELETE FROM jfs_detached_node WHERE inode = ? AND added <> ?', ino, REMOVING), taken(ino));

/** Those that nobody has worked on since `before` (seconds). */
export const detachedBefore = (before: bigint): Query<Ino> =>
  query('SELECT inode FROM jfs_detached_node WHERE added < ? ORDER BY inode', [before], (row) => bigintAt(row, 0));

interface Level {
  readonly ino: Ino;
  /** Undefined for the tree's root. */
  readonly entry?: { readonly parent: Ino; readonly name: Buffer };
}

/**
 * Removes the tree with its data, never by way of the trash. False when it is gone, attached, or was worked on since
 * `before`. May be repeated after a crash.
 */
export async function removeDetached(ctx: MetaContext, root: Ino, before: bigint): Promise<boolean> {
  if (!(await ctx.engine.run(() => mark(root, before)))) return false;
  const path: Level[] = [{ ino: root }];
  for (let here = path.at(-1); here !== undefined; here = path.at(-1)) {
    const { ino } = here;
    const entries = await ctx.engine.view(readdirOp(ino, undefined, BATCH, false));
    const files = entries.filter(({ type }) => type !== NodeType.directory);
    if (files.length > 0) await ctx.write({}, noAnswer, () => removeFiles(ctx, ino, files));
    for (const { ino: child, name, type } of entries)
      if (type === NodeType.directory) path.push({ ino: child, entry: { parent: ino, name } });
    if (entries.length > 0) continue;
    path.pop();
    await ctx.write({}, noAnswer, () => removeEmpty(here));
  }
  return true;
}

function* mark(root: Ino, before: bigint): Op<boolean> {
  const text = 'SELECT added FROM jfs_detached_node WHERE inode = ? AND added < ? FOR UPDATE';
  const [[added]] = yield* read(query(text, [root, before], (row) => bigintAt(row, 0)));
  if (added === undefined) return false;
  yield* write(change('UPDATE jfs_detached_node SET added = ? WHERE inode = ?', REMOVING, root));
  return true;
}

function* removeFiles(ctx: MetaContext, directory: Ino, entries: readonly Dirent[]): Op<Outcome<void>> {
  const inodes = entries.map(({ ino }) => ino).sort((a, b) => (a < b ? -1 : 1));
  const nodes = new Map(
    (yield* read(...inodes.map((ino) => nodeById(ino, true)))).flat().map((node) => [node.ino, node]),
  );
  const there = entries.flatMap(({ ino, name }) => {
    const node = nodes.get(ino);
    return node === undefined ? [] : [{ node, name }];
  });
  yield* write(
    ...there.flatMap(({ node, name }) => [deleteEdge(directory, name, node.ino), ...removeFile(node)]),
    touch(directory, nowNs()),
  );
  return {
    answer: undefined,
    usage: there.map(({ node }) => nodeDelta(node, -1n, { directory, volume: true })),
    after: () => {
      for (const { node } of there) if (node.type === NodeType.file) ctx.deleteData(node.ino);
    },
  };
}

/** No node of such a tree has a second name. */
function removeFile(node: Attr): Change[] {
  if (node.type === NodeType.symlink) return [...deleteNode(node.ino), deleteSymlink(node.ino)];
  if (node.type !== NodeType.file) return deleteNode(node.ino);
  return [...deleteNode(node.ino), insertDelfile(node.ino, node.length, nowNs())];
}

function* removeEmpty({ ino, entry }: Level): Op<Outcome<void>> {
  const [[node], children] = yield* read(nodeById(ino, true), anyChild(ino));
  if (node === undefined) return { answer: undefined };
  if (children.length > 0) throw fail('busy', `remove the unfinished clone ${ino}: somebody adds to it`);
  const rows = [...deleteNode(ino), deleteDirStats(ino), deleteDirQuota(ino)];
  const usage = [nodeDelta(node, -1n, { volume: true, ...(entry && { directory: entry.parent }) })];
  if (entry === undefined) yield* write(...rows, change('DELETE FROM jfs_detached_node WHERE inode = ?', ino));
  else yield* write(...rows, deleteEdge(entry.parent, entry.name, ino), touch(entry.parent, nowNs(), -1));
  return { answer: undefined, usage };
}
