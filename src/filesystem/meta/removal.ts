// What happens to a node whose entry goes: by unlink, rmdir, or a rename over it. Into the trash, kept while open, or
// gone. Makes changes and effects only; the entry itself, the checks and the parent are the caller's.
import { type Change, type Flight, type Query, read } from '../sql/op.ts';
import { deleteXattrs, trashedNames } from './namespace-statements.ts';
import { type OtherSession, otherSessions } from './open-files.ts';
import { type Effects, Missing, type NamespaceEnv, nodeDelta } from './outcome.ts';
import { inTrash, isTrash } from './permission.ts';
import { dropPendingTree, pendingOf, type Used } from './quota-rows.ts';
import {
  deleteDirQuota,
  deleteDirStats,
  deleteNode,
  deleteSymlink,
  insertDelfile,
  insertEdge,
  insertSustained,
  insertSustainedOf,
  updateNode,
} from './statements.ts';
import { hourName, trashName } from './trash.ts';
import { type Attr, type Ino, NodeFlag, NodeType } from './types.ts';
import type { UsageDelta } from './usage-rows.ts';

export interface Removal {
  readonly changes: readonly Change[];
  readonly effects: Effects;
}

type Removing = Generator<Flight, Removal | Missing, unknown>;

/** What `remove` goes by beside the node: asked for in the flight that locks it, after that. */
export interface Leaving {
  readonly hour: string;
  /** The hour's directory of the trash, if it is known. */
  readonly trash: Ino | undefined;
  readonly taken: Query<Buffer> | undefined;
  readonly pending: Query<Used> | undefined;
  readonly sessions: Query<OtherSession> | undefined;
}

/** The answers. */
export interface Known {
  readonly taken: readonly Buffer[];
  readonly pending: readonly Used[];
  readonly sessions: readonly OtherSession[];
}

export function leave(env: NamespaceEnv, parent: Ino, name: Buffer, isFile = false): Leaving {
  const hour = hourName(env.now());
  const keeps = env.trashDays > 0 && !isTrash(parent);
  const trash = keeps ? env.trashDirectory(hour) : undefined;
  return {
    hour,
    trash,
    taken: trash === undefined ? undefined : trashedNames(trash, parent, name),
    pending: isFile || isTrash(parent) ? undefined : pendingOf(parent, name),
    sessions: keeps ? undefined : otherSessions(env.sid),
  };
}

/** The trash takes what is deleted outside of it, unless the node is marked to skip it. */
const usesTrash = (env: NamespaceEnv, directory: Attr, node: Attr): boolean =>
  env.trashDays > 0 && !isTrash(directory.ino) && !inTrash(directory) && (node.flags & NodeFlag.skipTrash) === 0;

/** The directory's figures and quotas lose the entry. Nothing in the trash counts towards quotas. */
const without = (directory: Attr, node: Attr): UsageDelta =>
  nodeDelta(node, -1n, {
    directory: directory.ino,
    ...(isTrash(directory.ino) ? {} : { quotas: directory.ino }),
  });

const gone = (node: Attr): UsageDelta => nodeDelta(node, -1n, { volume: true });

/** `node` is locked. */
export function* remove(
  env: NamespaceEnv,
  leaving: Leaving,
  known: Known,
  { directory, name, node }: { readonly directory: Attr; readonly name: Buffer; readonly node: Attr },
): Removing {
  const isDirectory = node.type === NodeType.directory;
  if (usesTrash(env, directory, node)) {
    const { hour, trash } = leaving;
    if (trash === undefined) return new Missing({ what: 'trash-hour', hour });
    const entry = trashName(directory.ino, node.ino, name);
    // Only a node with several names can be there already under this one.
    if (!known.taken.some((other) => other.equals(entry))) {
      const removal = intoTrash(env, directory, node, trash, entry);
      return isDirectory ? settled(directory, node, known.pending, removal) : removal;
    }
  }
  if (isDirectory) return settled(directory, node, known.pending, removeDirectory(directory, node));
  return yield* removeLink(env, directory, node, leaving.sessions && known.sessions);
}

/**
 * What is pending below a directory that goes would not be added to the quotas above it any more: it becomes pending for
 * its parent. The directory is empty, so there is nothing deeper.
 */
function settled(directory: Attr, node: Attr, pending: readonly Used[], removal: Removal): Removal {
  if (pending.length === 0) return removal;
  const { usage, ...effects } = removal.effects;
  const late = pending.map((used) => ({ ...used, length: 0n, quotas: directory.ino }));
  return {
    changes: [...removal.changes, dropPendingTree(node.ino)],
    effects: { ...effects, usage: [...usage, ...late] },
  };
}

function intoTrash(env: NamespaceEnv, directory: Attr, node: Attr, trash: Ino, entry: Buffer): Removal {
  const isDirectory = node.type === NodeType.directory;
  const changes = [
    updateNode(node.ino, { ctime: env.now(), ...(node.parent > 0n ? { parent: trash } : {}) }),
    insertEdge(trash, entry, node.ino, node.type),
    ...(isDirectory ? withDirectory(node.ino) : []),
  ];
  const usage = [without(directory, node), nodeDelta(node, 1n, { directory: trash })];
  return { changes, effects: { usage } };
}

/** Rows that exist only for directories in use. */
const withDirectory = (ino: Ino): Change[] => [deleteDirStats(ino), deleteDirQuota(ino)];

const removeDirectory = (directory: Attr, node: Attr): Removal => ({
  changes: [...deleteNode(node.ino), ...withDirectory(node.ino)],
  effects: { usage: [without(directory, node), gone(node)] },
});

function* removeLink(
  env: NamespaceEnv,
  directory: Attr,
  node: Attr,
  known: readonly OtherSession[] | undefined,
): Generator<Flight, Removal, unknown> {
  const usage = [without(directory, node)];
  const now = env.now();
  if (node.nlink > 1)
    return {
      changes: [updateNode(node.ino, { nlink: node.nlink - 1, ctime: now })],
      effects: { usage },
    };
  if (node.type !== NodeType.file) {
    const rest = node.type === NodeType.symlink ? [deleteSymlink(node.ino)] : [];
    return { changes: [...deleteNode(node.ino), ...rest], effects: { usage: [...usage, gone(node)] } };
  }
  // Who else has it open is not known here: every other mount of ours is asked to look, at its next heartbeat.
  // Not asked for where the trash keeps most files, and this one was not to go there.
  const sessions = known ?? (yield* read(otherSessions(env.sid)))[0];
  const others = sessions.filter(({ looksAfterFiles }) => looksAfterFiles);
  const own = env.sid !== 0n && env.isOpen(node.ino);
  // What the original client writes to it meanwhile it adds to the directory that the row names, whatever nlink is.
  if (own || others.length > 0)
    return {
      changes: [
        updateNode(node.ino, { nlink: 0, ctime: now, parent: 0n }),
        deleteXattrs(node.ino),
        ...others.map(({ sid }) => insertSustainedOf(sid, node.ino)),
        ...(own ? [insertSustained(env.sid, node.ino)] : []),
      ],
      effects: { usage, ...(own ? { sustained: node.ino } : {}) },
    };
  return {
    changes: [...deleteNode(node.ino), insertDelfile(node.ino, node.length, now)],
    effects: { usage: [...usage, gone(node)], deleted: node.ino },
  };
}
