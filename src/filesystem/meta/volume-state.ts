// One opened volume's shared state: the MetaContext that operations get, kept current by the heartbeat. Begins and ends
// the session, the timers and the background deletions.
import { FsError, fail, hasCode } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { endWithin, noWaits, type Outages, outagesOf, unlessAway } from '../../base/outage.ts';
import type { OnProgress } from '../../base/progress.ts';
import type { Caller, Ino, RequestId, SliceId } from '../../base/words.ts';
import type { Attempt, Engine, Op } from '../sql/op.ts';
import type { MetaContext, WriteOptions } from './context.ts';
import { IdBatches, INODE_BATCH, SLICE_BATCH } from './counters.ts';
import { DataDeletion, type RemoveSlice } from './delete-data.ts';
import { HourlyJobs, type Job } from './jobs.ts';
import { dropSustained, dropUnneeded, OpenFileTable, restoreSustained, sustainedOf } from './open-files.ts';
import { PatientEngine } from './patient-engine.ts';
import { readSetting } from './read-setting.ts';
import { type Outcome, ownRequests, type Reply, underRequest } from './request.ts';
import { HEARTBEAT_MS, Session, type SessionOptions } from './session.ts';
import type { Setting } from './setting.ts';
import { endDeadSessions, endStaleSessions, Suspects } from './stale-sessions.ts';
import { type Emptied, emptyTrash, expiryLimit, type OnEmptied, type TrashExpiry } from './trash-expiry.ts';
import { counted, Usage } from './usage.ts';
import type { UsageDelta } from './usage-rows.ts';

/** How long close waits for data that is being deleted; rows remember the rest. */
const DELETION_TIMEOUT_MS = 5000;
const DAY_SECONDS = 86_400n;

const deltasOf = (outcome: Outcome<unknown>): readonly UsageDelta[] => outcome.usage ?? [];

export interface VolumeStateOptions {
  readonly engine: Engine;
  readonly setting: Setting;
  readonly log: Log;
  /** Absent: read-only, without a session. */
  readonly session?: SessionOptions;
  readonly removeSlice: RemoveSlice;
  /** Of a mount; absent: nobody waits while the database is away. */
  readonly outages?: Outages | undefined;
}

export class VolumeState implements MetaContext {
  readonly engine: Engine;
  readonly log: Log;
  readonly usage: Usage;
  readonly files: OpenFileTable;
  readonly readOnly: boolean;
  readonly deletion: DataDeletion;
  readonly #inodes: IdBatches;
  readonly #slices: IdBatches;
  readonly #session: Session | undefined;
  readonly #outages: Outages;
  /** Itself: for what waits by itself. */
  readonly #database: Engine;
  /** Where a commit's answer can be lost on the way: for callers without a request of the kernel's. */
  readonly #ownRequest: (() => RequestId) | undefined;
  readonly #suspects = new Suspects();
  #jobs: HourlyJobs | undefined;
  #setting: Setting;
  #heartbeat: NodeJS.Timeout | undefined;
  #beating: Promise<void> = Promise.resolve();
  #lost: FsError | undefined;

