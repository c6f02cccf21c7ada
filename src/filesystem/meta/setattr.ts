// setattr: owner, group, mode, times and flags of a node. A change that changes nothing writes nothing.
import { fail } from '../../base/errors.ts';
import type { Caller } from '../../base/words.ts';
import { type Flight, type Op, read, write } from '../sql/op.ts';
import { type AclRule, chmodRule, ruleBits } from './acl.ts';
import { accessRuleOf, findRule, type KnownRule } from './acl-rows.ts';
import { checkLimits } from './limits.ts';
import { type Done, done, Missing, type NamespaceEnv, ownedBy } from './outcome.ts';
import { OwnerKind, type OwnerRef } from './owner-rows.ts';
import {
  inGroup,
  inTrash,
  isRoot,
  isTrash,
  MODE_BITS,
  mayAccess,
  modeAfterChown,
  owns,
  S_ISGID,
  S_ISUID,
} from './permission.ts';
import { type NodeUpdate, nodeById, updateNode } from './statements.ts';
import { type Attr, type AttrChange, type Ino, NodeFlag, ROOT } from './types.ts';
import { noDelta, type UsageDelta } from './usage-rows.ts';

const WRITE = 2;
const FIXED = NodeFlag.immutable | NodeFlag.append;

export const setattrOp = (env: NamespaceEnv, caller: Caller, ino: Ino, change: AttrChange): (() => Op<Done<Attr>>) =>
  function* () {
    const [[node], [rule], ...limits] = yield* read(
      nodeById(ino, true),
      env.enableAcl ? accessRuleOf(ino) : undefined,
      ...(isRoot(caller) ? [] : env.usage.limitsOf({ owners: newOwners(change) })),
    );
    if (node === undefined) throw fail('ENOENT', `change inode ${ino}: no such node`);
    // Who has it open may go on as with any unlinked file.
    if (isTrash(ino) || (inTrash(node) && !env.isOpen(ino)))
      throw fail('EPERM', `change inode ${ino}: it is in the trash`);
    checkFixed(caller, node, change);
    const now = env.now();
    const wanted: Attr = {
      ...node,
      ...newTimes(caller, node, change, now, rule),
      ...newOwner(caller, node, change),
      mode: newMode(caller, node, change),
      flags: change.flags ?? node.flags,
    };
    const ruled = yield* withRule(env, node, wanted, rule);
    if (ruled instanceof Missing) return { answer: ruled };
    const { attr: merged, rule: found } = ruled;
    const update = difference(node, merged);
    if (Object.keys(update).length === 0) return done(env, node);
    const usage = changingHands(node, merged);
    // Root may give what is more than the other may have, as on local disks.
    const owners = isRoot(caller) ? [] : usage.flatMap(({ owner }) => owner ?? []);
    yield* checkLimits(limits.flat(), { space: 0n, inodes: 0n, owners });
    yield* write(updateNode(ino, { ...update, ctime: now }));
    return done(env, { ...merged, ctime: now }, { usage, rule: found });
  };

/** Who may get more than before. */
const newOwners = ({ uid, gid }: AttrChange): OwnerRef[] => [
  ...(uid === undefined ? [] : [{ kind: OwnerKind.user, id: BigInt(uid) }]),
  ...(gid === undefined ? [] : [{ kind: OwnerKind.group, id: BigInt(gid) }]),
];

/** What one owner loses and the other gets. The root counts for nobody. */
function changingHands(node: Attr, merged: Attr): UsageDelta[] {
  if (node.ino === ROOT || (merged.uid === node.uid && merged.gid === node.gid)) return [];
  return [
    { ...noDelta, owner: ownedBy(node, -1n) },
    { ...noDelta, owner: ownedBy(merged, 1n) },
  ];
}

