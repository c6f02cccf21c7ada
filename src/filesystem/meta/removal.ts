// What happens to a node whose entry goes: by unlink, rmdir, or a rename over it. Into the trash, kept while open, or
// gone. Makes changes and effects only; the entry itself, the checks and the parent are the caller's.
import { type Change, type Flight, read } from '../sql/op.ts';
import { deleteXattrs } from './namespace-statements.ts';
import { otherSessions } from './open-files.ts';
import { type Effects, Missing, type NamespaceEnv, nodeDelta } from './outcome.ts';
import { inTrash, isTrash } from './permission.ts';
import { dropPendingTree, pendingTree } from './quota-rows.ts';
import {
  deleteDirQuota,
  deleteDirStats,
  deleteNode,
  deleteSymlink,
  edgeByName,
  insertDelfile,
  insertEdge,
  insertSustained,
  updateNode,
} from './statements.ts';
import { hourName, trashName } from './trash.ts';
import { type Attr, type Ino, NodeFlag, NodeType } from './types.ts';
import type { UsageDelta } from './usage-rows.ts';

export interface Removal {
  readonly changes: readonly Change[];
  readonly effects: Effects;
}

export type Removing = Generator<Flight, Removal | Missing, unknown>;

/** The trash takes what is deleted outside of it, unless the node is marked to skip it. */
const usesTrash = (env: NamespaceEnv, directory: Attr, node: Attr): boolean =>
  env.trashDays > 0 && !isTrash(directory.ino) && !inTrash(directory) && (node.flags & NodeFlag.skipTrash) === 0;

/** The directory's figures and quotas lose the entry. Nothing in the trash counts towards quotas. */
const leaving = (directory: Attr, node: Attr): UsageDelta =>
  nodeDelta(node, -1n, {
    directory: directory.ino,
    ...(isTrash(directory.ino) ? {} : { quotas: directory.ino }),
  });

const gone = (node: Attr): UsageDelta => nodeDelta(node, -1n, { volume: true });

/** `node` is locked. */
export function* remove(env: NamespaceEnv, directory: Attr, name: Buffer, node: Attr): Removing {
  if (usesTrash(env, directory, node)) {
    const hour = hourName(env.now());
    const trash = env.trashDirectory(hour);
    if (trash === undefined) return new Missing({ what: 'trash-hour', hour });
    const entry = trashName(directory.ino, node.ino, name);
    // Only a node with several names can be there already under this one.
    const taken = node.type !== NodeType.directory && node.nlink > 1 ? yield* read(edgeByName(trash, entry)) : [[]];
    if (taken[0].length === 0) {
      const removal = intoTrash(env, directory, node, trash, entry);
      return node.type === NodeType.directory ? yield* settled(directory, node, removal) : removal;
    }
  }
  if (node.type !== NodeType.directory) return yield* removeLink(env, directory, node);
  return yield* settled(directory, node, removeDirectory(directory, node));
}

/**
 * What is pending below a directory that goes would not be added to the quotas above it any more: it becomes pending for
 * its parent. The directory is empty, so there is nothing deeper.
 */
function* settled(directory: Attr, node: Attr, removal: Removal): Generator<Flight, Removal, unknown> {
  const [[pending]] = yield* read(pendingTree(node.ino));
  if (pending === undefined || isTrash(directory.ino) || (pending.space === 0n && pending.inodes === 0n))
    return removal;
  const { usage, ...effects } = removal.effects;
  return {
    changes: [...removal.changes, dropPendingTree(node.ino)],
    effects: { ...effects, usage: [...usage, { ...pending, length: 0n, quotas: directory.ino }] },
  };
}

function intoTrash(env: NamespaceEnv, directory: Attr, node: Attr, trash: Ino, entry: Buffer): Removal {
  const isDirectory = node.type === NodeType.directory;
  const changes = [
    updateNode(node.ino, { ctime: env.now(), ...(node.parent > 0n ? { parent: trash } : {}) }),
    insertEdge(trash, entry, node.ino, node.type),
    ...(isDirectory ? withDirectory(node.ino) : []),
  ];
  const usage = [leaving(directory, node), nodeDelta(node, 1n, { directory: trash })];
  return { changes, effects: { usage } };
}

/** Rows that exist only for directories in use. */
const withDirectory = (ino: Ino): Change[] => [deleteDirStats(ino), deleteDirQuota(ino)];

const removeDirectory = (directory: Attr, node: Attr): Removal => ({
  changes: [...deleteNode(node.ino), ...withDirectory(node.ino)],
  effects: { usage: [leaving(directory, node), gone(node)] },
});

function* removeLink(env: NamespaceEnv, directory: Attr, node: Attr): Generator<Flight, Removal, unknown> {
  const usage = [leaving(directory, node)];
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
  const [sessions] = yield* read(otherSessions(env.sid));
  const keepers = sessions.filter(({ looksAfterFiles }) => looksAfterFiles).map(({ sid }) => sid);
  const own = env.sid !== 0n && env.isOpen(node.ino);
  if (own) keepers.push(env.sid);
  if (keepers.length > 0)
    return {
      changes: [
        updateNode(node.ino, { nlink: 0, ctime: now }),
        deleteXattrs(node.ino),
        ...keepers.map((sid) => insertSustained(sid, node.ino)),
      ],
      effects: { usage, ...(own ? { sustained: node.ino } : {}) },
    };
  return {
    changes: [...deleteNode(node.ino), insertDelfile(node.ino, node.length, now)],
    effects: { usage: [...usage, gone(node)], deleted: node.ino },
  };
}
