// The session row of a writing mount: made at open, renewed by heartbeats, ended at close; and the elected job that ends
// other clients' sessions which stopped renewing. A successor of a died worker goes on with the same id, so its
// unlinked open files stay.
import { hostname, networkInterfaces } from 'node:os';
import type { Log } from '../../base/log.ts';
import { change, type Engine, type Op, query, read, write } from '../sql/op.ts';
import { electJob } from './counters.ts';
import { deleteLocks } from './locks.ts';
import { dropSustained, moveSustained, OUR_MARK, sustainedOf } from './open-files.ts';
import { movePendingOwners } from './owner-rows.ts';
import { deleteRequests, moveRequests } from './request.ts';
import { bigintAt } from './rows.ts';
import { CLIENT_VERSION } from './setting.ts';
import { addToLocked, counterValue } from './statements.ts';
import type { Ino } from './types.ts';
import type { Usage } from './usage.ts';
import { movePending } from './usage-rows.ts';

/** The original client's default. */
export const HEARTBEAT_MS = 12_000;
/** Heartbeats without which a session is stale: the format's. */
const STALE_AFTER = 5;
/** After a gap of so many, somebody may have ended the session: looked at before the next write. */
const DOUBT_AFTER = 3.75;
const STALE_LIMIT = 1000n;

export const nowSeconds = (): bigint => BigInt(Math.floor(Date.now() / 1000));

export interface SessionOptions {
  readonly mountPoint: string;
  readonly heartbeatMs?: number;
  /** The session goes on under another number. */
  readonly onChange?: (sid: bigint) => void;
  /** Of a predecessor whose row is kept. */
  readonly sid?: bigint;
}

/** Fields and order of the original client; its `status` and `config` read them. */
function describe(mountPoint: string): Buffer {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const info = {
    Version: `${CLIENT_VERSION}${OUR_MARK}`,
    HostName: hostname(),
    IPAddrs: addresses.filter(({ internal, family }) => !internal && family === 'IPv4').map(({ address }) => address),
    MountPoint: mountPoint,
    MountTime: new Date().toISOString(),
    ProcessID: process.pid,
  };
  return Buffer.from(JSON.stringify(info));
}

const sessionRow = (sid: bigint) =>
  query('SELECT sid FROM jfs_session2 WHERE sid = ? FOR UPDATE', [sid], (row) => bigintAt(row, 0));

const highestSession = query('SELECT COALESCE(MAX(sid), 0) FROM jfs_session2', [], (row) => bigintAt(row, 0));

/** Renews the row, or begins a session with the next free id; what is left of a lost one comes along, but its locks. */
function* renew(sid: bigint, info: Buffer, heartbeatMs: number): Op<bigint> {
  const expire = nowSeconds() + BigInt(Math.ceil((STALE_AFTER * heartbeatMs) / 1000));
  const [own, [counter], [highest = 0n]] = yield* read(
    sessionRow(sid),
    counterValue('nextSession', true),
    highestSession,
  );
  if (own.length > 0) {
    yield* write(change('UPDATE jfs_session2 SET expire = ?, info = ? WHERE sid = ?', expire, info, sid));
    return sid;
  }
  let next = (counter ?? 0n) + 1n;
  if (highest >= next) next = highest + 1n;
  yield* write(
    addToLocked('nextSession', counter, next - (counter ?? 0n)),
    change('INSERT INTO jfs_session2 (sid, expire, info) VALUES (?, ?, ?)', next, expire, info),
    ...(sid === 0n
      ? []
      : [moveSustained(sid, next), moveRequests(sid, next), movePending(sid, next), movePendingOwners(sid, next)]),
  );
  return next;
}

export class Session {
  readonly #engine: Engine;
  readonly #log: Log;
  readonly #info: Buffer;
  readonly heartbeatMs: number;
  #sid = 0n;
  #renewed = 0;
  /** The same by the wall clock: the other one stands still while the machine is suspended, and other clients' do not. */
  #renewedAt = 0;
  #renewing: Promise<void> | undefined;
  #onChange: ((sid: bigint) => void) | undefined;
  /** Called when the session was ended by another client: its locks are gone. */
  onLost: () => void = () => undefined;

  private constructor(engine: Engine, log: Log, info: Buffer, heartbeatMs = HEARTBEAT_MS) {
    this.#engine = engine;
    this.#log = log;
    this.#info = info;
    this.heartbeatMs = heartbeatMs;
  }

  static async begin(engine: Engine, log: Log, options: SessionOptions): Promise<Session> {
    const session = new Session(engine, log, describe(options.mountPoint), options.heartbeatMs);
    session.#sid = options.sid ?? 0n;
    await session.renew();
    session.#onChange = options.onChange;
    return session;
  }

