// Empties the hours of the trash that are older than the setting keeps them (spec 5.13). Entries go through the ordinary
// operations as root; only the hour itself, which nobody may remove, is taken away here.
import { fail, hasCode } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Caller } from '../../base/words.ts';
import { type Engine, type Op, read, write } from '../sql/op.ts';
import type { Meta } from './meta.ts';
import { anyChild, deleteDirStats, deleteEdge, deleteNode, nodeById } from './statements.ts';
import { type Dirent, type Ino, NodeType, TRASH } from './types.ts';
import type { Usage } from './usage.ts';
import type { UsageDelta } from './usage-rows.ts';

/** The original client's: an hour's directory is used for up to an hour, and clocks differ. */
const EXTRA_HOURS = 2;
const HOUR_MS = 3_600_000;
/** Entries per look at a directory. */
const PAGE = 1000;
const HOUR_NAME = /^(\d{4})-(\d{2})-(\d{2})-(\d{2})$/;
const HOUR_REMOVED: UsageDelta = { volume: true, length: 0, space: -4096, inodes: -1 };

type Tree = Pick<Meta, 'readdir' | 'unlink' | 'rmdir'>;

const housekeeper: Caller = { uid: 0, gid: 0, pid: process.pid, umask: 0 };

export interface TrashExpiry {
  readonly engine: Engine;
  readonly tree: Tree;
  readonly usage: Usage;
  readonly log: Log;
  /** Asked between entries. */
  stopped(): boolean;
}

/** Milliseconds of a directory's hour; undefined for names that no client makes. */
export function hourOf(name: Buffer): number | undefined {
  const match = HOUR_NAME.exec(name.toString('latin1'));
  if (match === null) return undefined;
  const [year = 0, month = 0, day = 0, hour = 0] = match.slice(1).map(Number);
  return Date.UTC(year, month - 1, day, hour);
}

/** Never fails for one entry: what cannot be removed is logged and stays for the next time. */
export async function expireTrash(expiry: TrashExpiry, trashDays: number, nowMs: number): Promise<void> {
  const limit = nowMs - (24 * trashDays + EXTRA_HOURS) * HOUR_MS;
  const hours = await expiry.tree.readdir(TRASH, undefined, PAGE, false);
  for (const hour of hours) {
    const time = hourOf(hour.name);
    // In byte order of names, so in order of time.
    if (time === undefined || time >= limit || hour.type !== NodeType.directory) continue;
    if (expiry.stopped()) return;
    if (await empty(expiry, hour.ino, new Set())) await removeHour(expiry, hour);
  }
}

/** Answers whether nothing is left. `above`: directories on the way here, so that a damaged tree's loop ends. */
async function empty(expiry: TrashExpiry, directory: Ino, above: ReadonlySet<Ino>): Promise<boolean> {
  const path = new Set([...above, directory]);
  let after: Buffer | undefined;
  let clean = true;
  for (;;) {
    const entries = await expiry.tree.readdir(directory, after, PAGE, false);
    for (const entry of entries) {
      if (expiry.stopped()) return false;
      clean = (await remove(expiry, directory, entry, path)) && clean;
    }
    after = entries.at(-1)?.name;
    if (after === undefined) return clean;
  }
}

async function remove(expiry: TrashExpiry, directory: Ino, entry: Dirent, path: ReadonlySet<Ino>): Promise<boolean> {
  const { name, ino, type } = entry;
  try {
    if (path.has(ino)) throw fail('metadata-damaged', `directory ${ino} contains itself`);
    if (type !== NodeType.directory) await expiry.tree.unlink(housekeeper, directory, name);
    else if (await empty(expiry, ino, path)) await expiry.tree.rmdir(housekeeper, directory, name);
    else return false;
    return true;
  } catch (thrown) {
    // Restored, or removed by somebody else.
    if (hasCode(thrown, 'ENOENT')) return true;
    expiry.log.warn('an expired entry stays in the trash', { directory, ino, reason: String(thrown) });
    return false;
  }
}

async function removeHour(expiry: TrashExpiry, { ino, name }: Dirent): Promise<void> {
  const removed = await expiry.engine.run(function* (): Op<boolean> {
    const [, children] = yield* read(nodeById(ino, true), anyChild(ino));
    if (children.length > 0) return false;
    const counts = expiry.usage.changes([HOUR_REMOVED]);
    yield* write(deleteEdge(TRASH, name, ino), ...deleteNode(ino), deleteDirStats(ino), ...counts);
    return true;
  });
  if (removed) expiry.usage.applied([HOUR_REMOVED]);
}
