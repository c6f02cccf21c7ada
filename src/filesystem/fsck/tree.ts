// The shape of the tree as the format demands it: entries, nodes, link counts, what hangs on nodes, counters. Questions to
// the database only. Their order is that of repairs: what comes later relies on what came before.

import { MAX_NAME, shown } from '../meta/names.ts';
import { bigintAt, bytesAt } from '../meta/rows.ts';
import { TRASH } from '../meta/types.ts';
import type { Row } from '../sql/op.ts';
import type { Check } from './checks.ts';

const at = (row: Row, i: number): bigint => bigintAt(row, i);
const directory = 2n;

/** The hourly directories of the trash count as having no child directories. */
export const childDirectories = `(SELECT COUNT(*) FROM jfs_edge c WHERE c.parent = n.inode AND c.type = 2 AND n.inode < ${TRASH})`;
export const edgesOf = '(SELECT COUNT(*) FROM jfs_edge e WHERE e.inode = n.inode)';
const isRoot = `n.inode IN (1, ${TRASH})`;
const isSustained = 'EXISTS (SELECT 1 FROM jfs_sustained s WHERE s.inode = n.inode)';
const isDetached = 'EXISTS (SELECT 1 FROM jfs_detached_node d WHERE d.inode = n.inode)';
const noNode = (table: string): string => `NOT EXISTS (SELECT 1 FROM jfs_node n WHERE n.inode = ${table}.inode)`;

/** Where a walk over directories begins: the roots, and whatever lost its way to them, which other checks name. */
const beginnings = `SELECT CAST(1 AS BIGINT) UNION SELECT CAST(${TRASH} AS BIGINT)
  UNION SELECT n.inode FROM jfs_node n WHERE n.type = 2 AND NOT EXISTS (SELECT 1 FROM jfs_edge e WHERE e.inode = n.inode)
  UNION SELECT e.inode FROM jfs_edge e LEFT JOIN jfs_node p ON p.inode = e.parent WHERE p.inode IS NULL OR p.type <> 2`;

const behind = (
  kind: 'behind-inodes' | 'behind-slices' | 'behind-sessions' | 'behind-trash',
  name: string,
  highest: string,
  say: (highest: bigint, next: bigint) => string,
): Check => ({
  kind,
  whole: true,
  sql: `SELECT h.highest AS subject, COALESCE(c.value, 0) FROM (SELECT COALESCE(MAX(id), 0) AS highest FROM (${highest}) ids) h
    LEFT JOIN jfs_counter c ON c.name = '${name}' WHERE h.highest > COALESCE(c.value, 0)`,
  say: (row) => say(at(row, 0), at(row, 1)),
});

const counterChecks: readonly Check[] = [
  behind(
    'behind-inodes',
    'nextInode',
    `SELECT inode + 1 AS id FROM jfs_node WHERE inode < ${TRASH}`,
    (highest, next) => `inode ${highest - 1n} exists, and the next to be given out is ${next}`,
  ),
  behind(
    'behind-slices',
    'nextChunk',
    'SELECT chunkid + 1 AS id FROM jfs_chunk_ref',
    (highest, next) => `slice ${highest - 1n} exists, and the next to be given out is ${next}`,
  ),
  behind(
    'behind-sessions',
    'nextSession',
    'SELECT sid AS id FROM jfs_session2',
    (highest, last) => `session ${highest} exists, and the last given out is ${last}`,
  ),
  behind(
    'behind-trash',
    'nextTrash',
    `SELECT inode - ${TRASH} AS id FROM jfs_node WHERE inode > ${TRASH}`,
    (highest, last) => `hour ${highest} of the trash exists, and the last given out is ${last}`,
  ),
];

