// Rows of the acl table. Rules are shared and immutable: found or added, never changed or deleted (spec 5.8).
import { type Change, change, type Op, type Query, query, read, type SqlValue, write } from '../sql/op.ts';
import { type AclRule, decodeEntries, encodeEntries } from './acl.ts';
import { bytesAt, numberAt } from './rows.ts';

const numbers = (rule: AclRule): SqlValue[] => [rule.owner, rule.group, rule.mask, rule.other].map(BigInt);
const NOBODY = Buffer.alloc(0);

/** `group` is a word of SQL; double quotes name a column in both databases. */
const COLUMNS = 'owner, "group", mask, other, named_users, named_groups';

export const ruleById = (id: number): Query<AclRule> =>
  query(
    'SELECT owner, "group", mask, other, BYTES(named_users), BYTES(named_groups) FROM jfs_acl WHERE id = ?',
    [BigInt(id)],
    (row) => ({
      owner: numberAt(row, 0),
      group: numberAt(row, 1),
      mask: numberAt(row, 2),
      other: numberAt(row, 3),
      users: decodeEntries(bytesAt(row, 4)),
      groups: decodeEntries(bytesAt(row, 5)),
    }),
  );

/** The id of an identical rule. An empty list may be stored as NULL by others. */
export const sameRule = (rule: AclRule): Query<number> =>
  query(
    'SELECT id FROM jfs_acl WHERE owner = ? AND "group" = ? AND mask = ? AND other = ?' +
      ' AND COALESCE(named_users, ?) = ? AND COALESCE(named_groups, ?) = ? ORDER BY id LIMIT 1',
    [...numbers(rule), NOBODY, encodeEntries(rule.users), NOBODY, encodeEntries(rule.groups)],
    (row) => numberAt(row, 0),
  );

const insertRule = (rule: AclRule): Change =>
  change(
    `INSERT INTO jfs_acl (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)`,
    ...numbers(rule),
    encodeEntries(rule.users),
    encodeEntries(rule.groups),
  );

/** Adds the rule unless there is one like it, in a transaction of its own: its id is the database's choice. */
export const addRuleOp = (rule: AclRule): (() => Op<void>) =>
  function* () {
    const [found] = yield* read(sameRule(rule));
    if (found.length === 0) yield* write(insertRule(rule));
  };
