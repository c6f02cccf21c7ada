// create, mknod, mkdir and symlink: a new node under a name. Does not open anything.
import { fail } from '../../base/errors.ts';
import type { Caller } from '../../base/words.ts';
import { type Flight, type Op, read, write } from '../sql/op.ts';
import { type AclRule, inheritRule } from './acl.ts';
import { defaultRuleOf, findRule, type KnownRule } from './acl-rows.ts';
import type { CreateResult } from './meta.ts';
import { checkName, checkTarget, isReserved, shown } from './names.ts';
import { type Done, done, Missing, type NamespaceEnv, nodeDelta, touched } from './outcome.ts';
import { checkInto, inheritGroup, MODE_BITS } from './permission.ts';
import {
  entryByName,
  insertDirStats,
  insertEdge,
  insertNode,
  insertSymlink,
  nodeById,
  touchEntered,
} from './statements.ts';
import { type Attr, type Ino, NodeFlag, NodeType } from './types.ts';
import { growingDirectory } from './usage.ts';

const SYMLINK_MODE = 0o777;
const DIRECTORY_LENGTH = 4096n;

export type NewNode =
  | { readonly type: Exclude<NodeType, typeof NodeType.symlink>; readonly mode: number; readonly rdev?: number }
  | { readonly type: typeof NodeType.symlink; readonly target: Buffer };

export interface CreateArgs {
  readonly parent: Ino;
  readonly name: Buffer;
  readonly node: NewNode;
  /** From the session's batch; lost when the operation fails. */
  readonly ino: Ino;
  /** Set for create without O_EXCL: a file of that name is the answer. */
  readonly openExisting?: boolean;
}

export const createOp = (env: NamespaceEnv, caller: Caller, args: CreateArgs): (() => Op<Done<CreateResult>>) => {
  const { parent, name, node, ino } = args;
  checkName(name);
  if (node.type === NodeType.symlink) checkTarget(node.target);
  return function* () {
    const [parents, [entry], rules, ...limits] = yield* read(
      nodeById(parent),
      entryByName(parent, name),
      env.enableAcl && node.type !== NodeType.symlink ? defaultRuleOf(parent) : undefined,
      ...env.usage.limitsOf(growingDirectory(parent, caller)),
    );
    const [directory] = parents;
    checkInto(directory, parent);
    if (args.openExisting === true && entry?.node?.type === NodeType.file)
      return done(env, { attr: entry.node, created: false });
    if (entry !== undefined || isReserved(parent, name))
      throw fail('EEXIST', `make ${shown(name)} in directory ${parent}: the name is taken`);

    const plain = newAttr(env, caller, args, directory);
    const inherited = yield* inheritAcl(env, caller, node, directory, plain, rules[0]);
    if (inherited instanceof Missing) return { answer: inherited };
    const { attr, rule } = inherited;
    const isDirectory = attr.type === NodeType.directory;
    const usage = nodeDelta(attr, 1n, { directory: parent, quotas: parent, volume: true });
    yield* env.usage.checkGrowth(limits.flat(), usage);
    const now = env.now();
    const links = isDirectory ? 1 : 0;
    yield* write(
      insertNode(attr),
      insertEdge(parent, name, ino, attr.type),
      ...(node.type === NodeType.symlink ? [insertSymlink(ino, node.target)] : []),
      ...(isDirectory ? [insertDirStats(ino)] : []),
      touchEntered(parent, now, links),
    );
    return done(env, { attr, created: true }, { usage: [usage], rule, directories: [touched(directory, now, links)] });
  };
};

function newAttr(env: NamespaceEnv, caller: Caller, { parent, node, ino }: CreateArgs, directory: Attr): Attr {
  const isSymlink = node.type === NodeType.symlink;
  const requested = isSymlink ? SYMLINK_MODE : node.mode & MODE_BITS & ~caller.umask;
  const { gid, mode } = inheritGroup(caller, directory, node.type, requested);
  const now = env.now();
  const isDirectory = node.type === NodeType.directory;
  return {
    ino,
    type: node.type,
    flags: directory.flags & NodeFlag.skipTrash,
    mode,
    uid: caller.uid,
    gid,
    atime: now,
    mtime: now,
    ctime: now,
    nlink: isDirectory ? 2 : 1,
    length: isDirectory ? DIRECTORY_LENGTH : isSymlink ? BigInt(node.target.length) : 0n,
    rdev: isSymlink ? 0 : (node.rdev ?? 0),
    parent,
    accessAcl: 0,
    defaultAcl: 0,
    tier: directory.tier,
  };
}

/** A default rule takes the umask's place. */
function* inheritAcl(
  env: NamespaceEnv,
  caller: Caller,
  node: NewNode,
  directory: Attr,
  plain: Attr,
  rule: AclRule | undefined,
): Generator<Flight, { readonly attr: Attr; readonly rule?: KnownRule } | Missing, unknown> {
  if (rule === undefined || node.type === NodeType.symlink) return { attr: plain };
  const { mode: wanted } = inheritGroup(caller, directory, node.type, node.mode & MODE_BITS);
  const { mode, access } = inheritRule(rule, wanted);
  const defaultAcl = node.type === NodeType.directory ? directory.defaultAcl : 0;
  if (access === undefined) return { attr: { ...plain, mode, defaultAcl } };
  const found = yield* findRule(env, access);
  if (found instanceof Missing) return found;
  return { attr: { ...plain, mode, accessAcl: found.id, defaultAcl }, rule: found };
}
