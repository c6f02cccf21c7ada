// link: another name for a node.
import { fail } from '../../base/errors.ts';
import type { Caller } from '../../base/words.ts';
import { type Op, read, write } from '../sql/op.ts';
import { checkLimits } from './limits.ts';
import { checkName, isReserved, shown } from './names.ts';
import { type Done, done, type NamespaceEnv, nodeDelta, touched } from './outcome.ts';
import { checkInto, checkLoose, inTrash } from './permission.ts';
import { edgeByName, insertEdge, nodeById, touchEntered, updateNode } from './statements.ts';
import { type Attr, type Ino, NodeType } from './types.ts';

/** nlink is a signed 32-bit column in PostgreSQL. */
const MAX_LINKS = 2_147_483_647;

export const linkOp = (
  env: NamespaceEnv,
  _caller: Caller,
  ino: Ino,
  parent: Ino,
  name: Buffer,
): (() => Op<Done<Attr>>) => {
  checkName(name);
  return function* () {
    const [nodes, parents, edges, ...limits] = yield* read(
      nodeById(ino, true),
      nodeById(parent),
      edgeByName(parent, name),
      ...env.usage.limitsOf({ directory: parent }),
    );
    const [[node], [directory]] = [nodes, parents];
    checkInto(directory, parent);
    if (isReserved(parent, name)) throw fail('EPERM', `link ${shown(name)} into the root: the name is reserved`);
    // A file without names is on its way out, whoever still has it open.
    if (node === undefined || node.nlink === 0) throw fail('ENOENT', `link inode ${ino}: it is gone`);
    if (node.type === NodeType.directory) throw fail('EPERM', `link inode ${ino}: it is a directory`);
    checkLoose(node);
    if (edges.length > 0) throw fail('EEXIST', `link ${shown(name)} into directory ${parent}: the name is taken`);
    if (node.nlink >= MAX_LINKS) throw fail('EMLINK', `link inode ${ino}: it has ${node.nlink} names`);
    const now = env.now();
    const linksInTrash = node.linksInTrash ?? (inTrash(node) ? 1 : 0);
    const attr: Attr = { ...node, nlink: node.nlink + 1, parent: 0n, ctime: now, linksInTrash };
    const usage = nodeDelta(node, 1n, { directory: parent, quotas: parent });
    yield* checkLimits(limits.flat(), usage);
    yield* write(
      updateNode(ino, { nlink: attr.nlink, parent: attr.parent, ctime: now }),
      insertEdge(parent, name, ino, node.type),
      touchEntered(parent, now),
    );
    return done(env, attr, { usage: [usage], directories: [touched(directory, now)] });
  };
};