const entryChecks: readonly Check[] = [
  {
    kind: 'entry-without-node',
    sql: `SELECT e.parent AS subject, e.inode, e.id, e.type, BYTES(e.name) FROM jfs_edge e
      LEFT JOIN jfs_node n ON n.inode = e.inode WHERE n.inode IS NULL`,
    say: (row) =>
      `directory ${at(row, 0)} has an entry for inode ${at(row, 1)}, which does not exist: ${shown(bytesAt(row, 4))}`,
  },
  {
    kind: 'entry-without-directory',
    sql: `SELECT MIN(e.inode) AS subject, e.parent FROM jfs_edge e LEFT JOIN jfs_node n ON n.inode = e.parent
      WHERE n.inode IS NULL GROUP BY e.parent`,
    say: (row) => `inode ${at(row, 0)} has an entry in directory ${at(row, 1)}, which does not exist`,
  },
  {
    kind: 'entry-in-no-directory',
    sql: `SELECT e.inode AS subject, e.parent, e.id FROM jfs_edge e JOIN jfs_node n ON n.inode = e.parent WHERE n.type <> 2`,
    say: (row) => `inode ${at(row, 0)} has an entry in inode ${at(row, 1)}, which is no directory`,
  },
  {
    kind: 'wrong-entry-type',
    sql: `SELECT e.inode AS subject, e.type AS said, n.type, e.id FROM jfs_edge e JOIN jfs_node n ON n.inode = e.inode
      WHERE e.type <> n.type`,
    say: (row) => `inode ${at(row, 0)} is of type ${at(row, 2)}, its entry says ${at(row, 1)}`,
  },
  {
    kind: 'bad-name',
    sql: `SELECT e.parent AS subject, e.inode, e.id, LENGTH(BYTES(e.name)) FROM jfs_edge e
      WHERE LENGTH(BYTES(e.name)) = 0 OR LENGTH(BYTES(e.name)) > ${MAX_NAME}`,
    say: (row) => `directory ${at(row, 0)} has an entry for inode ${at(row, 1)} with a name of ${at(row, 3)} bytes`,
  },
  {
    kind: 'several-entries',
    sql: `SELECT n.inode AS subject, ${edgesOf} FROM jfs_node n WHERE n.type = ${directory} AND ${edgesOf} > 1`,
    say: (row) => `directory ${at(row, 0)} has ${at(row, 1)} entries`,
  },
  {
    kind: 'unreachable',
    sql: `SELECT n.inode AS subject FROM jfs_node n WHERE n.type = 2 AND n.inode NOT IN (
      WITH RECURSIVE reached (inode) AS (${beginnings}
        UNION SELECT e.inode FROM jfs_edge e JOIN reached ON e.parent = reached.inode WHERE e.type = 2)
      SELECT inode FROM reached)`,
    say: (row) => `directory ${at(row, 0)} cannot be reached: it lies in a loop of directories, or below one`,
  },
  {
    kind: 'stray-chunk',
    sql: `SELECT DISTINCT k.inode AS subject FROM jfs_chunk k
      WHERE NOT EXISTS (SELECT 1 FROM jfs_node n WHERE n.inode = k.inode AND n.type = 1)
      AND NOT EXISTS (SELECT 1 FROM jfs_delfile d WHERE d.inode = k.inode)`,
    say: (row) => `inode ${at(row, 0)} has data, and is no file`,
  },
  {
    kind: 'no-entry',
    sql: `SELECT n.inode AS subject, n.type FROM jfs_node n
      WHERE ${edgesOf} = 0 AND NOT ${isRoot} AND NOT ${isSustained} AND NOT ${isDetached}`,
    say: (row) => `inode ${at(row, 0)} has no entry in any directory`,
  },
];

const nodeChecks: readonly Check[] = [
  {
    kind: 'link-without-target',
    sql: `SELECT n.inode AS subject FROM jfs_node n
      WHERE n.type = 3 AND NOT EXISTS (SELECT 1 FROM jfs_symlink s WHERE s.inode = n.inode)`,
    say: (row) => `symbolic link ${at(row, 0)} has no target`,
  },
  {
    kind: 'wrong-parent',
    sql: `SELECT n.inode AS subject, n.parent FROM jfs_node n WHERE (n.parent <> 0 OR n.type = 2) AND NOT ${isRoot}
      AND NOT ${isSustained} AND NOT ${isDetached}
      AND NOT EXISTS (SELECT 1 FROM jfs_edge e WHERE e.parent = n.parent AND e.inode = n.inode) AND ${edgesOf} > 0`,
    say: (row) => `inode ${at(row, 0)} names directory ${at(row, 1)} as its parent, which has no entry for it`,
  },
  {
    kind: 'wrong-links',
    sql: `SELECT n.inode AS subject, n.nlink, ${edgesOf} FROM jfs_node n WHERE n.type <> ${directory}
      AND n.nlink <> ${edgesOf} AND (${edgesOf} > 0 OR ${isSustained})`,
    say: (row) => `inode ${at(row, 0)} has link count ${at(row, 1)}, and ${at(row, 2)} entries`,
  },
  {
    kind: 'wrong-directory-links',
    sql: `SELECT n.inode AS subject, n.nlink, 2 + ${childDirectories} FROM jfs_node n
      WHERE n.type = ${directory} AND n.nlink <> 2 + ${childDirectories} AND NOT ${isSustained}`,
    say: (row) => `directory ${at(row, 0)} has link count ${at(row, 1)}, not ${at(row, 2)}`,
  },
];

