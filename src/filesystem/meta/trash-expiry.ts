// Empties hours of the trash: those that are older than the setting keeps them (spec 5.13), or those that somebody wants
// gone. Entries go through the ordinary operations as root; only the hour itself, which nobody may remove, is taken away
// here.
import { fail, hasCode } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Caller } from '../../base/words.ts';
import { type Engine, type Op, read, write } from '../sql/op.ts';
import type { Meta, Removing } from './meta.ts';
import { anyChild, deleteDirStats, deleteEdge, deleteNode, nodeById } from './statements.ts';
import { type Dirent, type Ino, NodeType, TRASH } from './types.ts';
import { hourUsage, type Usage } from './usage.ts';

/** The original client's: an hour's directory is used for up to an hour, and clocks differ. */
const EXTRA_HOURS = 2;
const HOUR_MS = 3_600_000;
/** Entries per look at a directory. */
const PAGE = 1000;
/** Entries removed at the same time: their transactions share commits. */
const PARALLEL = 32;
const HOUR_NAME = /^(\d{4})-(\d{2})-(\d{2})-(\d{2})$/;

type Tree = Pick<Meta, 'readdir' | 'unlink' | 'rmdir'>;

const housekeeper: Caller = { uid: 0, gid: 0, pid: process.pid, umask: 0 };
/** A directory that was rebuilt in the trash does not look like one of it any more. */
const forGood: Removing = { skipTrash: true };

export interface TrashExpiry {
  readonly engine: Engine;
  readonly tree: Tree;
  readonly usage: Usage;
  readonly log: Log;
  /** Asked between entries. */
  stopped(): boolean;
  /** Waits for the data of what was removed: what waits to be deleted must not grow with the trash. */
  settled?(): Promise<void>;
}

export interface Emptied {
  /** Entries and directories below them. */
  removed: number;
  /** What could not be removed; each is in the log. */
  kept: number;
}

export type OnEmptied = (soFar: Readonly<Emptied>) => void;

/** Milliseconds of a directory's hour; undefined for names that no client makes. */
export function hourOf(name: Buffer): number | undefined {
  const match = HOUR_NAME.exec(name.toString('latin1'));
  if (match === null) return undefined;
  const [year = 0, month = 0, day = 0, hour = 0] = match.slice(1).map(Number);
  return Date.UTC(year, month - 1, day, hour);
}

/** What the setting has kept long enough at that time: hours before the answer. */
export const expiryLimit = (trashDays: number, nowMs: number): number =>
  nowMs - (24 * trashDays + EXTRA_HOURS) * HOUR_MS;

/**
 * Everything of hours before `limitMs`. Never fails for one entry: what cannot be removed is logged and stays for the
 * next time. An hour that clients may still put entries into stays, empty.
 */
export async function emptyTrash(
  expiry: TrashExpiry,
  limitMs: number,
  nowMs: number,
  progress: OnEmptied = () => undefined,
): Promise<Emptied> {
  const work = new Emptying(expiry, progress);
  let after: Buffer | undefined;
  do {
    const hours = await expiry.tree.readdir(TRASH, after, PAGE, false);
    for (const hour of hours) {
      const time = hourOf(hour.name);
      if (time === undefined || time >= limitMs || hour.type !== NodeType.directory) continue;
      if (expiry.stopped()) return work.emptied;
      const clean = await work.directory(hour.ino);
      if (clean && time < expiryLimit(0, nowMs)) await removeHour(expiry, hour);
    }
    after = hours.at(-1)?.name;
  } while (after !== undefined);
  return work.emptied;
}

class Emptying {
  readonly emptied: Emptied = { removed: 0, kept: 0 };
  readonly #expiry: TrashExpiry;
  readonly #progress: OnEmptied;

  constructor(expiry: TrashExpiry, progress: OnEmptied) {
    this.#expiry = expiry;
    this.#progress = progress;
  }

  /** Answers whether nothing is left. `above`: directories on the way here, so that a damaged tree's loop ends. */
  async directory(directory: Ino, above: ReadonlySet<Ino> = new Set()): Promise<boolean> {
    const path = new Set([...above, directory]);
    let after: Buffer | undefined;
    let clean = true;
    for (;;) {
      const entries = await this.#expiry.tree.readdir(directory, after, PAGE, false);
      for (let at = 0; at < entries.length; at += PARALLEL) {
        if (this.#expiry.stopped()) return false;
        const some = entries.slice(at, at + PARALLEL);
        const gone = await Promise.all(some.map((entry) => this.#entry(directory, entry, path)));
        clean = clean && gone.every(Boolean);
        this.#progress(this.emptied);
      }
      await this.#expiry.settled?.();
      after = entries.at(-1)?.name;
      if (after === undefined) return clean;
    }
  }

  async #entry(directory: Ino, { name, ino, type }: Dirent, path: ReadonlySet<Ino>): Promise<boolean> {
    const { tree, log } = this.#expiry;
    try {
      if (path.has(ino)) throw fail('metadata-damaged', `directory ${ino} contains itself`);
      if (type !== NodeType.directory) await tree.unlink(housekeeper, directory, name, forGood);
      else if (await this.directory(ino, path)) await tree.rmdir(housekeeper, directory, name, forGood);
      else return false;
      this.emptied.removed += 1;
      return true;
    } catch (thrown) {
      // Restored, or removed by somebody else.
      if (hasCode(thrown, 'ENOENT')) return true;
      log.warn('an entry stays in the trash', { directory, ino, reason: String(thrown) });
      this.emptied.kept += 1;
      return false;
    }
  }
}

async function removeHour(expiry: TrashExpiry, { ino, name }: Dirent): Promise<void> {
  const gone = hourUsage(-1n);
  const removed = await expiry.engine.run(function* (): Op<boolean> {
    const [, children] = yield* read(nodeById(ino, true), anyChild(ino));
    if (children.length > 0) return false;
    const counts = expiry.usage.changes([gone]);
    yield* write(deleteEdge(TRASH, name, ino), ...deleteNode(ino), deleteDirStats(ino), ...counts);
    return true;
  });
  if (removed) expiry.usage.applied([gone]);
}
