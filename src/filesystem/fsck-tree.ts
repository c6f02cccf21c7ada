// The shape of the tree as the format demands it: edges, nodes, link counts, what hangs on nodes, counters. Questions to
// the database only; repairs nothing.
import { bigintAt } from './meta/rows.ts';
import { NODE_SPACE } from './meta/space.ts';
import { TRASH } from './meta/types.ts';
import { type Engine, query, type Row, read } from './sql/op.ts';

/** More of one kind are counted and not listed: a broken table would give millions of lines. */
export const MOST_FINDINGS = 50;

interface Check {
  readonly sql: string;
  readonly say: (row: Row) => string;
}

const at = (row: Row, i: number): bigint => bigintAt(row, i);
const directory = 2n;

/** The hourly directories of the trash count as having no child directories. */
const childDirectories = `(SELECT COUNT(*) FROM jfs_edge c WHERE c.parent = n.inode AND c.type = 2 AND n.inode < ${TRASH})`;
const edgesOf = '(SELECT COUNT(*) FROM jfs_edge e WHERE e.inode = n.inode)';
const isRoot = `n.inode IN (1, ${TRASH})`;
const isSustained = 'EXISTS (SELECT 1 FROM jfs_sustained s WHERE s.inode = n.inode)';
const isDetached = 'EXISTS (SELECT 1 FROM jfs_detached_node d WHERE d.inode = n.inode)';
const noNode = (table: string): string => `NOT EXISTS (SELECT 1 FROM jfs_node n WHERE n.inode = ${table}.inode)`;

const checks: readonly Check[] = [
  {
    sql: 'SELECT e.parent, e.inode FROM jfs_edge e LEFT JOIN jfs_node n ON n.inode = e.inode WHERE n.inode IS NULL',
    say: (row) => `directory ${at(row, 0)} has an entry for inode ${at(row, 1)}, which does not exist`,
  },
  {
    sql: 'SELECT e.parent, e.inode FROM jfs_edge e LEFT JOIN jfs_node n ON n.inode = e.parent WHERE n.inode IS NULL',
    say: (row) => `inode ${at(row, 1)} has an entry in directory ${at(row, 0)}, which does not exist`,
  },
  {
    sql: 'SELECT e.inode, e.type, n.type FROM jfs_edge e JOIN jfs_node n ON n.inode = e.inode WHERE e.type != n.type',
    say: (row) => `inode ${at(row, 0)} is of type ${at(row, 2)}, its entry says ${at(row, 1)}`,
  },
  {
    sql: `SELECT n.inode FROM jfs_node n WHERE ${edgesOf} = 0 AND NOT ${isRoot} AND n.inode < ${TRASH} AND NOT ${isSustained} AND NOT ${isDetached}`,
    say: (row) => `inode ${at(row, 0)} has no entry in any directory`,
  },
  {
    sql: `SELECT n.inode, n.nlink, ${edgesOf} FROM jfs_node n WHERE n.type != ${directory} AND n.nlink != ${edgesOf}`,
    say: (row) => `inode ${at(row, 0)} has link count ${at(row, 1)}, and ${at(row, 2)} entries`,
  },
  {
    sql: `SELECT n.inode, n.nlink, 2 + ${childDirectories} FROM jfs_node n WHERE n.type = ${directory} AND n.nlink != 2 + ${childDirectories} AND NOT ${isSustained}`,
    say: (row) => `directory ${at(row, 0)} has link count ${at(row, 1)}, not ${at(row, 2)}`,
  },
  {
    sql: `SELECT n.inode, ${edgesOf} FROM jfs_node n WHERE n.type = ${directory} AND ${edgesOf} > 1`,
    say: (row) => `directory ${at(row, 0)} has ${at(row, 1)} entries`,
  },
  {
    sql: `SELECT n.inode, n.parent FROM jfs_node n WHERE n.parent != 0 AND NOT ${isRoot} AND n.inode < ${TRASH} AND NOT ${isSustained} AND NOT ${isDetached} AND NOT EXISTS (SELECT 1 FROM jfs_edge e WHERE e.parent = n.parent AND e.inode = n.inode)`,
    say: (row) => `inode ${at(row, 0)} names directory ${at(row, 1)} as its parent, which has no entry for it`,
  },
  {
    sql: `SELECT n.inode FROM jfs_node n WHERE n.parent = 0 AND n.type = ${directory}`,
    say: (row) => `directory ${at(row, 0)} has no parent`,
  },
  {
    sql: `SELECT n.inode FROM jfs_node n WHERE n.type = 3 AND NOT EXISTS (SELECT 1 FROM jfs_symlink s WHERE s.inode = n.inode)`,
    say: (row) => `symbolic link ${at(row, 0)} has no target`,
  },
  {
    sql: `SELECT s.inode FROM jfs_symlink s WHERE NOT EXISTS (SELECT 1 FROM jfs_node n WHERE n.inode = s.inode AND n.type = 3)`,
    say: (row) => `a link target is kept for inode ${at(row, 0)}, which is no symbolic link`,
  },
  {
    sql: `SELECT x.inode FROM jfs_xattr x WHERE ${noNode('x')}`,
    say: (row) => `an extended attribute is kept for inode ${at(row, 0)}, which does not exist`,
  },
  {
    sql: `SELECT q.inode FROM jfs_dir_quota q WHERE ${noNode('q')}`,
    say: (row) => `a quota is kept for directory ${at(row, 0)}, which does not exist`,
  },
  {
    sql: `SELECT k.inode, k.indx FROM jfs_chunk k WHERE NOT EXISTS (SELECT 1 FROM jfs_node n WHERE n.inode = k.inode AND n.type = 1) AND NOT EXISTS (SELECT 1 FROM jfs_delfile d WHERE d.inode = k.inode)`,
    say: (row) => `chunk ${at(row, 1)} belongs to inode ${at(row, 0)}, which is no file`,
  },
  {
    sql: `SELECT MAX(n.inode), c.value FROM jfs_node n, jfs_counter c WHERE c.name = 'nextInode' AND n.inode < ${TRASH} GROUP BY c.value HAVING MAX(n.inode) >= c.value`,
    say: (row) => `inode ${at(row, 0)} exists, and the next to be given out is ${at(row, 1)}`,
  },
  {
    sql: "SELECT MAX(r.chunkid), c.value FROM jfs_chunk_ref r, jfs_counter c WHERE c.name = 'nextChunk' GROUP BY c.value HAVING MAX(r.chunkid) >= c.value",
    say: (row) => `slice ${at(row, 0)} exists, and the next to be given out is ${at(row, 1)}`,
  },
  {
    sql: "SELECT MAX(s.sid), c.value FROM jfs_session2 s, jfs_counter c WHERE c.name = 'nextSession' GROUP BY c.value HAVING MAX(s.sid) > c.value",
    say: (row) => `session ${at(row, 0)} exists, and the last given out is ${at(row, 1)}`,
  },
];

