// Who makes the next backup: an attribute of the root directory has the time of the last one, for both clients. Read and
// set in one transaction, so that two of ours never do it at once.
import { bytesAt } from '../meta/rows.ts';
import { ROOT } from '../meta/types.ts';
import { change, type Op, query, read, write } from '../sql/op.ts';

/** The original client's name for it. */
const ATTRIBUTE = 'lastBackup';

const stamp = query(
  'SELECT BYTES(value) FROM jfs_xattr WHERE inode = ? AND name = ? FOR UPDATE',
  [ROOT, ATTRIBUTE],
  (row) => bytesAt(row, 0).toString(),
);

/** RFC 3339 to the second, as it is written there. */
const timeText = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;

/** True for one client per interval; from then on others see that it was done. What is no time counts as never. */
export function* electBackup(nowMs: number, intervalMs: number): Op<boolean> {
  const [[last]] = yield* read(stamp);
  const before = last === undefined ? Number.NaN : Date.parse(last);
  // A time to come was set by a clock that is wrong: by its own length nobody would make one.
  if (before <= nowMs && nowMs - before < intervalMs) return false;
  // Where there was no row nobody could lock it: of two that make one the second begins again, and finds it.
  yield* write(last === undefined ? change(INSERT_STAMP, ...stampRow(nowMs)) : stampAt(nowMs));
  return true;
}

/** While one is being made, and longer than the interval. */
export function* renewStamp(nowMs: number): Op<void> {
  yield* write(stampAt(nowMs));
}

const stampAt = (nowMs: number) =>
  change(`${INSERT_STAMP} ON CONFLICT (inode, name) DO UPDATE SET value = excluded.value`, ...stampRow(nowMs));

const INSERT_STAMP = 'INSERT INTO jfs_xattr (inode, name, value) VALUES (?, ?, ?)';
const stampRow = (nowMs: number) => [ROOT, ATTRIBUTE, Buffer.from(timeText(nowMs))] as const;
