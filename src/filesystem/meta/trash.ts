// The trash: one directory per hour below TRASH, and the names of entries in it. Moving an entry there belongs to
// removal.ts, emptying old hours to a job.
import { type Op, read, write } from '../sql/op.ts';
import { MAX_NAME } from './names.ts';
import { newDirectory } from './new-directory.ts';
import { addToLocked, counterValue, edgeByName, insertDirStats, insertEdge, insertNode } from './statements.ts';
import { type Attr, type Ino, NodeType, TRASH } from './types.ts';

const NS_PER_MS = 1_000_000n;
/** Readable by all, writable by nobody: only jobs and root change it. */
const TRASH_MODE = 0o555;
/** `YYYY-MM-DDTHH` of an ISO time. */
const HOUR_LENGTH = 13;

/** Name of the hour's directory: UTC `YYYY-MM-DD-HH`. */
export const hourName = (now: bigint): string =>
  new Date(Number(now / NS_PER_MS)).toISOString().slice(0, HOUR_LENGTH).replace('T', '-');

/** `{parent}-{inode}-{name}`, cut to what a name may have; restoring parses it. */
export const trashName = (parent: Ino, ino: Ino, name: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${parent}-${ino}-`), name]).subarray(0, MAX_NAME);

export interface TrashedName {
  readonly parent: Ino;
  readonly ino: Ino;
  readonly name: Buffer;
}

const TRASHED = /^([0-9]{1,19})-([0-9]{1,19})-(.+)$/s;

/** What `trashName` put together; undefined for a name that no client makes. */
export function parseTrashName(entry: Buffer): TrashedName | undefined {
  const [, parent, ino, rest] = TRASHED.exec(entry.toString('latin1')) ?? [];
  if (parent === undefined || ino === undefined || rest === undefined) return undefined;
  return { parent: BigInt(parent), ino: BigInt(ino), name: Buffer.from(rest, 'latin1') };
}

/** Attributes of ROOT and TRASH when their rows are missing. */
export const defaultRoot = (now: bigint): Attr => newDirectory(1n, 0o777, 1n, now);
export const defaultTrash = (now: bigint): Attr => newDirectory(TRASH, TRASH_MODE, 1n, now);

export interface TrashHour {
  readonly ino: Ino;
  /** Made now: one directory more in the volume's totals. */
  readonly created: boolean;
}

/** The directory of that hour; made when it is the hour's first. TRASH's own nlink and times never change. */
export const trashHourOp = (hour: string, now: bigint): (() => Op<TrashHour>) =>
  function* () {
    const name = Buffer.from(hour);
    // The lock first: whoever waited for it finds the directory that the other made.
    const [[last], [edge]] = yield* read(counterValue('nextTrash', true), edgeByName(TRASH, name));
    if (edge !== undefined) return { ino: edge.ino, created: false };
    const ino = TRASH + (last ?? 0n) + 1n;
    yield* write(
      addToLocked('nextTrash', last, 1n),
      insertNode(newDirectory(ino, TRASH_MODE, TRASH, now)),
      insertEdge(TRASH, name, ino, NodeType.directory),
      insertDirStats(ino),
    );
    return { ino, created: true };
  };
