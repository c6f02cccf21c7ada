// What stands before the tree of a dump: record, counters, and the lists of what is not in the tree. Reading only.
import { fail } from '../../base/errors.ts';
import { REMOVED } from '../keys/at-rest.ts';
import { settingText } from '../meta/record-row.ts';
import { bigintAt, textAt } from '../meta/rows.ts';
import { parseRecord, type SettingRecord } from '../meta/setting.ts';
import { sumOf } from '../meta/space.ts';
import { type Op, query, type Row, read } from '../sql/op.ts';
import { type Indentable, indented } from './text.ts';

/** As the original client: the sealed key of the volume stays, credentials of the store go. */
const credentials: ReadonlySet<string> = new Set(['secretkey', 'sessiontoken']);
/** A quota without a limit on a user or group is only a count. */
const UNLIMITED = -1n;

type Pair = readonly [name: string, value: bigint];

const counters = query('SELECT name, value FROM jfs_counter', [], (row): Pair => [textAt(row, 0), bigintAt(row, 1)]);
const sustained = query('SELECT sid, inode FROM jfs_sustained ORDER BY sid, inode', [], (row) => ({
  sid: bigintAt(row, 0),
  ino: bigintAt(row, 1),
}));
const deleted = query('SELECT inode, length, expire FROM jfs_delfile ORDER BY inode', [], (row) => ({
  inode: bigintAt(row, 0),
  length: bigintAt(row, 1),
  expire: bigintAt(row, 2),
}));
const limits = (row: Row) => ({
  id: bigintAt(row, 0),
  maxSpace: bigintAt(row, 1),
  maxInodes: bigintAt(row, 2),
});
const directoryQuotas = query('SELECT inode, max_space, max_inodes FROM jfs_dir_quota', [], limits);
const ownerQuotas = (kind: bigint) =>
  query('SELECT qkey, max_space, max_inodes FROM jfs_user_group_quota WHERE qtype = ?', [kind], limits);
const pendingUsage = query(
  `SELECT ${sumOf('total_space')}, ${sumOf('total_inodes')} FROM pageseal_usage`,
  [],
  (row) => ({ space: bigintAt(row, 0), inodes: bigintAt(row, 1) }),
);

export interface Header {
  /** Top-level keys in their order, each with its text. */
  readonly parts: readonly (readonly [key: string, text: string])[];
  readonly record: SettingRecord;
  /** For progress. */
  readonly inodes: bigint;
}

export function* readHeader(ourTables: boolean, keepSecretKey: boolean): Op<Header> {
  const text = yield* settingText();
  if (text === undefined) throw fail('not-formatted', 'dump metadata: the database holds no file system');
  const record = parseRecord(text);
  const [counted, kept, gone, directories, users, groups] = yield* read(
    counters,
    sustained,
    deleted,
    directoryQuotas,
    ownerQuotas(1n),
    ownerQuotas(2n),
  );
  const [pending] = ourTables ? (yield* read(pendingUsage))[0] : [];
  const value = (name: string): bigint => counted.find(([found]) => found === name)?.[1] ?? 0n;
  const shown = {
    usedSpace: value('usedSpace') + (pending?.space ?? 0n),
    usedInodes: value('totalInodes') + (pending?.inodes ?? 0n),
    nextInodes: value('nextInode'),
    nextChunk: value('nextChunk'),
    nextSession: value('nextSession'),
    nextTrash: value('nextTrash'),
  };
  const limited = (rows: readonly Limits[]) =>
    rows.filter(({ maxSpace, maxInodes }) => maxSpace !== UNLIMITED || maxInodes !== UNLIMITED);
  const json: [string, Indentable][] = [
    ['Setting', withoutCredentials(record, keepSecretKey)],
    ['Counters', shown],
    ['Sustained', bySession(kept)],
    ['DelFiles', gone.map((row) => ({ ...row }))],
    ...quotaPart('Quotas', directories),
    ...quotaPart('UserQuotas', limited(users)),
    ...quotaPart('GroupQuotas', limited(groups)),
  ];
  return { parts: json.map(([key, part]) => [key, indented(part, '  ')]), record, inodes: shown.usedInodes };
}

type Limits = ReturnType<typeof limits>;

/** Left out when there is none; by their ids as texts, as Go orders them. */
function quotaPart(key: string, rows: readonly Limits[]): [string, Indentable][] {
  if (rows.length === 0) return [];
  const named = rows.map(({ id, maxSpace, maxInodes }) => [id.toString(), { maxSpace, maxInodes }] as const);
  named.sort(([a], [b]) => (a < b ? -1 : 1));
  return [[key, new Map(named)]];
}

function bySession(rows: readonly { readonly sid: bigint; readonly ino: bigint }[]): Indentable {
  const sessions = new Map<bigint, bigint[]>();
  for (const { sid, ino } of rows) sessions.set(sid, [...(sessions.get(sid) ?? []), ino]);
  return [...sessions].map(([sid, inodes]) => ({ sid, inodes }));
}

function withoutCredentials(record: SettingRecord, keep: boolean): Indentable {
  if (keep) return record;
  return new Map(
    [...record].map(([name, value]) => [name, credentials.has(name.toLowerCase()) && value !== '' ? REMOVED : value]),
  );
}
