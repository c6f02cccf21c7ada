// Who has a file system mounted, by the rows of its sessions; and the wait after which whoever came with the lock, and did
// not see it, must have left.
import { type Clock, nowNs, nowSeconds, realClock } from '../../base/clock.ts';
import { conversionRows, insertLockRow, steps } from '../meta/conversion-lock.ts';
import { OUR_MARK } from '../meta/open-files.ts';
import { bigintAt, bytesAt } from '../meta/rows.ts';
import { hasOurTables } from '../meta/schema.ts';
import { HEARTBEAT_MS } from '../meta/session.ts';
import { STALE_AFTER } from '../meta/stale-sessions.ts';
import { counterValue } from '../meta/statements.ts';
import { type Engine, type Op, type Query, query, type Row, read, write } from '../sql/op.ts';
import { openEngine } from '../sql/open-engine.ts';
import { lockOf } from './standing.ts';
import type { Confirmed, FileSystemPlace, LiveSession, Reason } from './words.ts';

export interface SessionRow {
  readonly sid: bigint;
  readonly expire: bigint;
  readonly info: Buffer;
}

export const allSessions: Query<SessionRow> = query(
  'SELECT sid, expire, BYTES(info) FROM jfs_session2 ORDER BY sid',
  [],
  (row: Row) => ({ sid: bigintAt(row, 0), expire: bigintAt(row, 1), info: bytesAt(row, 2) }),
);

/** Those that have not expired at `now` (seconds). */
export const liveSessionsAmong = (rows: readonly SessionRow[], now: bigint): LiveSession[] =>
  rows.filter(({ expire }) => expire >= now).map(described);

/** A session's life without a renewal: what every client writes unless it is told another heartbeat. */
const LIFETIME_S = BigInt((STALE_AFTER * HEARTBEAT_MS) / 1000);

function described({ sid, expire, info }: SessionRow): LiveSession {
  let said: Record<string, unknown> = {};
  try {
    said = JSON.parse(info.toString()) as Record<string, unknown>;
  } catch {
    // Another client's row: what it says about itself is for show only.
  }
  const text = (name: string): string => (typeof said[name] === 'string' ? said[name] : '');
  const version = text('Version');
  const pid = said['ProcessID'];
  return {
    sid,
    client: version.endsWith(OUR_MARK) ? 'pageseal' : 'juicefs',
    version,
    host: text('HostName'),
    pid: typeof pid === 'number' ? pid : undefined,
    mountPoint: text('MountPoint'),
    expires: expire,
    lastHeartbeat: expire - LIFETIME_S,
  };
}

/** More are counted, not named. */
const NAMED = 3;

export function sessionReasons(sessions: readonly LiveSession[]): Reason[] {
  if (sessions.length === 0) return [];
  const named = sessions.slice(0, NAMED).map(({ client, host, pid, mountPoint, lastHeartbeat }) => {
    const seen = new Date(Number(lastHeartbeat) * 1000).toISOString().slice(0, 19);
    return `${client} on host ${host || '?'} (process ${pid ?? '?'}, at ${mountPoint || '?'}, last heard of ${seen}Z)`;
  });
  const more = sessions.length > NAMED ? ` and ${sessions.length - NAMED} more` : '';
  const text = `mounted by ${named.join(', ')}${more}; unmount it; who died goes a minute later`;
  return [{ code: 'LiveSession', text }];
}

export interface ConfirmOptions {
  /** Default: a minute. Twice a longer heartbeat goes before it. */
  readonly leastMs?: number;
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
  /** At each look: milliseconds that went by, and that it will take as far as is known. */
  readonly onWait?: (elapsedMs: number, wantedMs: number) => void;
}

/** Five usual heartbeats: nobody who keeps to the usual one needs more than two. */
const LEAST_MS = 60_000;
/** Between looks; a session that begins and ends unseen in between is none that lasts. */
const LOOK_EVERY_MS = 2000;

/**
 * Waits, in this process and by a clock that nobody sets, then looks: twice the longest heartbeat for who read the record
 * just before it was locked to read it again and leave, and then for what he leaves behind to expire. Who is told to leave
 * and renews his session is there. Asked again once it is confirmed, it answers at once.
 */
export async function confirmNoSessions(place: FileSystemPlace, options: ConfirmOptions = {}): Promise<Confirmed> {
  const { clock = realClock, signal, leastMs = LEAST_MS } = options;
  const engine = await openEngine(place.metaUrl);
  try {
    if (!(await hasOurTables(engine))) return { kind: 'not-begun' };
    const watch = new Watch(leastMs / STALE_AFTER);
    const begun = clock.now();
    for (;;) {
      const [lockRows, rows] = await engine.view(() => read(conversionRows, allSessions));
      const lock = lockOf(lockRows);
      if (lock === undefined) return { kind: 'not-begun' };
      if (lock.steps.has('confirmed')) return { kind: 'confirmed' };
      const elapsed = clock.now() - begun;
      const late = watch.look(rows, elapsed);
      const wanted = Math.max(leastMs, 2 * watch.longestMs);
      const live = liveSessionsAmong(rows, nowSeconds());
      const still = elapsed > wanted + STALE_AFTER * watch.longestMs ? live : late;
      options.onWait?.(elapsed, wanted);
      if (still.length > 0) return { kind: 'blocked', reasons: sessionReasons(still), sessions: still };
      if (elapsed >= wanted && live.length === 0) {
        const confirmed = await confirm(engine);
        if (confirmed.kind !== 'blocked') return confirmed;
      }
      await clock.sleep(elapsed < wanted ? Math.min(LOOK_EVERY_MS, wanted - elapsed) : LOOK_EVERY_MS, signal);
    }
  } finally {
    await engine.close();
  }
}

const confirm = (engine: Engine): Promise<Confirmed> =>
  engine.run(writeConfirmed, { durable: true, looksItself: true });

function* writeConfirmed(): Op<Confirmed> {
  const [, rows, sessions] = yield* read(counterValue('nextSession', true), conversionRows, allSessions);
  const lock = lockOf(rows);
  if (lock === undefined) return { kind: 'not-begun' };
  if (lock.steps.has('confirmed')) return { kind: 'confirmed' };
  const live = liveSessionsAmong(sessions, nowSeconds());
  if (live.length > 0) return { kind: 'blocked', reasons: sessionReasons(live), sessions: live };
  yield* write(insertLockRow(steps.confirmed, Buffer.alloc(0), nowNs()));
  return { kind: 'confirmed' };
}

/** Nobody waits an hour for a row that some client has got wrong; its session is then reported. */
const LONGEST_MS = 10 * 60_000;

/** When sessions moved. */
class Watch {
  longestMs: number;
  readonly #expires = new Map<bigint, bigint>();

  constructor(leastMs: number) {
    this.longestMs = leastMs;
  }

  /** Those that moved when they should have been gone. */
  look(rows: readonly SessionRow[], elapsedMs: number): LiveSession[] {
    const now = nowSeconds();
    const late: SessionRow[] = [];
    for (const row of rows) {
      const before = this.#expires.get(row.sid);
      this.#expires.set(row.sid, row.expire);
      const heartbeatMs = Math.min((1000 * Number(row.expire - now)) / STALE_AFTER, LONGEST_MS);
      this.longestMs = Math.max(this.longestMs, heartbeatMs);
      const moved = before !== undefined && row.expire > before;
      if (moved && elapsedMs > 2 * this.longestMs + LOOK_EVERY_MS) late.push(row);
    }
    return late.map(described);
  }
}
