// Kinds of damage, as rows that no client writes: what is done to a sound volume, and what the check must say of it.
import { DatabaseSync } from 'node:sqlite';
import { EmbeddedPlace, type Place } from '../../harness/place.ts';
import { inItsWords, psql } from '../../harness/psql.ts';

export interface Damage {
  readonly what: string;
  readonly sql: string;
  /** Every finding matches one of these, and each of these some finding. */
  readonly findings: readonly RegExp[];
  /** What a repair must have said. */
  readonly repaired: RegExp;
}

/** Of `test/volumes/trash0`, where 2 is the directory /d, 4 the file /d/text, and every file has one slice. */
const COPY = (ino: number, changes: Readonly<Record<string, string>> = {}): string => {
  const columns = [
    'inode', 'type', 'flags', 'mode', 'uid', 'gid', 'atime', 'mtime', 'ctime', 'atimensec', 'mtimensec', 'ctimensec',
    'nlink', 'length', 'rdev', 'parent', 'access_acl_id', 'default_acl_id', 'tier_id',
  ]; // biome-ignore format: the table's own order
  return `INSERT INTO jfs_node SELECT ${columns.map((name) => changes[name] ?? name).join(', ')} FROM jfs_node WHERE inode = ${ino}`;
};

const totals = /(bytes|inodes) are counted as used/;
const sums = /directory \d+ counts/;
const links = /has link count/;