  private constructor(options: VolumeStateOptions, session: Session | undefined) {
    const { log, outages = outagesOf(log, noWaits) } = options;
    const engine = new PatientEngine(options.engine, outages);
    this.engine = engine;
    this.#database = options.engine;
    this.log = log;
    this.#outages = outages;
    this.#setting = options.setting;
    this.#session = session;
    this.readOnly = session === undefined;
    this.usage = new Usage(
      engine,
      log,
      () => this.#setting,
      () => this.sid,
    );
    this.deletion = new DataDeletion(engine, log, options.removeSlice);
    this.files = new OpenFileTable((ino) => this.#dropSustained(ino), log);
    this.#inodes = new IdBatches(options.engine, 'nextInode', INODE_BATCH);
    this.#slices = new IdBatches(options.engine, 'nextChunk', SLICE_BATCH);
    this.#ownRequest = engine.dialect === 'sqlite' ? undefined : ownRequests();
    if (session !== undefined) session.onMoved = (sid) => restoreSustained(this.engine, sid, this.files.known);
  }

  static async open(options: VolumeStateOptions): Promise<VolumeState> {
    const { engine, log } = options;
    const session = options.session && (await Session.begin(engine, log, options.setting, options.session));
    const state = new VolumeState(options, session);
    // What the dead left counts before limits are read.
    if (session !== undefined) await state.usage.flush(true);
    await state.usage.refresh();
    if (session === undefined) return state;
    // Also when the session itself was ended meanwhile: the predecessor's handles are still open.
    if (options.session?.sid !== undefined) state.files.adopt(await engine.view(() => sustainedOf(session.sid)));
    state.#schedule();
    return state;
  }

  get setting(): Setting {
    return this.#setting;
  }

  get sid(): bigint {
    return this.#session?.sid ?? 0n;
  }

  newInode(): Promise<Ino> {
    const { metadata, waits } = this.#outages;
    return metadata.outlast(() => this.#inodes.next(), waits.otherMs);
  }

  newSliceId(): Promise<SliceId> {
    const { metadata, waits } = this.#outages;
    return metadata.outlast(() => this.#slices.next(), waits.writeMs);
  }

  write<R>(
    caller: Pick<Caller, 'request' | 'signal'>,
    reply: Reply<R>,
    operation: () => Op<Outcome<R>>,
    options: WriteOptions = {},
  ): Promise<R> {
    const { metadata, waits } = this.#outages;
    const request = caller.request ?? this.#ownRequest?.();
    const once = request === undefined ? operation : underRequest(request, () => this.sid, reply, operation);
    const looksItself = request !== undefined;
    const run = (tries: number): Promise<R> =>
      this.#write(({ ambiguous }) => once({ ambiguous: ambiguous || tries > 1 }), { ...options, looksItself });
    return metadata.outlast(run, options.ofData === true ? waits.writeMs : waits.otherMs, () => caller.signal);
  }

  repeat<R>(operation: () => Op<R>): Promise<R> {
    const { metadata, waits } = this.#outages;
    return metadata.outlast(() => this.#database.run(operation, { looksItself: true }), waits.otherMs);
  }

  async #write<R>(once: (attempt: Attempt) => Op<Outcome<R>>, options: WriteOptions): Promise<R> {
    if (this.#session === undefined) throw fail('EROFS', `write to ${this.engine.description}: opened read-only`);
    if (this.#session.overdue) await this.#renew(this.#session);
    if (this.#lost !== undefined) throw this.#lost;
    const outcome = await this.#database.run((attempt) => counted(this.usage, () => once(attempt), deltasOf), options);
    this.usage.applied(deltasOf(outcome));
    outcome.after?.();
    return outcome.answer;
  }

  onSessionLost(listener: () => void): void {
    if (this.#session !== undefined) this.#session.onLost = listener;
  }

  deleteData(ino: Ino): void {
    this.deletion.start(ino);
  }

  async #dropSustained(ino: Ino): Promise<void> {
    await dropSustained(this.engine, this.usage, this.sid, ino, (gone) => this.deletion.start(gone));
  }

  /** Tools and short-lived callers leave housekeeping to mounts. `tree` is where expired entries are removed. */
  startJobs(tree: TrashExpiry['tree']): void {
    if (this.#session !== undefined) this.#jobs = new HourlyJobs(this.engine, this.log, this.#hourly(tree));
  }

  /** Runs every job that is due; for tests and tools, since the timer takes its time. */
  async runJobs(): Promise<void> {
    await this.#jobs?.runAll();
  }

  /** What is due, at once and to the end: hours of the trash, deleted files, slices that the trash kept. */
  async collect(tree: TrashExpiry['tree'], onProgress: OnProgress): Promise<void> {
    let done = 0;
    const oneMore = (): void => onProgress(++done, undefined);
    const { trashDays } = this.#setting;
    const now = BigInt(Math.floor(Date.now() / 1000));
    const nowMs = Number(now) * 1000;
    await emptyTrash(this.#expiry(tree), expiryLimit(trashDays, nowMs), nowMs, oneMore);
    await this.deletion.deleteFilesNow(oneMore);
    while ((await this.deletion.deleteDelayedSlices(now - BigInt(trashDays) * DAY_SECONDS)) > 0) oneMore();
  }

  /** Sessions of the dead, now and without their data's deletion. */
  endDeadSessions(): Promise<number> {
    return endDeadSessions(this.engine, this.usage, this.sid);
  }

  #expiry(tree: TrashExpiry['tree']): TrashExpiry {
    const { engine, usage, log } = this;
    const settled = (): Promise<void> => this.deletion.settled();
    return { engine, usage, log, tree, settled, stopped: () => this.#heartbeat === undefined };
  }

  /** All hours of the trash that began before a time, whatever the setting keeps, and the data of their files. */
  emptyTrash(tree: TrashExpiry['tree'], beforeMs: number, progress?: OnEmptied): Promise<Emptied> {
    return emptyTrash(this.#expiry(tree), beforeMs, Date.now(), progress);
  }

  #hourly(tree: TrashExpiry['tree']): Job[] {
    const stopped = (): boolean => this.#heartbeat === undefined;
    return [
      { counter: 'lastCleanupFiles', run: (now) => this.deletion.deleteExpiredFiles(now, stopped) },
      {
        counter: 'nextCleanupSlices',
        run: async () => {
          while (!stopped() && (await this.deletion.deleteLostSlices()) > 0);
        },
      },
      {
        counter: 'lastCleanupTrash',
        run: async (now) => {
          const { trashDays } = this.#setting;
          const nowMs = Number(now) * 1000;
          await emptyTrash(this.#expiry(tree), expiryLimit(trashDays, nowMs), nowMs);
          // Slices that a compaction replaced are kept as long as the trash is.
          const before = now - BigInt(trashDays) * DAY_SECONDS;
          while (!stopped() && (await this.deletion.deleteDelayedSlices(before)) > 0);
        },
      },
    ];
  }

  #schedule(): void {
    this.#heartbeat = setTimeout(() => {
      this.#beating = this.#beat().finally(() => {
        if (this.#heartbeat !== undefined) this.#schedule();
      });
    }, this.#session?.heartbeatMs ?? HEARTBEAT_MS).unref();
  }

  /** Renews the session, then looks at what other clients changed. Never rejects. */
  async #beat(): Promise<void> {
    const session = this.#session;
    if (session === undefined) return;
    try {
      await this.#renew(session);
      await this.#reload();
      await this.usage.refresh();
      await dropUnneeded(this.engine, session.sid, this.files, (ino) => this.#dropSustained(ino));
      await this.#endStale(session);
    } catch (thrown) {
      this.log.warn('heartbeat failed', { reason: String(thrown) });
    }
  }

  /** A session that may not go on takes the mount's right to write with it. */
  async #renew(session: Session): Promise<void> {
    try {
      await session.renew();
    } catch (thrown) {
      if (!hasCode(thrown, 'busy', 'conflict')) throw thrown;
      throw this.#lose(thrown);
    }
  }

  #lose(error: FsError): FsError {
    this.#lost = fail('EIO', `file system ${this.#setting.name} can no longer be written to`, { cause: error });
    this.log.error('the file system was changed under this mount: writes fail from now on', { reason: error.message });
    return this.#lost;
  }

  #endStale({ sid, heartbeatMs }: Session): Promise<void> {
    const { engine, usage, log } = this;
    const judge = { engine, usage, log, own: sid, heartbeatMs, suspects: this.#suspects };
    return endStaleSessions(judge, (ino) => this.deletion.start(ino));
  }

  /** A volume that is another one now, or a newer format, must not be written to by this process any more. */
  async #reload(): Promise<void> {
    try {
      const { setting } = await readSetting(this.engine);
      if (setting.uuid !== this.#setting.uuid)
        throw fail('EIO', `file system ${this.#setting.uuid} was replaced by ${setting.uuid}`);
      this.#setting = setting;
      this.#lost = undefined;
    } catch (thrown) {
      const error = FsError.from(thrown);
      if (error.code === 'metadata-unavailable') throw error;
      this.#lose(error);
    }
  }

  /** Deltas, session, deletions. The engine stays open for the caller to close. Waits for nothing that stays away. */
  close(keepSession: boolean): Promise<void> {
    clearTimeout(this.#heartbeat);
    this.#heartbeat = undefined;
    endWithin(this.#outages);
    return unlessAway(this.#end(keepSession), this.#outages, 'close the metadata: its session is left to expire');
  }

  async #end(keepSession: boolean): Promise<void> {
    await this.#beating;
    await this.#jobs?.stop();
    const session = this.#lost === undefined ? this.#session : undefined;
    try {
      if (session !== undefined && !keepSession) await session.end(this.usage, (ino) => this.deletion.start(ino));
    } finally {
      await this.deletion.stop(session === undefined || this.#outages.metadata.away ? 0 : DELETION_TIMEOUT_MS);
    }
    if (session === undefined) return;
    await this.usage.close();
    await this.engine.sync();
  }
}
