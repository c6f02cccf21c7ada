// rmdir: takes an empty directory away.
import { fail } from '../../base/errors.ts';
import type { Caller } from '../../base/words.ts';
import { type Op, read, write } from '../sql/op.ts';
import { checkName, isReserved, shown } from './names.ts';
import { childrenOf, lockedChild } from './namespace-statements.ts';
import { type Done, done, Missing, type NamespaceEnv, touched } from './outcome.ts';
import { checkLoose, checkOutOf, checkSticky, isTrash } from './permission.ts';
import { leave, remove } from './removal.ts';
import { deleteEdge, deleteLooseEdge, edgeByName, nodeById, touch } from './statements.ts';
import { type Ino, NodeType } from './types.ts';

export const rmdirOp = (env: NamespaceEnv, caller: Caller, parent: Ino, name: Buffer): (() => Op<Done<void>>) => {
  checkName(name);
  return function* () {
    // The lock first, then the look for entries: whoever adds one touches the locked row and waits.
    const leaving = leave(env, parent, name);
    const [nodes, children, parents, edges, pending] = yield* read(
      lockedChild(parent, name),
      childrenOf(parent, name),
      nodeById(parent),
      edgeByName(parent, name),
      leaving.pending,
    );
    const [[node], [directory], [edge]] = [nodes, parents, edges];
    checkOutOf(caller, directory, parent);
    if (edge === undefined && isReserved(parent, name))
      throw fail('EPERM', `remove ${shown(name)} of the root: the name is reserved`);
    if (edge === undefined) throw fail('ENOENT', `remove ${shown(name)} in directory ${parent}: no such entry`);
    if (edge.type !== NodeType.directory)
      throw fail('ENOTDIR', `remove ${shown(name)} in directory ${parent}: not a directory`);
    const now = env.now();
    const changes = isTrash(parent) ? [] : [touch(parent, now, -1)];
    if (node !== undefined) checkLoose(node);
    if (children.length > 0) throw fail('ENOTEMPTY', `remove ${shown(name)} in directory ${parent}: it has entries`);
    if (node === undefined) {
      yield* write(deleteLooseEdge(parent, name, edge.ino), ...changes);
      return done(env, undefined);
    }
    checkSticky(caller, directory, node);
    const removal = yield* remove(env, leaving, { taken: [], pending, sessions: [] }, { directory, name, node });
    if (removal instanceof Missing) return { answer: removal };
    yield* write(...removal.changes, deleteEdge(parent, name, node.ino), ...changes);
    const directories = isTrash(parent) ? [] : [touched(directory, now, -1)];
    return done(env, undefined, { ...removal.effects, directories });
  };
};