export const damages: readonly Damage[] = [
  {
    what: 'a file lost its node',
    sql: 'DELETE FROM jfs_node WHERE inode = 4',
    findings: [/entry for inode 4, which does not exist: "/, /inode 4 has data, and is no file/, totals, sums],
    repaired: /file 4 made again around its data/,
  },
  {
    what: 'a file with two names lost its node',
    sql: `INSERT INTO jfs_edge (parent, name, inode, type) VALUES (1, x'78', 4, 1); DELETE FROM jfs_node WHERE inode = 4`,
    findings: [/entry for inode 4, which does not exist: "/, /inode 4 has data, and is no file/, totals, sums],
    repaired: /file 4 made again around its data/,
  },
  {
    what: 'a symbolic link lost its node',
    sql: 'DELETE FROM jfs_node WHERE type = 3',
    findings: [/entry for inode 8, which does not exist: "link"/, /a link target is kept for inode 8/, totals, sums],
    repaired: /symbolic link 8 made again/,
  },
  {
    what: 'the root lost its node',
    sql: 'DELETE FROM jfs_node WHERE inode = 1',
    findings: [/entry in directory 1, which does not exist/],
    repaired: /directory 1 made again, in its place/,
  },
  {
    what: 'a directory lost its node',
    sql: 'DELETE FROM jfs_node WHERE inode = 2',
    findings: [
      /entry for inode 2/,
      /entry in directory 2, which does not exist/,
      totals,
      sums,
      /sums are kept|directory 1/,
    ],
    repaired: /directory 2 made again/,
  },
  {
    what: 'a directory lost its node and its entry',
    sql: 'DELETE FROM jfs_node WHERE inode = 2; DELETE FROM jfs_edge WHERE inode = 2',
    findings: [/entry in directory 2, which does not exist/, links, totals, sums],
    repaired: /directory 2 made again, in \/lost\+found\/#2/,
  },
  {
    what: 'a file lost its entry',
    sql: 'DELETE FROM jfs_edge WHERE inode = 4',
    findings: [/inode 4 has no entry/, sums],
    repaired: /inode 4 put into \/lost\+found\/#4/,
  },
  {
    what: 'a directory lost its entry',
    sql: 'DELETE FROM jfs_edge WHERE inode = 2',
    findings: [/inode 2 has no entry/, links, sums],
    repaired: /inode 2 put into \/lost\+found\/#2/,
  },
  {
    what: 'an entry leads nowhere',
    sql: "INSERT INTO jfs_edge (parent, name, inode, type) VALUES (2, x'78', 777, 1)",
    findings: [/entry for inode 777, which does not exist: "x"/],
    repaired: /entry "x" of directory 2: removed, nothing is left of inode 777/,
  },
  {
    what: 'an entry lies in a file',
    sql: "INSERT INTO jfs_edge (parent, name, inode, type) VALUES (4, x'78', 4, 1)",
    findings: [/inode 4 has an entry in inode 4, which is no directory/, links],
    repaired: /an entry that lay in no directory removed/,
  },
  {
    what: 'names that cannot be',
    sql: `UPDATE jfs_edge SET name = x'' WHERE inode = 4; UPDATE jfs_edge SET name = zeroblob(256) WHERE inode = 5`,
    findings: [/entry for inode 4 with a name of 0 bytes/, /entry for inode 5 with a name of 256 bytes/],
    repaired: /entry of inode 4 in directory 2 renamed to #4/,
  },
  {
    what: 'a wrong type',
    sql: 'UPDATE jfs_edge SET type = 2 WHERE inode = 4',
    findings: [/inode 4 is of type 1, its entry says 2/, links],
    repaired: /entry of inode 4: type set to 1/,
  },
  {
    what: 'a directory with two entries, one of them in itself',
    sql: "INSERT INTO jfs_edge (parent, name, inode, type) VALUES (2, x'78', 2, 2)",
    findings: [/directory 2 has 2 entries/, links, sums],
    repaired: /directory 2: entries beyond the one in its parent removed/,
  },
  {
    what: 'a loop of directories without a way in',
    sql: `${COPY(2, { inode: '700', parent: '701', nlink: '3' })}; ${COPY(2, { inode: '701', parent: '700', nlink: '3' })};
      INSERT INTO jfs_edge (parent, name, inode, type) VALUES (700, x'61', 701, 2), (701, x'62', 700, 2)`,
    findings: [/directory 70[01] cannot be reached/, totals, /directory 70[01] has no sums/],
    repaired: /directory 70[01], part of a loop, put into \/lost\+found\/#70[01]/,
  },
  {
    what: 'data without a file',
    sql: 'UPDATE jfs_chunk SET inode = 900 WHERE inode = 4',
    findings: [/inode 900 has data, and is no file/],
    repaired: /data of inode 900, which was no file, put into \/lost\+found\/#900/,
  },
  {
    what: 'data of a directory',
    sql: 'UPDATE jfs_chunk SET inode = 2 WHERE inode = 4',
    findings: [/inode 2 has data, and is no file/],
    repaired: /data of inode 2, which was no file, put into \/lost\+found/,
  },
  {
    what: 'a link without its target',
    sql: 'DELETE FROM jfs_symlink',
    findings: [/symbolic link \d+ has no target/],
    repaired: /symbolic link \d+ removed: its target is lost/,
  },
  {
    what: 'a wrong parent',
    sql: 'UPDATE jfs_node SET parent = 999 WHERE inode = 4',
    findings: [/inode 4 names directory 999 as its parent/],
    repaired: /inode 4: parent set/,
  },
  {
    what: 'a directory without a parent',
    sql: 'UPDATE jfs_node SET parent = 0 WHERE inode = 2',
    findings: [/inode 2 names directory 0 as its parent/],
    repaired: /inode 2: parent set/,
  },
  {
    what: 'wrong link counts',
    sql: 'UPDATE jfs_node SET nlink = 5 WHERE inode IN (2, 4)',
    findings: [/inode 4 has link count 5, and 1 entries/, /directory 2 has link count 5, not 2/],
    repaired: /inode 4: link count set from 5 to 1/,
  },
  {
    what: 'rows of nodes that are gone',
    sql: `INSERT INTO jfs_xattr (inode, name, value) VALUES (999, 'user.a', 'b'); INSERT INTO jfs_symlink VALUES (999, 'a');
      INSERT INTO jfs_dir_quota VALUES (999, 0, 0, 0, 0); INSERT INTO jfs_detached_node VALUES (999, 1);
      INSERT INTO jfs_session2 VALUES (1, 1, x'7b7d'); INSERT INTO jfs_sustained (sid, inode) VALUES (1, 999)`,
    findings: [
      /link target is kept for inode 999/,
      /attribute is kept for inode 999/,
      /quota is kept for directory 999/,
      /inode 999 is said to be half a clone/,
      /inode 999 is kept for session 1, and does not exist/,
    ],
    repaired: /inode 999: extended attributes dropped/,
  },
  {
    what: 'what a dead client left',
    sql: `${COPY(4, { inode: '800', nlink: '0', parent: '1' })}; INSERT INTO jfs_sustained (sid, inode) VALUES (55, 800);
      INSERT INTO jfs_flock (inode, sid, owner, ltype) VALUES (4, 55, 1, 1)`,
    findings: [/inode 800 is kept for session 55, which is gone/, /inode 4 is locked by session 55/, totals],
    repaired: /1 sessions of clients that are gone ended/,
  },
  {
    what: 'a file that is said to be deleted',
    sql: 'INSERT INTO jfs_delfile VALUES (4, 10, 10)',
    findings: [/inode 4 is said to be deleted, and exists/],
    repaired: /inode 4: mark of a deleted file dropped/,
  },
  {
    what: 'a count too high, one too low, one missing, one of nothing, and the row of slice 0',
    sql: `UPDATE jfs_chunk_ref SET refs = 7 WHERE chunkid = 1; UPDATE jfs_chunk_ref SET refs = 0 WHERE chunkid = 2;
      DELETE FROM jfs_chunk_ref WHERE chunkid = 3; INSERT INTO jfs_chunk_ref VALUES (40, 10, 2), (0, 0, 3)`,
    findings: [
      /slice 1 is used 1 times and counted 7 times/,
      /slice 2 is used 1 times and counted 0 times/,
      /slice 3 is used 1 times and counted 0 times/,
      /slice 40 is used 0 times and counted 2 times/,
      /slice 0 is counted/,
    ],
    repaired: /slice 1: count set from 7 to 1/,
  },
  {
    what: 'a wrong size of a slice',
    sql: 'UPDATE jfs_chunk_ref SET size = 7 WHERE chunkid = 1',
    findings: [/slice 1 has \d+ bytes in chunks and 7/],
    repaired: /slice 1: size set from 7/,
  },
  {
    what: 'counters that would give ids out again',
    sql: "UPDATE jfs_counter SET value = 1 WHERE name IN ('nextInode', 'nextChunk')",
    findings: [
      /inode \d+ exists, and the next to be given out is 1/,
      /slice \d+ exists, and the next/,
      /has objects, and the next/,
    ],
    repaired: /counter nextInode raised/,
  },
  {
    what: 'wrong figures',
    sql: `UPDATE jfs_counter SET value = 1 WHERE name IN ('usedSpace', 'totalInodes');
      UPDATE jfs_dir_stats SET used_space = -5 WHERE inode = 1; DELETE FROM jfs_dir_stats WHERE inode = 2;
      INSERT INTO jfs_dir_quota VALUES (2, 1000000000, 0, 7, 7)`,
    findings: [totals, sums, /directory 2 has no sums/, /quota of directory 2 counts 7 bytes and 7 inodes/],
    repaired: /quota of directory 2: usage counted anew/,
  },
];

/** Of a volume in either kind of database. */
export function damage(place: Place, sql: string): void {
  if (place instanceof EmbeddedPlace) {
    const database = new DatabaseSync(place.database);
    database.exec(sql);
    database.close();
  } else psql(place.metaUrl, inItsWords(sql));
}
