// What a check of the tree is: a question to the database whose every row is a finding, about one inode (its first column),
// so that the same question serves the whole volume and a part of it.
import type { Ino } from '../../base/words.ts';
import { type Engine, query, type Row, read } from '../sql/op.ts';

/** More of one kind are counted and not listed: a broken table would give millions of lines. */
export const MOST_FINDINGS = 50;

export type DamageKind =
  | 'entry-without-node' | 'entry-without-directory' | 'entry-in-no-directory' | 'wrong-entry-type' | 'no-entry'
  | 'bad-name' | 'several-entries' | 'unreachable' | 'wrong-parent' | 'wrong-links' | 'wrong-directory-links' | 'link-without-target'
  | 'stray-target' | 'stray-attribute' | 'stray-quota' | 'stray-sums' | 'stray-chunk' | 'stray-detached' | 'stray-sustained'
  | 'stray-delfile' | 'dead-session' | 'dead-lock' | 'behind-inodes' | 'behind-slices' | 'behind-sessions' | 'behind-trash'
  | 'wrong-space' | 'wrong-inodes' | 'wrong-sums' | 'missing-sums'; // biome-ignore format: a table reads better than a column

export interface Check {
  readonly kind: DamageKind;
  /** Its first column is the inode that a scope is asked about, named `subject`. */
  readonly sql: string;
  readonly say: (row: Row) => string;
  /** Worth knowing, and no damage: the original client leaves it behind. */
  readonly harmless?: true;
  /** About the volume, not about an inode. */
  readonly whole?: true;
}

/** A part of the volume: one directory or file, with everything below it if `recursive`. */
export interface Scope {
  readonly ino: Ino;
  readonly recursive: boolean;
}

/** The common table expression that lists a scope's inodes; UNION ends on a directory that contains itself. */
export function scopeSql(scope: Scope): string {
  const below = `UNION SELECT e.inode FROM jfs_edge e JOIN scope ON e.parent = scope.inode`;
  return `WITH RECURSIVE scope (inode) AS (SELECT CAST(${scope.ino} AS BIGINT) ${scope.recursive ? below : ''})`;
}

const scoped = (sql: string, scope: Scope | undefined): string =>
  scope === undefined
    ? sql
    : `${scopeSql(scope)} SELECT * FROM (${sql}) found WHERE found.subject IN (SELECT inode FROM scope)`;

export const applies = (check: Check, scope: Scope | undefined): boolean => scope === undefined || check.whole !== true;

/** Rows of one check. */
export const rowsOf = (
  engine: Engine,
  check: Check,
  scope: Scope | undefined,
  limit: number,
  offset = 0,
): Promise<Row[]> => rows(engine, `${scoped(check.sql, scope)} LIMIT ${limit} OFFSET ${offset}`, (row) => row);

/** One query in a view of its own. */
export const rows = <T>(engine: Engine, sql: string, decode: (row: Row) => T): Promise<T[]> =>
  engine.view(function* () {
    const [found] = yield* read(query(sql, [], decode));
    return found;
  });

export const bounded = (found: readonly string[]): string[] =>
  found.length <= MOST_FINDINGS ? [...found] : [...found.slice(0, MOST_FINDINGS), `and more like: ${found[0]}`];

export interface Found {
  readonly findings: string[];
  readonly notes: string[];
}

/** Every finding of every check, bounded per check. */
export async function runChecks(engine: Engine, checks: readonly Check[], scope: Scope | undefined): Promise<Found> {
  const report: Found = { findings: [], notes: [] };
  for (const check of checks) {
    if (!applies(check, scope)) continue;
    const found = (await rowsOf(engine, check, scope, MOST_FINDINGS + 1)).map(check.say);
    (check.harmless ? report.notes : report.findings).push(...bounded(found));
  }
  return report;
}
