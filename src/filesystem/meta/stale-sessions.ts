// The elected job that ends other clients' sessions which stopped renewing, with their locks and unlinked files. Whoever
// looks goes by a clock of its own, so an expired row alone is no proof: it must also have stood still for as long.
import { nowSeconds } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import { change, type Engine, type Op, query, read, write } from '../sql/op.ts';
import { electJob } from './counters.ts';
import { deleteLocks } from './locks.ts';
import { dropSustained, sustainedOf } from './open-files.ts';
import { deleteRequests } from './request.ts';
import { bigintAt } from './rows.ts';
import type { Ino } from './types.ts';
import type { Usage } from './usage.ts';

/** Heartbeats without which a session is stale: the format's. */
export const STALE_AFTER = 5;
/** How far two clocks may be apart for us to care: what Kerberos allows, too. */
export const MAX_SKEW_SECONDS = 300n;
const STALE_LIMIT = 1000;
/** Sessions that are watched, those first that expire first. */
const WATCHED = 10_000n;

/** 9/10 of a heartbeat in whole seconds, as the original client elects this job. */
export const cleanupInterval = (heartbeatMs: number): bigint => BigInt(Math.floor((heartbeatMs * 9) / 10_000));

export async function endSession(
  engine: Engine,
  usage: Usage,
  sid: bigint,
  deleted: (ino: Ino) => void,
): Promise<void> {
  await engine.run(() => askNoMore(sid));
  for (;;) {
    const inodes = await engine.view(() => sustainedOf(sid));
    for (const ino of inodes) await dropSustained(engine, usage, sid, ino, deleted);
    if (inodes.length === 0 && (await engine.run(() => deleteSession(sid)))) return;
  }
}

/** From here on nobody asks this session to keep a file: else it might never come to an end of them. */
function* askNoMore(sid: bigint): Op<void> {
  yield* write(change('UPDATE jfs_session2 SET expire = 0 WHERE sid = ?', sid));
}

/** False when another mount had asked this session to keep a file: it has the row locked until that is seen. */
function* deleteSession(sid: bigint): Op<boolean> {
  const [, kept] = yield* read(
    query('SELECT sid FROM jfs_session2 WHERE sid = ? FOR UPDATE', [sid], (row) => bigintAt(row, 0)),
    query('SELECT inode FROM jfs_sustained WHERE sid = ? LIMIT 1', [sid], (row) => bigintAt(row, 0)),
  );
  if (kept.length > 0) return false;
  yield* write(...deleteLocks(sid), deleteRequests(sid), change('DELETE FROM jfs_session2 WHERE sid = ?', sid));
  return true;
}

interface SessionTime {
  readonly sid: bigint;
  readonly expire: bigint;
}

/** When other sessions were last seen to move, by a clock that nobody sets. */
export class Suspects {
  #seen = new Map<bigint, { readonly expire: bigint; readonly since: number }>();

  /** To be told of all at each look; answers those that expired and did not move for as long as a session may. */
  look(sessions: readonly SessionTime[], staleMs: number): bigint[] {
    const now = performance.now();
    const wall = nowSeconds();
    const seen = new Map<bigint, { readonly expire: bigint; readonly since: number }>();
    for (const { sid, expire } of sessions) {
      const before = this.#seen.get(sid);
      seen.set(sid, before?.expire === expire ? before : { expire, since: now });
    }
    this.#seen = seen;
    const still = (sid: bigint): boolean => now - (seen.get(sid)?.since ?? now) >= staleMs;
    return sessions
      .filter(({ sid, expire }) => expire < wall && (still(sid) || expire < wall - MAX_SKEW_SECONDS))
      .map(({ sid }) => sid)
      .slice(0, STALE_LIMIT);
  }
}

const otherSessionTimes = (own: bigint) =>
  query(
    'SELECT sid, expire FROM jfs_session2 WHERE sid <> ? ORDER BY expire LIMIT ?',
    [own, WATCHED],
    (row): SessionTime => ({ sid: bigintAt(row, 0), expire: bigintAt(row, 1) }),
  );

export interface Judge {
  readonly engine: Engine;
  readonly usage: Usage;
  readonly log: Log;
  readonly own: bigint;
  readonly heartbeatMs: number;
  readonly suspects: Suspects;
}

/** Elected: ends the sessions of clients that stopped renewing, their locks and unlinked files with them. */
export async function endStaleSessions(judge: Judge, deleted: (ino: Ino) => void): Promise<void> {
  const { engine, usage, log, own, heartbeatMs, suspects } = judge;
  // Looking costs no write transaction; most of the time there is none.
  const [others, left] = await engine.view(() =>
    read(
      otherSessionTimes(own),
      // Rows of a session that ended while they were being written.
      query(
        'SELECT DISTINCT sid FROM jfs_sustained WHERE sid NOT IN (SELECT sid FROM jfs_session2) LIMIT ?',
        [BigInt(STALE_LIMIT)],
        (row) => bigintAt(row, 0),
      ),
    ),
  );
  const stale = [...suspects.look(others, STALE_AFTER * heartbeatMs), ...left];
  if (stale.length === 0) return;
  if (!(await engine.run(() => electJob('lastCleanupSessions', nowSeconds(), cleanupInterval(heartbeatMs))))) return;
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