/** Rows of tables that belong to nodes which are gone, or are no longer what they were. */
const strayChecks: readonly Check[] = [
  {
    kind: 'stray-target',
    sql: `SELECT s.inode AS subject FROM jfs_symlink s WHERE NOT EXISTS (SELECT 1 FROM jfs_node n WHERE n.inode = s.inode AND n.type = 3)`,
    say: (row) => `a link target is kept for inode ${at(row, 0)}, which is no symbolic link`,
  },
  {
    kind: 'stray-attribute',
    sql: `SELECT x.inode AS subject FROM jfs_xattr x WHERE ${noNode('x')}`,
    say: (row) => `an extended attribute is kept for inode ${at(row, 0)}, which does not exist`,
  },
  {
    kind: 'stray-quota',
    sql: `SELECT q.inode AS subject FROM jfs_dir_quota q WHERE ${noNode('q')}`,
    say: (row) => `a quota is kept for directory ${at(row, 0)}, which does not exist`,
  },
  {
    kind: 'stray-sums',
    harmless: true,
    sql: `SELECT d.inode AS subject FROM jfs_dir_stats d WHERE ${noNode('d')}`,
    say: (row) => `sums are kept for directory ${at(row, 0)}, which does not exist`,
  },
  {
    kind: 'stray-detached',
    sql: `SELECT d.inode AS subject FROM jfs_detached_node d WHERE ${noNode('d')} OR EXISTS (SELECT 1 FROM jfs_edge e WHERE e.inode = d.inode)`,
    say: (row) => `inode ${at(row, 0)} is said to be half a clone, and does not exist or has an entry`,
  },
  {
    kind: 'stray-sustained',
    sql: `SELECT s.inode AS subject, s.sid FROM jfs_sustained s WHERE ${noNode('s')} OR EXISTS (SELECT 1 FROM jfs_edge e WHERE e.inode = s.inode)`,
    say: (row) => `inode ${at(row, 0)} is kept for session ${at(row, 1)}, and does not exist or has an entry`,
  },
  {
    kind: 'stray-delfile',
    sql: `SELECT d.inode AS subject FROM jfs_delfile d WHERE EXISTS (SELECT 1 FROM jfs_node n WHERE n.inode = d.inode)`,
    say: (row) => `inode ${at(row, 0)} is said to be deleted, and exists`,
  },
  {
    kind: 'dead-session',
    whole: true,
    sql: `SELECT s.inode AS subject, s.sid FROM jfs_sustained s WHERE NOT EXISTS (SELECT 1 FROM jfs_session2 t WHERE t.sid = s.sid)`,
    say: (row) => `inode ${at(row, 0)} is kept for session ${at(row, 1)}, which is gone`,
  },
  {
    kind: 'dead-lock',
    whole: true,
    sql: `SELECT l.inode AS subject, l.sid FROM (SELECT inode, sid FROM jfs_flock UNION SELECT inode, sid FROM jfs_plock) l
      WHERE NOT EXISTS (SELECT 1 FROM jfs_session2 t WHERE t.sid = l.sid)`,
    say: (row) => `inode ${at(row, 0)} is locked by session ${at(row, 1)}, which is gone`,
  },
];

export const treeChecks: readonly Check[] = [...counterChecks, ...entryChecks, ...nodeChecks, ...strayChecks];
