// Extended attributes, and the two names under which access control lists are seen (they are no rows of the xattr
// table, see acl.ts).
import { fail } from '../../base/errors.ts';
import type { Caller } from '../../base/words.ts';
import { change, must, type Op, type Query, query, read, write } from '../sql/op.ts';
import {
  ACCESS_XATTR,
  type AclRule,
  DEFAULT_XATTR,
  filledFrom,
  fromXattr,
  isAclXattr,
  isEmptyRule,
  isMinimal,
  ruleBits,
  toXattr,
} from './acl.ts';
import { accessRuleOf, defaultRuleOf, findRule } from './acl-rows.ts';
import { checkXattrName, MAX_XATTR_VALUE } from './names.ts';
import { type Done, done, Missing, type NamespaceEnv } from './outcome.ts';
import { checkLoose, inGroup, isTrash, owns, S_ISGID } from './permission.ts';
import { bigintAt, bytesAt, textAt } from './rows.ts';
import { type NodeUpdate, nodeById, updateNode } from './statements.ts';
import { type Ino, NodeType } from './types.ts';

/** Flags of setxattr(2). */
const XATTR_CREATE = 1;
const XATTR_REPLACE = 2;
const MODE_HIGH = 0o7000;

const noSuch = (ino: Ino, name: string) =>
  fail('ENODATA', `attribute ${JSON.stringify(name)} of inode ${ino}: not set`);

const alreadySet = (ino: Ino, name: string) =>
  fail('EEXIST', `attribute ${JSON.stringify(name)} of inode ${ino}: it is set`);

const notSupported = (name: string) =>
  fail('ENOTSUP', `attribute ${JSON.stringify(name)}: not supported on this volume`);

/** Other names of the system namespace mean things that no volume of ours has. */
function checkSupported(env: NamespaceEnv, name: string): void {
  checkXattrName(name);
  if (isAclXattr(name) ? !env.enableAcl : name.startsWith('system.')) throw notSupported(name);
}

export const getxattrOp = (env: NamespaceEnv, ino: Ino, name: string): (() => Op<Buffer>) => {
  checkSupported(env, name);
  return function* () {
    if (isAclXattr(name)) return toXattr(yield* ruleOf(ino, name));
    const text = 'SELECT BYTES(value) FROM jfs_xattr WHERE inode = ? AND name = ?';
    const [[value]] = yield* read(query(text, [ino, name], (row) => bytesAt(row, 0)));
    if (value === undefined) throw noSuch(ino, name);
    return value;
  };
};

function* ruleOf(ino: Ino, name: string): Op<AclRule> {
  const access = name === ACCESS_XATTR;
  const [[node], [rule]] = yield* read(nodeById(ino), access ? accessRuleOf(ino) : defaultRuleOf(ino));
  if (node === undefined) throw fail('ENOENT', `inode ${ino}: no such node`);
  const id = access ? node.accessAcl : node.defaultAcl;
  if (id === 0) throw noSuch(ino, name);
  if (rule === undefined) throw fail('EIO', `access control list ${id} of inode ${ino}: its row is missing`);
  return rule;
}

export const listxattrOp = (env: NamespaceEnv, ino: Ino): (() => Op<string[]>) =>
  function* () {
    const text = 'SELECT name FROM jfs_xattr WHERE inode = ? ORDER BY name';
    const [names, [node]] = yield* read(
      query(text, [ino], (row) => textAt(row, 0)),
      nodeById(ino),
    );
    if (!env.enableAcl) return names;
    const lists = [node?.accessAcl ? ACCESS_XATTR : '', node?.defaultAcl ? DEFAULT_XATTR : ''];
    return [...names, ...lists.filter((name) => name !== '')];
  };