/** Append-only and immutable nodes keep owner, mode and set times, as chattr(1) has it; only root moves those flags. */
function checkFixed(caller: Caller, node: Attr, change: AttrChange): void {
  // To touch is to append nothing, but it is a change.
  const touchable = (node.flags & NodeFlag.immutable) === 0;
  const sets = (time: bigint | 'now' | undefined): boolean =>
    typeof time === 'bigint' || (time === 'now' && !touchable);
  const touches = [change.mode, change.uid, change.gid].some((value) => value !== undefined);
  if ((node.flags & FIXED) !== 0 && (touches || sets(change.atime) || sets(change.mtime)))
    throw fail('EPERM', `change inode ${node.ino}: it is append-only or immutable`);
  if (change.flags === undefined || change.flags === node.flags) return;
  const privileged = ((change.flags ^ node.flags) & FIXED) !== 0;
  if (privileged ? isRoot(caller) : owns(caller, node)) return;
  throw fail('EPERM', `change flags of inode ${node.ino}: user ${caller.uid} may not`);
}

function newOwner(caller: Caller, node: Attr, change: AttrChange): { readonly uid: number; readonly gid: number } {
  const { uid = node.uid, gid = node.gid } = change;
  if (uid !== node.uid && !isRoot(caller)) throw fail('EPERM', `change owner of inode ${node.ino}: only root may`);
  if (change.gid !== undefined && (!owns(caller, node) || (gid !== node.gid && !inGroup(caller, gid))))
    throw fail('EPERM', `change group of inode ${node.ino} to ${gid}: user ${caller.uid} may not`);
  return { uid, gid };
}

/**
 * Of everybody but the owner, one change is taken: clearing set-id bits. The kernel asks for it in a writer's name when
 * the file is written to.
 */
function newMode(caller: Caller, node: Attr, change: AttrChange): number {
  let mode = change.mode === undefined ? node.mode : change.mode & MODE_BITS;
  if (change.mode !== undefined && (mode & S_ISGID) !== 0 && !inGroup(caller, node.gid)) mode &= ~S_ISGID;
  const onlyClears = ((mode ^ node.mode) & ~(S_ISUID | S_ISGID)) === 0 && (mode & ~node.mode) === 0;
  if (mode !== node.mode && !owns(caller, node) && !onlyClears)
    throw fail('EPERM', `change mode of inode ${node.ino}: user ${caller.uid} is not its owner`);
  const chown = change.uid !== undefined || change.gid !== undefined;
  return chown ? modeAfterChown(caller, node, mode) : mode;
}

type Times = { readonly atime: bigint; readonly mtime: bigint };

function newTimes(caller: Caller, node: Attr, change: AttrChange, now: bigint, rule: AclRule | undefined): Times {
  const explicit = [change.atime, change.mtime].some((time) => typeof time === 'bigint');
  const touched = explicit || change.atime === 'now' || change.mtime === 'now';
  // The kernel has checked with all the caller's groups, and flushes times of its own in a writer's name.
  if (touched && caller.vouched !== true) {
    if (explicit && node.uid === 0 && !isRoot(caller))
      throw fail('EPERM', `set times of inode ${node.ino}: it belongs to root`);
    if (!owns(caller, node) && !mayAccess(node, caller, WRITE, rule))
      throw fail('EACCES', `set times of inode ${node.ino}: user ${caller.uid} neither owns it nor may write`);
  }
  const time = (wanted: bigint | 'now' | undefined, old: bigint): bigint => {
    if (wanted === undefined) return old;
    if (wanted === 'now') return now;
    return wanted < 0n ? 0n : wanted;
  };
  return { atime: time(change.atime, node.atime), mtime: time(change.mtime, node.mtime) };
}

/** chmod on a node with an access rule changes the rule, and rules are shared: another row, perhaps a new one. */
function* withRule(
  env: NamespaceEnv,
  node: Attr,
  wanted: Attr,
  rule: AclRule | undefined,
): Generator<Flight, { readonly attr: Attr; readonly rule?: KnownRule } | Missing, unknown> {
  if (rule === undefined || wanted.mode === node.mode) return { attr: wanted };
  const changed = chmodRule(rule, wanted.mode);
  const found = yield* findRule(env, changed);
  if (found instanceof Missing) return found;
  return { attr: { ...wanted, accessAcl: found.id, mode: (wanted.mode & 0o7000) | ruleBits(changed) }, rule: found };
}

const settable = ['mode', 'uid', 'gid', 'flags', 'atime', 'mtime', 'accessAcl'] as const;

const difference = (node: Attr, wanted: Attr): NodeUpdate =>
  Object.fromEntries(settable.filter((key) => node[key] !== wanted[key]).map((key) => [key, wanted[key]]));