  get sid(): bigint {
    return this.#sid;
  }

  /** Whether so much time went by that the session must be renewed before anything is written. */
  get overdue(): boolean {
    return Math.max(performance.now() - this.#renewed, Date.now() - this.#renewedAt) > DOUBT_AFTER * this.heartbeatMs;
  }

  renew(): Promise<void> {
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  async #renew(): Promise<void> {
    const before = this.#sid;
    // The id itself must never be given out twice, so a new one is durable before it is used.
    const sid = await this.#engine.run(() => renew(before, this.#info, this.heartbeatMs), {
      durable: this.#renewed === 0,
    });
    this.#renewed = performance.now();
    this.#renewedAt = Date.now();
    this.#sid = sid;
    if (before === 0n || before === sid) return;
    this.#log.warn('session was ended by another client, going on with a new one', { before, sid });
    this.#onChange?.(sid);
    this.onLost();
  }

  /** Ends the session as any client would end a stale one. */
  async end(usage: Usage, deleted: (ino: Ino) => void): Promise<void> {
    await endSession(this.#engine, usage, this.#sid, deleted);
  }
}

/** 9/10 of a heartbeat in whole seconds, as the original client elects this job. */
const cleanupInterval = (heartbeatMs: number): bigint => BigInt(Math.floor((heartbeatMs * 9) / 10_000));

async function endSession(engine: Engine, usage: Usage, sid: bigint, deleted: (ino: Ino) => void): Promise<void> {
  for (;;) {
    const inodes = await engine.view(() => sustainedOf(sid));
    for (const ino of inodes) await dropSustained(engine, usage, sid, ino, deleted);
    if (inodes.length === 0 && (await engine.run(() => deleteSession(sid)))) return;
  }
}

/** False when another mount has just asked this session to keep a file. */
function* deleteSession(sid: bigint): Op<boolean> {
  const [kept] = yield* read(
    query('SELECT inode FROM jfs_sustained WHERE sid = ? LIMIT 1', [sid], (row) => bigintAt(row, 0)),
  );
  if (kept.length > 0) return false;
  yield* write(...deleteLocks(sid), deleteRequests(sid), change('DELETE FROM jfs_session2 WHERE sid = ?', sid));
  return true;
}

/** Elected: ends the sessions of clients that stopped renewing, their locks and unlinked files with them. */
export async function endStaleSessions(
  engine: Engine,
  usage: Usage,
  own: bigint,
  heartbeatMs: number,
  log: Log,
  deleted: (ino: Ino) => void,
): Promise<void> {
  const now = nowSeconds();
  // Looking costs no write transaction; most of the time there is none.
  const stale = await engine.view(function* () {
    const [sids, left] = yield* read(
      query(
        'SELECT sid FROM jfs_session2 WHERE expire < ? AND sid <> ? ORDER BY sid LIMIT ?',
        [now, own, STALE_LIMIT],
        (row) => bigintAt(row, 0),
      ),
      // Rows of a session that ended while they were being written.
      query(
        'SELECT DISTINCT sid FROM jfs_sustained WHERE sid NOT IN (SELECT sid FROM jfs_session2) LIMIT ?',
        [STALE_LIMIT],
        (row) => bigintAt(row, 0),
      ),
    );
    return [...sids, ...left];
  });
  if (stale.length === 0) return;
  if (!(await engine.run(() => electJob('lastCleanupSessions', now, cleanupInterval(heartbeatMs))))) return;
  for (const sid of stale) {
    log.info('ending a stale session', { sid });
    await endSession(engine, usage, sid, deleted);
  }
}

/** Of sessions that expired, and of those that left locks or unlinked files without a session. Answers how many. */
export async function endDeadSessions(engine: Engine, usage: Usage, own: bigint): Promise<number> {
  const dead = await engine.view(function* () {
    const [sids] = yield* read(
      query(
        `SELECT sid FROM jfs_session2 WHERE expire < ? AND sid <> ? UNION
         SELECT l.sid FROM (SELECT sid FROM jfs_sustained UNION SELECT sid FROM jfs_flock UNION SELECT sid FROM jfs_plock) l
         WHERE NOT EXISTS (SELECT 1 FROM jfs_session2 s WHERE s.sid = l.sid)`,
        [nowSeconds(), own],
        (row) => bigintAt(row, 0),
      ),
    );
    return sids;
  });
  // Their data waits for gc: counts that it goes by may be wrong yet.
  for (const sid of dead) await endSession(engine, usage, sid, () => undefined);
  return dead.length;
}
