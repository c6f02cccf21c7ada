// flock and fcntl locks: rows that every client of the volume respects (spec 5.12). The file's node is locked first, so
// that of two that want the same lock one sees the other. Setting a lock twice is setting it once, so a request that is
// sent again needs no memory of the first time. Who waits, and how, is the vfs's matter.
import { fail } from '../../base/errors.ts';
import { type Change, change, type Op, type Query, query, read, write } from '../sql/op.ts';
import type { MetaContext } from './context.ts';
import {
  conflictOf,
  decodeRanges,
  encodeRanges,
  LOCK_END,
  type LockRange,
  LockType,
  placeRange,
} from './lock-ranges.ts';
import type { Outcome, Reply } from './request.ts';
import { bigintAt, bytesAt, numberAt } from './rows.ts';
import type { Ino } from './types.ts';

/** flock(2) locks whole files for an open file, fcntl(2) ranges for a process; one does not see the other. */
export type LockFamily = 'flock' | 'plock';

export interface LockRequest extends LockRange {
  readonly family: LockFamily;
  readonly ino: Ino;
  /** 64 bits, signed as they are stored. Unique within a session. */
  readonly owner: bigint;
}

/** One holder's locks on a file. */
export interface HeldLocks {
  readonly sid: bigint;
  readonly owner: bigint;
  readonly ranges: readonly LockRange[];
}

export interface LockAnswer {
  readonly granted: boolean;
  /** Not granted: whether a holder is of another session. */
  readonly elsewhere: boolean;
  /** Whether other sessions are on the volume: they may have changed the file since this client last looked. */
  readonly shared: boolean;
}

/** Letters of the format. */
const FLOCK_READ = 82;
const FLOCK_WRITE = 87;

const whole = (type: LockType): LockRange => ({ type, start: 0n, end: LOCK_END, pid: 0 });

const flocksOf = (ino: Ino, lock: string): Query<HeldLocks> =>
  query(`SELECT sid, owner, ltype FROM jfs_flock WHERE inode = ?${lock}`, [ino], (row) => ({
    sid: bigintAt(row, 0),
    owner: bigintAt(row, 1),
    ranges: [whole(numberAt(row, 2) === FLOCK_READ ? LockType.read : LockType.write)],
  }));

const plocksOf = (ino: Ino, lock: string): Query<HeldLocks> =>
  query(`SELECT sid, owner, BYTES(records) FROM jfs_plock WHERE inode = ?${lock}`, [ino], (row) => ({
    sid: bigintAt(row, 0),
    owner: bigintAt(row, 1),
    ranges: decodeRanges(bytesAt(row, 2), `locks of inode ${ino}`),
  }));

/** `toChange`: the rows stay as they are until the commit. */
function heldOn(family: LockFamily, ino: Ino, toChange: boolean): Query<HeldLocks> {
  const lock = toChange ? ' FOR UPDATE' : '';
  return family === 'flock' ? flocksOf(ino, lock) : plocksOf(ino, lock);
}

const lockedNode = (ino: Ino): Query<bigint> =>
  query('SELECT inode FROM jfs_node WHERE inode = ? FOR UPDATE', [ino], (row) => bigintAt(row, 0));

const otherSession = (sid: bigint): Query<bigint> =>
  query('SELECT sid FROM jfs_session2 WHERE sid <> ? LIMIT 1', [sid], (row) => bigintAt(row, 0));

function save({ family, ino, owner }: LockRequest, sid: bigint, ranges: readonly LockRange[]): Change {
  const [first] = ranges;
  if (first === undefined)
    return change(`DELETE FROM jfs_${family} WHERE inode = ? AND sid = ? AND owner = ?`, ino, sid, owner);
  if (family === 'flock')
    return change(
      'INSERT INTO jfs_flock (inode, sid, owner, ltype) VALUES (?, ?, ?, ?) ON CONFLICT (inode, sid, owner) DO UPDATE SET ltype = excluded.ltype',
      ino,
      sid,
      owner,
      BigInt(first.type === LockType.read ? FLOCK_READ : FLOCK_WRITE),
    );
  return change(
    'INSERT INTO jfs_plock (inode, sid, owner, records) VALUES (?, ?, ?, ?) ON CONFLICT (inode, sid, owner) DO UPDATE SET records = excluded.records',
    ino,
    sid,
    owner,
    encodeRanges(ranges),
  );
}

