// Opens the metadata of one volume: the Meta interface over its operations. Holds no rules; each method is one line.
import { fail } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Outages } from '../../base/outage.ts';
import type { OnProgress } from '../../base/progress.ts';
import type { Caller } from '../../base/words.ts';
import { type Engine, read } from '../sql/op.ts';
import { chunkIndexes, commitAppended, commitSlices } from './chunk.ts';
import { readChunk } from './chunk-view.ts';
import { type CloneArgs, type Cloned, clone } from './clone.ts';
import { abandonOp, type CompactionMeta, type Replacement, replaceRecords } from './compaction.ts';
import { copyRange } from './copy-range.ts';
import type { RemoveSlice } from './delete-data.ts';
import { detachedBefore, removeDetached } from './detached.ts';
import { fallocate } from './fallocate.ts';
import type { LockRange } from './lock-ranges.ts';
import {
  conflictingLock,
  type HeldLocks,
  hasOtherSessions,
  type LockAnswer,
  type LockFamily,
  type LockRequest,
  locksOfSession,
  locksOn,
  setLock,
} from './locks.ts';
import type { Appended, ChunkGrowth, ChunkView, CommitWatcher, Copied, Meta, Place, SliceCommit } from './meta.ts';
import { Namespace } from './namespace.ts';
import { readSetting } from './read-setting.ts';
import { completeTables, hasOurTables } from './schema.ts';
import type { SessionOptions } from './session.ts';
import type { Setting } from './setting.ts';
import type { DeletedSlice } from './slices.ts';
import type { Emptied, OnEmptied } from './trash-expiry.ts';
import { truncate } from './truncate.ts';
import type { Attr, Ino, SliceId, VolumeUsage } from './types.ts';
import { VolumeState } from './volume-state.ts';

export interface OpenMetaOptions {
  /** Opened read-only when `readOnly`. Closed by Meta.close, and here when opening fails. */
  readonly engine: Engine;
  readonly readOnly?: boolean;
  readonly log: Log;
  readonly session?: SessionOptions;
  readonly removeSlice: RemoveSlice;
  /** Of a mount; absent: nobody waits while the database is away. */
  readonly outages?: Outages | undefined;
  /** False for tools that do one thing and end. Default true. */
  readonly backgroundJobs?: boolean;
}

export interface OpenedMeta extends Meta, CompactionMeta {
  readonly setting: Setting;
  /** Unlinked files that a successor keeps although it has no handle of them: see `forgotten`. */
  readonly keptForOthers: readonly Ino[];
  /** A copy of a file or a tree that shares its data; it is there as a whole or not at all. */
  clone(args: CloneArgs): Promise<Cloned>;
  /** Roots of trees that no client has finished, and not worked on since `before` (seconds since the epoch). */
  detached(before: bigint): Promise<Ino[]>;
  /** Removes one of them with its data. False when it is gone or in use again. */
  removeDetached(ino: Ino, before: bigint): Promise<boolean>;
  /** Every clean-up that is due; mounts do it by themselves every hour. */
  runJobs(): Promise<void>;
  /** The same at once, whoever did it when, and to the end. */
  collect(onProgress: OnProgress): Promise<void>;
  /** Ends what clients left that are gone; their deleted files wait for `collect`. Answers how many sessions. */
  endDeadSessions(): Promise<number>;
  /** Slices without a reference that the caller found: objects first, rows after. */
  deleteSlices(slices: readonly DeletedSlice[]): Promise<void>;
  /** Removes what was deleted before that time (by the hour) for good, and waits until its data is gone. */
  emptyTrash(beforeMs: number, progress?: OnEmptied): Promise<Emptied>;
}

export async function openMeta(options: OpenMetaOptions): Promise<OpenedMeta> {
  const { engine, log, removeSlice } = options;
  const readOnly = options.readOnly === true;
  try {
    const { setting } = await readSetting(engine);
    if (!readOnly) {
      refuseUnsupported(setting);
      await completeTables(engine);
    }
    const ledger = !readOnly || (await hasOurTables(engine));
    const state = await VolumeState.open({
      engine,
      setting,
      log,
      removeSlice,
      outages: options.outages,
      ...(readOnly ? {} : { session: options.session ?? { mountPoint: '' } }),
    });
    const meta = new VolumeMeta(state, ledger);
    if (options.backgroundJobs !== false) state.startJobs(meta);
    return meta;
  } catch (thrown) {
    await engine.close();
    throw thrown;
  }
}

/** What other clients of the volume rely on every writer to keep up, and we do not. */
function refuseUnsupported(setting: Setting): void {
  const refuse = (what: string): Error =>
    fail(
      'unsupported',
      `open file system ${setting.name} for writing: it has ${what}, which only reading is offered for`,
      {
        hint: 'mount it read-only',
      },
    );
  if (setting.changeLog) throw refuse('a change log');
  if (setting.shards > 1) throw refuse('a sharded bucket');
}

class VolumeMeta extends Namespace implements OpenedMeta {
  readonly #state: VolumeState;
  /** Whether our tables exist; they do not in a volume of the original client that is only read. */
  readonly #ledger: boolean;
  #closing: Promise<void> | undefined;

