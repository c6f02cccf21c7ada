// Statements that several operations share, built but never run. Texts are constants per shape, so that engines prepare
// each once. Relative arithmetic wherever another client may change the same column (spec 6.3).
import { fail } from '../../base/errors.ts';
import { type Change, change, must, type Query, query } from '../sql/op.ts';
import { attrParams, bigintAt, bytesAt, decodeSeen, INSERT_NODE, nodeTypeAt, seenColumns, storedTime } from './rows.ts';
import { type Attr, type Ino, type NodeType, TRASH } from './types.ts';

const lockSuffix = (lock: boolean): string => (lock ? ' FOR UPDATE' : '');

/** The node row, locked until the commit if the operation acts on it. */
export const nodeById = (ino: Ino, lock = false): Query<Attr> =>
  query(`SELECT ${seenColumns('n')} FROM jfs_node n WHERE n.inode = ?${lockSuffix(lock)}`, [ino], decodeSeen);

export interface Edge {
  readonly ino: Ino;
  readonly type: NodeType;
}

/** The bare edge, whether or not its node exists. */
export const edgeByName = (parent: Ino, name: Buffer): Query<Edge> =>
  query('SELECT e.inode, e.type FROM jfs_edge e WHERE e.parent = ? AND e.name = ?', [parent, name], (row) => ({
    ino: bigintAt(row, 0),
    type: nodeTypeAt(row, 1),
  }));

/** The node behind a name; an edge without its node row is invisible. */
export const childByName = (parent: Ino, name: Buffer): Query<Attr> =>
  query(
    `SELECT ${seenColumns('n')} FROM jfs_edge e JOIN jfs_node n ON n.inode = e.inode WHERE e.parent = ? AND e.name = ?`,
    [parent, name],
    (row) => decodeSeen(row),
  );

/** The edge, and its node unless that is missing; of one moment. */
export const entryByName = (parent: Ino, name: Buffer): Query<{ readonly node: Attr | undefined }> =>
  query(
    `SELECT ${seenColumns('n')} FROM jfs_edge e LEFT JOIN jfs_node n ON n.inode = e.inode WHERE e.parent = ? AND e.name = ?`,
    [parent, name],
    (row) => ({ node: row[0] === null ? undefined : decodeSeen(row) }),
  );

/** Answers a row when the directory has any edge. */
export const anyChild = (parent: Ino): Query<Ino> =>
  query('SELECT e.inode FROM jfs_edge e WHERE e.parent = ? LIMIT 1', [parent], (row) => bigintAt(row, 0));

/** Parents of a hard-linked node (node.parent is 0), once per edge. */
export const parentsOf = (ino: Ino): Query<Ino> =>
  query('SELECT e.parent FROM jfs_edge e WHERE e.inode = ?', [ino], (row) => bigintAt(row, 0));

export const symlinkTarget = (ino: Ino): Query<Buffer> =>
  query('SELECT BYTES(target) FROM jfs_symlink WHERE inode = ?', [ino], (row) => bytesAt(row, 0));

export const insertNode = (attr: Attr): Change => change(INSERT_NODE, ...attrParams(attr));

export const insertEdge = (parent: Ino, name: Buffer, ino: Ino, type: NodeType): Change =>
  change('INSERT INTO jfs_edge (parent, name, inode, type) VALUES (?, ?, ?, ?)', parent, name, ino, BigInt(type));

/** Of exactly this node: a name that meanwhile leads elsewhere fails the transaction with ENOENT. */
export const deleteEdge = (parent: Ino, name: Buffer, ino: Ino): Change =>
  must(1, change('DELETE FROM jfs_edge WHERE parent = ? AND name = ? AND inode = ?', parent, name, ino), () =>
    fail('ENOENT', `entry of inode ${ino} in directory ${parent}: it is gone`),
  );

/** Of an edge whose node is missing; one that got there meanwhile has it looked at again. */
export const deleteLooseEdge = (parent: Ino, name: Buffer, ino: Ino): Change =>
  must(
    1,
    change(
      'DELETE FROM jfs_edge WHERE parent = ? AND name = ? AND inode = ? AND NOT EXISTS (SELECT 1 FROM jfs_node n WHERE n.inode = ?)',
      ...[parent, name, ino, ino],
    ),
    () => fail('ENOENT', `entry of inode ${ino} in directory ${parent}: it is gone`),
  );

export const insertSymlink = (ino: Ino, target: Buffer): Change =>
  change('INSERT INTO jfs_symlink (inode, target) VALUES (?, ?)', ino, target);

/** Columns of a node that an operation may set. nlink of directories is changed by touch only. */
export type NodeUpdate = Partial<Omit<Attr, 'ino' | 'type' | 'linksInTrash'>>;

const columnOf: Readonly<Record<Exclude<keyof NodeUpdate, 'atime' | 'mtime' | 'ctime'>, string>> = {
  flags: 'flags', mode: 'mode', uid: 'uid', gid: 'gid', nlink: 'nlink', length: 'length', rdev: 'rdev', parent: 'parent',
  accessAcl: 'access_acl_id', defaultAcl: 'default_acl_id', tier: 'tier_id',
}; // biome-ignore format: a table reads better than a column