/** Answers are never kept under a request's id: see above. */
const notKept: Reply<LockAnswer> = {
  encode: () => Buffer.alloc(0),
  decode: () => ({ granted: true, elsewhere: false, shared: true }),
};

export const setLock = (ctx: MetaContext, request: LockRequest): Promise<LockAnswer> =>
  ctx.write({}, notKept, () => (request.type === LockType.none ? unlockOp(ctx, request) : lockOp(ctx, request)));

function* lockOp(ctx: Pick<MetaContext, 'sid'>, request: LockRequest): Op<Outcome<LockAnswer>> {
  const { sid } = ctx;
  const { family, ino, owner } = request;
  const [[node], holders, others] = yield* read(lockedNode(ino), heldOn(family, ino, true), otherSession(sid));
  if (node === undefined) throw fail('ENOENT', `lock inode ${ino}: it is gone`);
  const shared = others.length > 0;
  const own = holders.find((one) => one.sid === sid && one.owner === owner);
  const inTheWay = holders.filter((one) => one !== own && conflictOf(one.ranges, request) !== undefined);
  if (inTheWay.length > 0) {
    // As the kernel does on a local disk: changing an flock gives up the old one first, so that two who hold it shared and
    // both want it for themselves do not wait for each other.
    if (family === 'flock' && own !== undefined) yield* write(save(request, sid, []));
    return { answer: { granted: false, elsewhere: inTheWay.some((one) => one.sid !== sid), shared } };
  }
  const before = own?.ranges ?? [];
  const after = family === 'flock' ? [whole(request.type)] : placeRange(before, request);
  if (!encodeRanges(before).equals(encodeRanges(after))) yield* write(save(request, sid, after));
  return { answer: { granted: true, elsewhere: false, shared } };
}

function* unlockOp(ctx: Pick<MetaContext, 'sid'>, request: LockRequest): Op<Outcome<LockAnswer>> {
  const { sid } = ctx;
  const { family, ino, owner, start, end } = request;
  const answer = { granted: true, elsewhere: false, shared: false };
  if (family === 'flock' || (start === 0n && end >= LOCK_END)) {
    yield* write(save(request, sid, []));
    return { answer };
  }
  const [, holders] = yield* read(lockedNode(ino), heldOn(family, ino, true));
  const own = holders.find((one) => one.sid === sid && one.owner === owner);
  if (own === undefined) return { answer };
  yield* write(save(request, sid, placeRange(own.ranges, request)));
  return { answer };
}

/** Every holder's locks of one family. */
export function* locksOn(family: LockFamily, ino: Ino): Op<HeldLocks[]> {
  const [holders] = yield* read(heldOn(family, ino, false));
  return holders;
}

/** The lock that `request` would have to wait for; undefined when there is none. Processes of other clients are pid 0. */
export function* conflictingLock(sid: bigint, request: LockRequest): Op<LockRange | undefined> {
  const holders = yield* locksOn(request.family, request.ino);
  let first: LockRange | undefined;
  for (const holder of holders) {
    if (holder.sid === sid && holder.owner === request.owner) continue;
    const found = conflictOf(holder.ranges, request);
    if (found === undefined || (first !== undefined && first.start <= found.start)) continue;
    first = holder.sid === sid ? found : { ...found, pid: 0 };
  }
  return first;
}

/** What a session holds, for its successor. */
export function* locksOfSession(sid: bigint): Op<Pick<LockRequest, 'family' | 'ino' | 'owner'>[]> {
  const holders = (family: LockFamily) =>
    query(`SELECT inode, owner FROM jfs_${family} WHERE sid = ?`, [sid], (row) => ({
      family,
      ino: bigintAt(row, 0),
      owner: bigintAt(row, 1),
    }));
  const [flocks, plocks] = yield* read(holders('flock'), holders('plock'));
  return [...flocks, ...plocks];
}

export function* hasOtherSessions(sid: bigint): Op<boolean> {
  const [others] = yield* read(otherSession(sid));
  return others.length > 0;
}

/** With the session row, by whoever ends it. */
export const deleteLocks = (sid: bigint): Change[] => [
  change('DELETE FROM jfs_flock WHERE sid = ?', sid),
  change('DELETE FROM jfs_plock WHERE sid = ?', sid),
];
