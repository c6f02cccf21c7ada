// Rows of the acl table. Rules are shared and immutable: found or added, never changed or deleted (spec 5.8).
import {
  type Change,
  change,
  type Flight,
  type Op,
  type Query,
  query,
  type Row,
  read,
  type SqlValue,
  write,
} from '../sql/op.ts';
import { type AclRule, decodeEntries, encodeEntries } from './acl.ts';
import { Missing, type NamespaceEnv } from './outcome.ts';
import { bytesAt, numberAt } from './rows.ts';
import type { Ino } from './types.ts';

const numbers = (rule: AclRule): SqlValue[] => [rule.owner, rule.group, rule.mask, rule.other].map(BigInt);
const NOBODY = Buffer.alloc(0);

/** `group` is a word of SQL; double quotes name a column in both databases. */
const COLUMNS = 'owner, "group", mask, other, named_users, named_groups';

const RULE = 'SELECT a.owner, a."group", a.mask, a.other, BYTES(a.named_users), BYTES(a.named_groups) FROM jfs_acl a';

const decodeRule = (row: Row): AclRule => ({
  owner: numberAt(row, 0),
  group: numberAt(row, 1),
  mask: numberAt(row, 2),
  other: numberAt(row, 3),
  users: decodeEntries(bytesAt(row, 4)),
  groups: decodeEntries(bytesAt(row, 5)),
});

export const ruleById = (id: number): Query<AclRule> => query(`${RULE} WHERE a.id = ?`, [BigInt(id)], decodeRule);

const ruleOf = (ino: Ino, column: 'access_acl_id' | 'default_acl_id'): Query<AclRule> =>
  query(`${RULE} WHERE a.id = (SELECT n.${column} FROM jfs_node n WHERE n.inode = ?)`, [ino], decodeRule);

/** Nodes without a rule have the number 0, which no row has. */
export const accessRuleOf = (ino: Ino): Query<AclRule> => ruleOf(ino, 'access_acl_id');
export const defaultRuleOf = (ino: Ino): Query<AclRule> => ruleOf(ino, 'default_acl_id');

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

/** A row that will be there as long as the volume. */
export interface KnownRule {
  readonly id: number;
  readonly key: string;
}

/** The row of such a rule. Costs a flight only where this client has not seen the rule yet; what it saw goes to Effects. */
export function* findRule(
  env: Pick<NamespaceEnv, 'knownRule'>,
  rule: AclRule,
): Generator<Flight, KnownRule | Missing, unknown> {
  const entries = [rule.users, rule.groups].map((list) => encodeEntries(list).toString('base64'));
  const key = [rule.owner, rule.group, rule.mask, rule.other, ...entries].join(' ');
  const known = env.knownRule(key);
  if (known !== undefined) return known;
  const [[id]] = yield* read(sameRule(rule));
  return id === undefined ? new Missing({ what: 'rule', rule }) : { id, key };
}