  constructor(state: VolumeState, ledger: boolean) {
    super(state);
    this.#state = state;
    this.#ledger = ledger;
  }

  get readOnly(): boolean {
    return this.#state.readOnly;
  }

  get setting(): Setting {
    return this.#state.setting;
  }

  get keptForOthers(): readonly Ino[] {
    return this.#state.files.keptForOthers;
  }

  get sessionId(): bigint | undefined {
    return this.#state.readOnly ? undefined : this.#state.sid;
  }

  clone(args: CloneArgs): Promise<Cloned> {
    return clone(this.#state, args);
  }

  async detached(before: bigint): Promise<Ino[]> {
    const [found] = await this.#state.engine.view(() => read(detachedBefore(before)));
    return found;
  }

  removeDetached(ino: Ino, before: bigint): Promise<boolean> {
    return removeDetached(this.#state, ino, before);
  }

  runJobs(): Promise<void> {
    return this.#state.runJobs();
  }

  collect(onProgress: OnProgress): Promise<void> {
    return this.#state.collect(this, onProgress);
  }

  endDeadSessions(): Promise<number> {
    return this.#state.endDeadSessions();
  }

  deleteSlices(slices: readonly DeletedSlice[]): Promise<void> {
    return this.#state.deletion.deleteSlices(slices);
  }

  emptyTrash(beforeMs: number, progress?: OnEmptied): Promise<Emptied> {
    return this.#state.emptyTrash(this, beforeMs, progress);
  }

  truncate(caller: Caller, ino: Ino, length: bigint): Promise<Attr> {
    return truncate(this.#state, caller, ino, length);
  }

  fallocate(caller: Caller, ino: Ino, mode: number, offset: bigint, size: bigint): Promise<Attr> {
    return fallocate(this.#state, caller, ino, mode, offset, size);
  }

  copyRange(
    caller: Caller,
    source: Place,
    target: Place,
    size: bigint,
    grown?: (chunk: ChunkGrowth) => void,
  ): Promise<Copied> {
    return copyRange(this.#state, caller, source, target, size, grown);
  }

  readChunk(ino: Ino, indx: number): Promise<ChunkView> {
    const { engine } = this.#state;
    return engine.view(() => readChunk(ino, indx, this.#ledger, engine.dialect));
  }

  chunkIndexes(ino: Ino, from: number, limit: number): Promise<number[]> {
    return this.#state.engine.view(() => chunkIndexes(ino, from, limit));
  }

  commitSlices(_caller: Caller, ino: Ino, commits: readonly SliceCommit[], watcher?: CommitWatcher): Promise<Attr> {
    return commitSlices(this.#state, ino, commits, watcher);
  }

  commitAppended(ino: Ino, commits: readonly SliceCommit[], watcher?: CommitWatcher): Promise<Appended> {
    return commitAppended(this.#state, ino, commits, watcher);
  }

  newSliceId(): Promise<SliceId> {
    return this.#state.newSliceId();
  }

  replaceRecords(replacement: Replacement): Promise<readonly DeletedSlice[] | undefined> {
    return replaceRecords(this.#state, replacement);
  }

  removeReplaced(slices: readonly DeletedSlice[]): Promise<void> {
    return this.#state.deletion.deleteUnreferenced(slices);
  }

  async abandonSlice(slice: DeletedSlice): Promise<void> {
    const { engine, deletion } = this.#state;
    if (await engine.run(() => abandonOp(slice))) await deletion.deleteUnreferenced([slice]);
  }

  sync(): Promise<void> {
    return this.#state.engine.sync();
  }

  opened(ino: Ino): void {
    this.#state.files.opened(ino);
  }

  closed(ino: Ino): Promise<void> {
    return this.#state.files.closed(ino);
  }

  forgotten(ino: Ino): void {
    this.#state.files.forgotten(ino);
  }

  setLock(request: LockRequest): Promise<LockAnswer> {
    return setLock(this.#state, request);
  }

  conflictingLock(request: LockRequest): Promise<LockRange | undefined> {
    return this.#state.engine.view(() => conflictingLock(this.#state.sid, request));
  }

  locksOn(family: LockFamily, ino: Ino): Promise<readonly HeldLocks[]> {
    return this.#state.engine.view(() => locksOn(family, ino));
  }

  inheritedLocks(): Promise<readonly Pick<LockRequest, 'family' | 'ino' | 'owner'>[]> {
    return this.#state.engine.view(() => locksOfSession(this.#state.sid));
  }

  hasOtherSessions(): Promise<boolean> {
    return this.#state.engine.view(() => hasOtherSessions(this.#state.sid));
  }

  onSessionLost(listener: () => void): void {
    this.#state.onSessionLost(listener);
  }

  statfs(ino: Ino, root?: Ino): Promise<VolumeUsage> {
    return this.#state.usage.statfs(ino, root);
  }

  close(options: { readonly keepSession?: boolean } = {}): Promise<void> {
    this.#closing ??= this.#state.close(options.keepSession === true).finally(() => this.#state.engine.close());
    return this.#closing;
  }
}