/** Totals are written some time after what they count, so they are compared only while nobody is at work. */
const usageChecks: readonly Check[] = [
  {
    sql: `SELECT c.value, t.used FROM jfs_counter c, (SELECT COALESCE(SUM(${NODE_SPACE}), 0) AS used FROM jfs_node n WHERE NOT ${isRoot}) t WHERE c.name = 'usedSpace' AND c.value != t.used`,
    say: (row) => `${at(row, 0)} bytes are counted as used, ${at(row, 1)} are`,
  },
  {
    sql: `SELECT c.value, t.used FROM jfs_counter c, (SELECT COUNT(*) AS used FROM jfs_node n WHERE NOT ${isRoot}) t WHERE c.name = 'totalInodes' AND c.value != t.used`,
    say: (row) => `${at(row, 0)} inodes are counted as used, ${at(row, 1)} are`,
  },
];

export const sessionCount = async (engine: Engine): Promise<bigint> => {
  const [row] = await rows(engine, 'SELECT COUNT(*) FROM jfs_session2', (found) => at(found, 0));
  return row ?? 0n;
};

/** Every finding of every check, bounded per check. */
export async function checkTree(engine: Engine, quiet: boolean): Promise<string[]> {
  const findings: string[] = [];
  for (const check of quiet ? [...checks, ...usageChecks] : checks) {
    const found = await rows(engine, `${check.sql} LIMIT ${MOST_FINDINGS + 1}`, check.say);
    findings.push(...bounded(found));
  }
  return findings;
}

export const bounded = (found: readonly string[]): string[] =>
  found.length <= MOST_FINDINGS ? [...found] : [...found.slice(0, MOST_FINDINGS), `and more like: ${found[0]}`];

/** One query in a view of its own. */
export const rows = <T>(engine: Engine, sql: string, decode: (row: Row) => T): Promise<T[]> =>
  engine.view(function* () {
    const [found] = yield* read(query(sql, [], decode));
    return found;
  });