export const setxattrOp = (
  env: NamespaceEnv,
  caller: Caller,
  ino: Ino,
  name: string,
  value: Buffer,
  flags: number,
): (() => Op<Done<void>>) => {
  checkSupported(env, name);
  if (value.length > MAX_XATTR_VALUE)
    throw fail('ERANGE', `an attribute's value has at most ${MAX_XATTR_VALUE} bytes, this one has ${value.length}`);
  if ((flags & ~(XATTR_CREATE | XATTR_REPLACE)) !== 0) throw fail('EINVAL', `set attribute with flags ${flags}`);
  if (isTrash(ino)) throw fail('EPERM', `set attribute of inode ${ino}: it is the trash`);
  if (isAclXattr(name)) return setAclOp(env, caller, ino, name, fromXattr(value));
  return function* () {
    const [[node], [found]] = yield* read(nodeById(ino, true), attributeOf(ino, name));
    if (node === undefined) throw fail('ENOENT', `set attribute of inode ${ino}: no such node`);
    checkLoose(node);
    // Both flags: whatever is the case, it is the other that was asked for.
    if ((flags & XATTR_CREATE) !== 0 && found !== undefined) throw alreadySet(ino, name);
    if ((flags & XATTR_REPLACE) !== 0 && found === undefined) throw noSuch(ino, name);
    yield* write(setRow(ino, name, value, flags));
    return done(env, undefined);
  };
};

const attributeOf = (ino: Ino, name: string): Query<Ino> =>
  query('SELECT inode FROM jfs_xattr WHERE inode = ? AND name = ?', [ino, name], (row) => bigintAt(row, 0));

function setRow(ino: Ino, name: string, value: Buffer, flags: number) {
  if (flags === XATTR_REPLACE)
    return must(1, change('UPDATE jfs_xattr SET value = ? WHERE inode = ? AND name = ?', value, ino, name), () =>
      noSuch(ino, name),
    );
  const insert = 'INSERT INTO jfs_xattr (inode, name, value) VALUES (?, ?, ?) ON CONFLICT (inode, name) DO';
  if (flags === XATTR_CREATE)
    return must(1, change(`${insert} NOTHING`, ino, name, value), () => alreadySet(ino, name));
  return change(`${insert} UPDATE SET value = excluded.value`, ino, name, value);
}

export const removexattrOp = (env: NamespaceEnv, caller: Caller, ino: Ino, name: string): (() => Op<Done<void>>) => {
  checkSupported(env, name);
  if (isTrash(ino)) throw fail('EPERM', `remove attribute of inode ${ino}: it is the trash`);
  if (isAclXattr(name)) return setAclOp(env, caller, ino, name, undefined);
  return function* () {
    const [[node], [found]] = yield* read(nodeById(ino, true), attributeOf(ino, name));
    if (node !== undefined) checkLoose(node);
    if (found === undefined) throw noSuch(ino, name);
    const remove = change('DELETE FROM jfs_xattr WHERE inode = ? AND name = ?', ino, name);
    yield* write(must(1, remove, () => noSuch(ino, name)));
    return done(env, undefined);
  };
};

/** Without a rule, or with one that says nothing, the list goes. */
const setAclOp = (
  env: NamespaceEnv,
  caller: Caller,
  ino: Ino,
  name: string,
  rule: AclRule | undefined,
): (() => Op<Done<void>>) =>
  function* () {
    const [[node]] = yield* read(nodeById(ino, true));
    if (node === undefined) throw fail('ENOENT', `set access control list of inode ${ino}: no such node`);
    if (!owns(caller, node)) throw fail('EPERM', `set access control list of inode ${ino}: only its owner may`);
    checkLoose(node);
    const access = name === ACCESS_XATTR;
    if (!access && node.type !== NodeType.directory && rule !== undefined)
      throw fail('EACCES', `set default access control list of inode ${ino}: not a directory`);
    const mode = inGroup(caller, node.gid) ? node.mode : node.mode & ~S_ISGID;
    const update = (id: number, bits = mode): NodeUpdate => ({
      ...(access ? { accessAcl: id } : { defaultAcl: id }),
      ...(bits === node.mode ? {} : { mode: bits }),
      ctime: env.now(),
    });
    if (rule === undefined || isEmptyRule(rule)) {
      yield* write(updateNode(ino, update(0)));
      return done(env, undefined);
    }
    const full = filledFrom(rule, mode);
    const bits = access ? (mode & MODE_HIGH) | ruleBits(full) : mode;
    if (access && isMinimal(rule)) {
      yield* write(updateNode(ino, update(0, bits)));
      return done(env, undefined);
    }
    const found = yield* findRule(env, full);
    if (found instanceof Missing) return { answer: found };
    yield* write(updateNode(ino, update(found.id, bits)));
    return done(env, undefined, { usage: [], rule: found });
  };
