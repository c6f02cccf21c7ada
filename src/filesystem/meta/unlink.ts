// unlink: takes the name of anything but a directory.
import { fail } from '../../base/errors.ts';
import type { Caller } from '../../base/words.ts';
import { type Op, read, write } from '../sql/op.ts';
import { checkName, isReserved, shown } from './names.ts';
import { lockedChild } from './namespace-statements.ts';
import { type Done, done, Missing, type NamespaceEnv, touched } from './outcome.ts';
import { checkLoose, checkOutOf, checkSticky, isTrash } from './permission.ts';
import { leave, remove } from './removal.ts';
import { deleteEdge, deleteLooseEdge, edgeByName, nodeById, touch } from './statements.ts';
import { type Ino, NodeType } from './types.ts';

export const unlinkOp = (env: NamespaceEnv, caller: Caller, parent: Ino, name: Buffer): (() => Op<Done<void>>) => {
  checkName(name);
  return function* () {
    const leaving = leave(env, parent, name, true);
    const [nodes, parents, edges, taken, pending, sessions] = yield* read(
      lockedChild(parent, name),
      nodeById(parent),
      edgeByName(parent, name),
      leaving.taken,
      leaving.pending,
      leaving.sessions,
    );
    const [[node], [directory], [edge]] = [nodes, parents, edges];
    checkOutOf(caller, directory, parent);
    if (edge === undefined && isReserved(parent, name))
      throw fail('EPERM', `unlink ${shown(name)} of the root: the name is reserved`);
    if (edge === undefined) throw fail('ENOENT', `unlink ${shown(name)} in directory ${parent}: no such entry`);
    const now = env.now();
    const changes = isTrash(parent) ? [] : [touch(parent, now)];
    if (node === undefined) {
      // Invisible, but in the way of a new node of that name.
      yield* write(deleteLooseEdge(parent, name, edge.ino), ...changes);
      return done(env, undefined);
    }
    if (node.type === NodeType.directory)
      throw fail('EPERM', `unlink ${shown(name)} in directory ${parent}: it is a directory`);
    checkLoose(node);
    checkSticky(caller, directory, node);
    const removal = yield* remove(env, leaving, { taken, pending, sessions }, { directory, name, node });
    if (removal instanceof Missing) return { answer: removal };
    yield* write(...removal.changes, deleteEdge(parent, name, node.ino), ...changes);
    const directories = isTrash(parent) ? [] : [touched(directory, now)];
    return done(env, undefined, { ...removal.effects, directories });
  };
};
