// The rows that load writes, each as one change that fails when a dump says something twice or in two ways.
import { fail } from '../../base/errors.ts';
import { INSERT_NODE, storedTime } from '../meta/rows.ts';
import { encodeSlices } from '../meta/slices.ts';
import { type Ino, NodeType } from '../meta/types.ts';
import { type Change, change, must } from '../sql/op.ts';
import type { LoadedAttr, LoadedChunk } from './fields.ts';

const twice = (what: string) => () => fail('bad-input', `read the dump: ${what} is in it twice`);

export interface LoadedNode extends LoadedAttr {
  readonly parent: Ino;
  readonly nlink: bigint;
  readonly accessAcl: bigint;
  readonly defaultAcl: bigint;
}

const once = (text: string): string => `${text} ON CONFLICT DO NOTHING`;

export function insertLoadedNode(node: LoadedNode): Change {
  const times = [node.atime, node.mtime, node.ctime].map(storedTime);
  const row = [
    ...[node.ino, BigInt(node.type), node.flags, node.mode, node.uid, node.gid],
    ...times.map(([micros]) => micros),
    ...times.map(([, rest]) => rest),
    ...[node.nlink, node.length, node.rdev, node.parent, node.accessAcl, node.defaultAcl, node.tier],
  ];
  return must(1, change(once(INSERT_NODE), ...row), twice(`inode ${node.ino}`));
}

export const insertLoadedEdge = (parent: Ino, name: Buffer, ino: Ino, type: NodeType): Change =>
  must(
    1,
    change(
      once('INSERT INTO jfs_edge (parent, name, inode, type) VALUES (?, ?, ?, ?)'),
      parent,
      name,
      ino,
      BigInt(type),
    ),
    twice(`a name of directory ${parent}`),
  );

/** One more name of an inode that has one: from now on its parents are found by its names. */
export const addLink = (ino: Ino): Change =>
  must(1, change('UPDATE jfs_node SET nlink = nlink + 1, parent = 0 WHERE inode = ?', ino), () =>
    fail('internal', `load inode ${ino}: its row is gone`),
  );

export const insertXattr = (ino: Ino, name: string, value: Buffer): Change =>
  must(
    1,
    change(once('INSERT INTO jfs_xattr (inode, name, value) VALUES (?, ?, ?)'), ino, name, value),
    twice(`an attribute of inode ${ino}`),
  );

export const insertTarget = (ino: Ino, target: Buffer): Change =>
  must(
    1,
    change(once('INSERT INTO jfs_symlink (inode, target) VALUES (?, ?)'), ino, target),
    twice(`the target of inode ${ino}`),
  );

/** The row, and a reference for each record that shows bytes of a slice. */
export const insertChunk = (ino: Ino, { indx, slices }: LoadedChunk): Change[] => [
  must(
    1,
    change(
      once('INSERT INTO jfs_chunk (inode, indx, slices) VALUES (?, ?, ?)'),
      ino,
      BigInt(indx),
      encodeSlices(slices),
    ),
    twice(`chunk ${indx} of inode ${ino}`),
  ),
  ...slices.flatMap(({ id, size }) => (id === 0n ? [] : [addReference(id, size)])),
];

export const addReference = (id: bigint, size: number): Change =>
  must(
    1,
    change(
      `INSERT INTO jfs_chunk_ref (chunkid, size, refs) VALUES (?, ?, 1)
       ON CONFLICT (chunkid) DO UPDATE SET refs = jfs_chunk_ref.refs + 1 WHERE jfs_chunk_ref.size = excluded.size`,
      id,
      BigInt(size),
    ),
    () => fail('bad-input', `read the dump: slice ${id} has two sizes in it`),
  );

export interface Sums {
  length: bigint;
  space: bigint;
  inodes: bigint;
}

export const insertStats = (ino: Ino, { length, space, inodes }: Sums): Change =>
  change(
    'INSERT INTO jfs_dir_stats (inode, data_length, used_space, used_inodes) VALUES (?, ?, ?, ?)',
    ino,
    length,
    space,
    inodes,
  );

export interface Limits {
  readonly maxSpace: bigint;
  readonly maxInodes: bigint;
}

export const insertQuota = (ino: Ino, { maxSpace, maxInodes }: Limits, used: Omit<Sums, 'length'>): Change =>
  change(
    'INSERT INTO jfs_dir_quota (inode, max_space, max_inodes, used_space, used_inodes) VALUES (?, ?, ?, ?, ?)',
    ino,
    maxSpace,
    maxInodes,
    used.space,
    used.inodes,
  );

export const insertOwnerQuota = (
  kind: bigint,
  id: bigint,
  { maxSpace, maxInodes }: Limits,
  used: Omit<Sums, 'length'>,
): Change =>
  change(
    'INSERT INTO jfs_user_group_quota (qtype, qkey, max_space, max_inodes, used_space, used_inodes) VALUES (?, ?, ?, ?, ?, ?)',
    kind,
    id,
    maxSpace,
    maxInodes,
    used.space,
    used.inodes,
  );

/** What a node takes in every account: whole units of 4 KiB, at least one. */
export function spaceOf({ type, length }: Pick<LoadedAttr, 'type' | 'length'>): bigint {
  if (type !== NodeType.file || length === 0n) return 4096n;
  return ((length + 4095n) / 4096n) * 4096n;
}
