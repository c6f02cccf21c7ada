// What the operations of one opened volume share: the engine, who we are, ids, usage, open files. Built by open-meta.ts;
// holds no rules of its own.
import type { Log } from '../../base/log.ts';
import type { Caller, Ino } from '../../base/words.ts';
import type { Engine, Op, RunOptions } from '../sql/op.ts';
import type { Outcome, Reply } from './request.ts';
import type { Setting } from './setting.ts';
import type { Usage } from './usage.ts';

/** Files that this process has open, and unlinked files that are kept for it. */
export interface OpenFiles {
  isOpen(ino: Ino): boolean;
  /** After the commit of an unlink that inserted a sustained row for an open file. */
  sustained(ino: Ino): void;
}

export interface WriteOptions extends RunOptions {
  /** Data that was written hangs on it: it waits for the database as long as that may. */
  readonly ofData?: boolean;
}

export interface MetaContext {
  readonly engine: Engine;
  readonly readOnly: boolean;
  readonly log: Log;
  /** As of the last heartbeat. */
  readonly setting: Setting;
  /** 0 without a session. Changes when a heartbeat finds the session gone. */
  readonly sid: bigint;
  readonly usage: Usage;
  readonly files: OpenFiles;
  /** An inode number never used before. */
  newInode(): Promise<Ino>;
  /**
   * Runs the operation once under caller.request, then its `after`. Waits while the database is away; `caller.signal` ends
   * that as long as nothing can have been changed.
   */
  write<R>(
    caller: Pick<Caller, 'request' | 'signal'>,
    reply: Reply<R>,
    operation: () => Op<Outcome<R>>,
    options?: WriteOptions,
  ): Promise<R>;
  /** Runs what may be done twice, and waits while the database is away. */
  repeat<R>(operation: () => Op<R>): Promise<R>;
  /** Starts deleting the data of a file whose delfile row was committed; in the background. */
  deleteData(ino: Ino): void;
}
