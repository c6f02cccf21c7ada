// The row of jfs_setting that makes a database a file system: the record's text.
import { type Change, change, type Op, query, read } from '../sql/op.ts';
import { textAt } from './rows.ts';

const RECORD = "SELECT value FROM jfs_setting WHERE name = 'format'";
export const recordText = query(RECORD, [], (row) => textAt(row, 0));
/** For who has more to lock with it. */
export const lockedRecordText = query(`${RECORD} FOR UPDATE`, [], (row) => textAt(row, 0));

export function* settingText(): Op<string | undefined> {
  const [[text]] = yield* read(recordText);
  return text;
}

/** For who rewrites it, or what belongs to it: of two the second waits here, and then sees what the first has written. */
export function* lockedSettingText(): Op<string | undefined> {
  const [[text]] = yield* read(lockedRecordText);
  return text;
}

export const putSettingText = (text: string): Change =>
  change("UPDATE jfs_setting SET value = ? WHERE name = 'format'", text);

/** Of two that make a file system in one database the second fails, begins again and finds the first one's. */
export const insertSettingText = (text: string): Change =>
  change("INSERT INTO jfs_setting (name, value) VALUES ('format', ?)", text);
