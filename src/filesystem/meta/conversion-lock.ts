// Rows of pageseal_lock while a file system's encryption is being changed, and who reads them: sessions, CSI's calls, and
// whoever opens the record. Each reads them in the transaction that it depends on, behind a row that the one who puts them
// there locks, too; so either he sees what they did, or they see him.
import { type FsError, fail } from '../../base/errors.ts';
import { type Change, change, type Query, query } from '../sql/op.ts';
import { bigintAt, bytesAt, textAt } from './rows.ts';

/** The lock itself; its record is a copy of the whole setting record as it was. */
export const CONVERSION = 'conversion';
/** How far it is; their record says more where there is more to say. */
export const steps = {
  /** Nobody was there after the wait. */
  confirmed: 'conversion-confirmed',
  /** The UUID by which it was asked for. Rows and objects go from here on. */
  wiping: 'conversion-wiping',
  /** The number of objects that went. */
  wiped: 'conversion-wiped',
  /** The UUID that the file system is to have. */
  next: 'conversion-next',
} as const;

export type StepRow = keyof typeof steps;

export interface LockRow {
  readonly name: string;
  readonly record: Buffer;
  /** Nanoseconds since the epoch. */
  readonly since: bigint;
}

const names = [CONVERSION, ...Object.values(steps)];

/** None: nothing is under way. */
export const conversionRows: Query<LockRow> = query(
  `SELECT name, BYTES(record), since FROM pageseal_lock WHERE name IN (${names.map((name) => `'${name}'`).join(', ')})`,
  [],
  (row) => ({ name: textAt(row, 0), record: bytesAt(row, 1), since: bigintAt(row, 2) }),
);

export const insertLockRow = (name: string, record: Buffer, since: bigint): Change =>
  change('INSERT INTO pageseal_lock (name, record, since) VALUES (?, ?, ?)', name, record, since);

export const deleteLockRow = (name: string): Change => change('DELETE FROM pageseal_lock WHERE name = ?', name);

export const deleteConversion = (): Change[] => names.map(deleteLockRow);

const dateOf = (since: bigint): string => new Date(Number(since / 1_000_000n)).toISOString().slice(0, 19);

/** `what` was attempted: "open file system demo". */
export const conversionUnderWay = (what: string, { since }: LockRow): FsError =>
  fail('busy', `${what}: a conversion is under way, its encryption is being turned on since ${dateOf(since)}Z`, {
    hint: 'wait until it is done; whoever began it can give it up: the operator by the FileSystem, a user by pageseal encrypt --abandon',
  });

/** Throws when the lock is there. */
export function refuseConversion(what: string, rows: readonly LockRow[]): void {
  const lock = rows.find(({ name }) => name === CONVERSION);
  if (lock !== undefined) throw conversionUnderWay(what, lock);
}
