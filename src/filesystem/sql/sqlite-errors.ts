// What SQLite says, in our codes. Knows result codes only, no statements.
import { type ErrorCode, type FsError, fail } from '../../base/errors.ts';

/** Primary result codes of SQLite (sqlite.org/rescode.html); the low byte of an extended code. */
const primary = {
  error: 1,
  perm: 3,
  busy: 5,
  locked: 6,
  readonly: 8,
  ioerr: 10,
  corrupt: 11,
  full: 13,
  cantopen: 14,
  constraint: 19,
  auth: 23,
  notadb: 26,
} as const;

const codes: Readonly<Record<number, ErrorCode>> = {
  [primary.perm]: 'metadata-unavailable',
  [primary.readonly]: 'metadata-unavailable',
  [primary.ioerr]: 'metadata-unavailable',
  [primary.corrupt]: 'metadata-damaged',
  [primary.full]: 'ENOSPC',
  [primary.cantopen]: 'metadata-unavailable',
  [primary.constraint]: 'metadata-damaged',
  [primary.auth]: 'metadata-unavailable',
  [primary.notadb]: 'metadata-unavailable',
};

/** SQLITE_IOERR_WRITE and its like when the disk is full come as their own code only from some file systems. */
function primaryCode(thrown: unknown): number | undefined {
  const errcode = (thrown as { errcode?: unknown } | null)?.errcode;
  return typeof errcode === 'number' ? errcode & 0xff : undefined;
}

/** Somebody else holds a lock: to be tried again. */
export function isBusy(thrown: unknown): boolean {
  const code = primaryCode(thrown);
  return code === primary.busy || code === primary.locked;
}

/** The place cannot be written to, which a read-only opening may get around. */
export function isCannotOpen(thrown: unknown): boolean {
  const code = primaryCode(thrown);
  return code === primary.cantopen || code === primary.readonly;
}

/** Without the record's table there is no volume; without another table or column of it there is half of one. */
function codeOfSchemaError(text: string): ErrorCode | undefined {
  if (/no such table: \S*jfs_(?:\w+_)?setting$/.test(text)) return 'not-formatted';
  return /no such (table|column): /.test(text) ? 'metadata-damaged' : undefined;
}

/** Errors of SQLite become FsErrors; all others pass. */
export function fromSqlite(thrown: unknown, attempted: string): unknown {
  const code = primaryCode(thrown);
  if (code === undefined) return thrown;
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  const ofSchema = code === primary.error ? codeOfSchemaError(text) : undefined;
  return fail(ofSchema ?? codes[code] ?? 'internal', `${attempted}: ${text}`, { cause: thrown });
}

export const busyTooLong = (attempted: string, seconds: number, cause: unknown): FsError =>
  fail('metadata-unavailable', `${attempted}: locked by another process for more than ${seconds} s`, { cause });
