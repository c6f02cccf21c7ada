// The session row of a writing mount: made at open, renewed by heartbeats, ended at close (by stale-sessions.ts, as those of
// others). A successor of a died worker goes on with the same id, so its unlinked open files stay.
import { hostname, networkInterfaces } from 'node:os';
import { nowSeconds } from '../../base/clock.ts';
import { FsError, fail } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { change, type Engine, type Op, query, read, write } from '../sql/op.ts';
import { conversionRows, refuseConversion } from './conversion-lock.ts';
import { moveSustained, OUR_MARK } from './open-files.ts';
import { movePendingOwners } from './owner-rows.ts';
import { recordText } from './record-row.ts';
import { moveRequests } from './request.ts';
import { bigintAt } from './rows.ts';
import { CLIENT_VERSION, type Setting, uuidIn } from './setting.ts';
import { cleanupInterval, endSession, MAX_SKEW_SECONDS, STALE_AFTER } from './stale-sessions.ts';
import { addToLocked, counterValue } from './statements.ts';
import type { Ino } from './types.ts';
import type { Usage } from './usage.ts';
import { movePending } from './usage-rows.ts';

/** The original client's default. */
export const HEARTBEAT_MS = 12_000;
/** After a gap of so many, somebody may have ended the session: looked at before the next write. */
const DOUBT_AFTER = 3.75;

/** What the session is of, by the record that was opened. */
export type VolumeIdentity = Pick<Setting, 'name' | 'uuid'>;

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

/** Who unlinks a file of this session need not wait for that. */
const sessionRow = (sid: bigint) =>
  query('SELECT sid FROM jfs_session2 WHERE sid = ? FOR NO KEY UPDATE', [sid], (row) => bigintAt(row, 0));

const highestSession = query('SELECT COALESCE(MAX(sid), 0) FROM jfs_session2', [], (row) => bigintAt(row, 0));

/**
 * Who ends stale sessions goes by its own clock, and notes by it when it last did. One that is ahead of ours would end a
 * session that lives, so the row gets as much time more.
 */
function aheadOf(now: bigint, judged: bigint, heartbeatMs: number): bigint {
  if (judged <= now) return 0n;
  const ahead = judged - now + cleanupInterval(heartbeatMs) + 1n;
  return ahead < MAX_SKEW_SECONDS ? ahead : MAX_SKEW_SECONDS;
}

/** A client that slept through a whole conversion must not go on: the record is not its volume's any more. */
function refuseOtherVolume({ name, uuid }: VolumeIdentity, text: string | undefined): void {
  const found = text === undefined ? undefined : uuidIn(text);
  if (found === undefined || found === uuid) return;
  throw fail('conflict', `renew a session of file system ${name}: ${uuid} was replaced by ${found}`);
}

/** Renews the row, or begins a session with the next free id; what is left of a lost one comes along, but its locks. */
function* renew(sid: bigint, info: Buffer, heartbeatMs: number, volume: VolumeIdentity): Op<bigint> {
  const now = nowSeconds();
  const [own, [judged = 0n], [counter], [highest = 0n], lock, [text]] = yield* read(
    sessionRow(sid),
    counterValue('lastCleanupSessions'),
    counterValue('nextSession', true),
    highestSession,
    // Behind the counter, which whoever changes the encryption locks before he looks for sessions.
    conversionRows,
    recordText,
  );
  refuseConversion(`${sid === 0n ? 'begin' : 'renew'} a session of file system ${volume.name}`, lock);
  refuseOtherVolume(volume, text);
  const lifetime = BigInt(Math.ceil((STALE_AFTER * heartbeatMs) / 1000));
  const expire = now + lifetime + aheadOf(now, judged, heartbeatMs);
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
  readonly #volume: VolumeIdentity;
  readonly heartbeatMs: number;
  #sid = 0n;
  #renewed = 0;
  /** The same by the wall clock: the other one stands still while the machine is suspended, and other clients' do not. */
  #renewedAt = 0;
  #renewing: Promise<void> | undefined;
  #onChange: ((sid: bigint) => void) | undefined;
  /** Called when the session was ended by another client: its locks are gone. */
  onLost: () => void = () => undefined;
  /** And with the new number, to bring along what the old session kept. */
  onMoved: (sid: bigint) => Promise<void> = async () => undefined;

  private constructor(engine: Engine, log: Log, volume: VolumeIdentity, options: SessionOptions) {
    this.#engine = engine;
    this.#log = log;
    this.#info = describe(options.mountPoint);
    this.#volume = volume;
    this.heartbeatMs = options.heartbeatMs ?? HEARTBEAT_MS;
  }

  static async begin(engine: Engine, log: Log, volume: VolumeIdentity, options: SessionOptions): Promise<Session> {
    const session = new Session(engine, log, volume, options);
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
    const sid = await this.#engine.run(() => renew(before, this.#info, this.heartbeatMs, this.#volume), {
      durable: this.#renewed === 0,
      // A session that was made twice ends by itself.
      looksItself: true,
    });
    this.#renewed = performance.now();
    this.#renewedAt = Date.now();
    this.#sid = sid;
    if (before === 0n || before === sid) return;
    this.#log.warn('session was ended by another client, going on with a new one', { before, sid });
    this.#onChange?.(sid);
    this.onLost();
    await this.onMoved(sid).catch((thrown: unknown) => {
      this.#log.warn('unlinked open files may go with the lost session', { sid, error: FsError.from(thrown).message });
    });
  }

  /** Ends the session as any client would end a stale one. */
  async end(usage: Usage, deleted: (ino: Ino) => void): Promise<void> {
    await endSession(this.#engine, usage, this.#sid, deleted);
  }
}