/** Sets the given columns; the row must be there (ENOENT). */
export function updateNode(ino: Ino, update: NodeUpdate): Change {
  const sets: string[] = [];
  const params: bigint[] = [];
  for (const [key, value] of Object.entries(update) as [keyof NodeUpdate, number | bigint | undefined][]) {
    if (value === undefined) continue;
    if (key === 'atime' || key === 'mtime' || key === 'ctime') {
      sets.push(`${key} = ?`, `${key}nsec = ?`);
      params.push(...storedTime(BigInt(value)));
    } else {
      sets.push(`${columnOf[key]} = ?`);
      params.push(BigInt(value));
    }
  }
  return must(1, change(`UPDATE jfs_node SET ${sets.join(', ')} WHERE inode = ?`, ...params, ino), () =>
    fail('ENOENT', `inode ${ino}: it is gone`),
  );
}

/** Times of a directory whose entries changed, and its nlink by `links` child directories; ENOENT when it is gone. */
export function touch(ino: Ino, now: bigint, links = 0): Change {
  return touchIf(ino, now, links, '');
}

/** The same for a directory that gets an entry: it has not gone into the trash meanwhile, either. */
export function touchEntered(ino: Ino, now: bigint, links = 0): Change {
  return touchIf(ino, now, links, `AND COALESCE(parent, 0) <= ${TRASH}`);
}

function touchIf(ino: Ino, now: bigint, links: number, condition: string): Change {
  const [time, rest] = storedTime(now);
  const text = `UPDATE jfs_node SET mtime = ?, mtimensec = ?, ctime = ?, ctimensec = ?, nlink = nlink + ? WHERE inode = ? ${condition}`;
  return must(1, change(text, time, rest, time, rest, BigInt(links), ino), () =>
    fail('ENOENT', `directory ${ino}: it is gone`),
  );
}

/** The node row and what hangs on every node. */
export const deleteNode = (ino: Ino): Change[] => [
  must(1, change('DELETE FROM jfs_node WHERE inode = ?', ino), () => fail('ENOENT', `inode ${ino}: it is gone`)),
  change('DELETE FROM jfs_xattr WHERE inode = ?', ino),
];

export const deleteSymlink = (ino: Ino): Change => change('DELETE FROM jfs_symlink WHERE inode = ?', ino);

/** A file without a node whose data waits to be deleted; `now` in nanoseconds (the row holds seconds). */
export const insertDelfile = (ino: Ino, length: bigint, now: bigint): Change =>
  change('INSERT INTO jfs_delfile (inode, length, expire) VALUES (?, ?, ?)', ino, length, now / 1_000_000_000n);

/** An unlinked file that a session may have open. The row may be there from a time before the file got a name again. */
export const insertSustained = (sid: bigint, ino: Ino): Change =>
  change('INSERT INTO jfs_sustained (sid, inode) VALUES (?, ?) ON CONFLICT (sid, inode) DO NOTHING', sid, ino);

/**
 * The same of another mount's session, whose row is locked: it ends before this, and the operation begins again, or after
 * the row of the file is there for it to see.
 */
export const insertSustainedOf = (sid: bigint, ino: Ino): Change =>
  must(
    1,
    change(
      `INSERT INTO jfs_sustained (sid, inode) SELECT s.sid, ? FROM jfs_session2 s WHERE s.sid = ? FOR KEY SHARE
       ON CONFLICT (sid, inode) DO UPDATE SET inode = excluded.inode`,
      ino,
      sid,
    ),
    () => fail('EBUSY', `unlink inode ${ino}: session ${sid} ends, and again another one`),
  );

export const insertDirStats = (ino: Ino): Change =>
  change('INSERT INTO jfs_dir_stats (inode, data_length, used_space, used_inodes) VALUES (?, 0, 0, 0)', ino);

export const deleteDirStats = (ino: Ino): Change => change('DELETE FROM jfs_dir_stats WHERE inode = ?', ino);

export const deleteDirQuota = (ino: Ino): Change => change('DELETE FROM jfs_dir_quota WHERE inode = ?', ino);

export const counterValue = (name: string, lock = false): Query<bigint> =>
  query(`SELECT value FROM jfs_counter WHERE name = ?${lockSuffix(lock)}`, [name], (row) => bigintAt(row, 0));

/**
 * To a counter that was read under its lock. Where there was no row there was no lock, and somebody else may have found
 * none either: then the second of two that make it fails, begins again and finds it.
 */
export const addToLocked = (name: string, found: bigint | undefined, delta: bigint): Change =>
  found === undefined
    ? change('INSERT INTO jfs_counter (name, value) VALUES (?, ?)', name, delta)
    : addCounter(name, delta);

/** Relative, and from 0 when the row is missing. */
export const addCounter = (name: string, delta: bigint): Change =>
  change(
    'INSERT INTO jfs_counter (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = jfs_counter.value + excluded.value',
    name,
    delta,
  );
