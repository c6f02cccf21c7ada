// Statements of the tree's operations beyond those all operations share: rows found through a name and locked, trees up
// and down.
import { type Change, change, type Query, query } from '../sql/op.ts';
import { attrColumns, bigintAt, bytesAt, decodeAttr } from './rows.ts';
import { NODE_SPACE, sumOf } from './space.ts';
import type { Attr, Ino } from './types.ts';
import type { Delta } from './usage-rows.ts';

const CHILD = '(SELECT e.inode FROM jfs_edge e WHERE e.parent = ? AND e.name = ?)';

/** The node behind a name, locked; the edge is not, as in the original client. */
export const lockedChild = (parent: Ino, name: Buffer): Query<Attr> =>
  query(`SELECT ${attrColumns('n')} FROM jfs_node n WHERE n.inode = ${CHILD} FOR UPDATE`, [parent, name], (row) =>
    decodeAttr(row),
  );

/** The nodes behind two names, locked in ascending order; one row when they are the same. */
export const lockedChildren = (a: Ino, nameA: Buffer, b: Ino, nameB: Buffer): Query<Attr> =>
  query(
    `SELECT ${attrColumns('n')} FROM jfs_node n WHERE n.inode IN (${CHILD}, ${CHILD}) ORDER BY n.inode FOR UPDATE`,
    [a, nameA, b, nameB],
    (row) => decodeAttr(row),
  );

/** A row when the directory of that name has an entry. */
export const childrenOf = (parent: Ino, name: Buffer): Query<Ino> =>
  query(`SELECT c.inode FROM jfs_edge c WHERE c.parent = ${CHILD} LIMIT 1`, [parent, name], (row) => bigintAt(row, 0));

/** Deeper than any path of a kernel (PATH_MAX / 2), so that a damaged loop ends. */
const MAX_DEPTH = 65_536n;

const upFrom = (start: string): string =>
  `WITH RECURSIVE up (inode, depth) AS (SELECT CAST(? AS BIGINT), 0 ${start} UNION ALL` +
  ' SELECT n.parent, up.depth + 1 FROM jfs_node n JOIN up ON n.inode = up.inode' +
  ' WHERE n.parent > 0 AND n.parent <> n.inode AND up.depth < ?) SELECT inode FROM up';

/** The directory itself and all above it. */
export const ancestors = (directory: Ino): Query<Ino> =>
  query(upFrom(''), [directory, MAX_DEPTH], (row) => bigintAt(row, 0));

/** The same, if that name leads to a directory, which may then not be one of them. */
export const ancestorsFor = (directory: Ino, parent: Ino, name: Buffer): Query<Ino> =>
  query(
    upFrom('WHERE EXISTS (SELECT 1 FROM jfs_edge e WHERE e.parent = ? AND e.name = ? AND e.type = 2)'),
    [directory, parent, name, MAX_DEPTH],
    (row) => bigintAt(row, 0),
  );

/**
 * Names in a directory of the trash of the node behind a name, if it has several. Found by the inode: that directory may
 * have a million entries.
 */
export const trashedNames = (trash: Ino, parent: Ino, name: Buffer): Query<Buffer> =>
  query(
    `SELECT BYTES(e.name) FROM jfs_edge c JOIN jfs_node n ON n.inode = c.inode JOIN jfs_edge e ON e.inode = c.inode
     WHERE c.parent = ? AND c.name = ? AND n.nlink > 1 AND n.type <> 2 AND +e.parent = ?`,
    [parent, name, trash],
    (row) => bytesAt(row, 0),
  );

/**
 * Space and nodes of everything below a directory, itself not counted; hard links once per entry. UNION: a directory that
 * a damaged tree reaches again is not gone through again.
 */
export const treeUsage = (directory: Ino): Query<Pick<Delta, 'space' | 'inodes'>> =>
  query(
    'WITH RECURSIVE down (inode) AS (SELECT CAST(? AS BIGINT) UNION' +
      ' SELECT e.inode FROM jfs_edge e JOIN down ON e.parent = down.inode WHERE e.type = 2)' +
      ` SELECT ${sumOf(NODE_SPACE)},` +
      ' COUNT(*) FROM down JOIN jfs_edge e ON e.parent = down.inode JOIN jfs_node n ON n.inode = e.inode',
    [directory],
    (row) => ({ space: bigintAt(row, 0), inodes: bigintAt(row, 1) }),
  );

export const deleteXattrs = (ino: Ino): Change => change('DELETE FROM jfs_xattr WHERE inode = ?', ino);
