// The tables on SQLite. Those named jfs_* are the original client's, letter for letter and in its order: it parses this
// text at every mount, drops indexes it does not know and fails when it cannot. So they carry nothing of ours; our own
// tables stand beside them.
import { query } from '../sql/op.ts';
import { textAt } from './rows.ts';
import type { Schema } from './schema.ts';

/** The catalogue of SQLite does not keep IF NOT EXISTS, so running this again changes nothing. */
const original: readonly string[] = [
  'CREATE TABLE IF NOT EXISTS `jfs_setting` (`name` TEXT PRIMARY KEY NOT NULL, `value` TEXT NOT NULL)',
  'CREATE TABLE IF NOT EXISTS `jfs_counter` (`name` TEXT PRIMARY KEY NOT NULL, `value` INTEGER NOT NULL)',
  'CREATE TABLE IF NOT EXISTS `jfs_edge` (`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `parent` INTEGER NOT NULL, `name` BLOB NOT NULL, `inode` INTEGER NOT NULL, `type` INTEGER NOT NULL)',
  'CREATE UNIQUE INDEX IF NOT EXISTS `UQE_jfs_edge_edge` ON `jfs_edge` (`parent`,`name`)',
  'CREATE INDEX IF NOT EXISTS `IDX_jfs_edge_inode` ON `jfs_edge` (`inode`)',
  'CREATE TABLE IF NOT EXISTS `jfs_node` (`inode` INTEGER PRIMARY KEY NOT NULL, `type` INTEGER NOT NULL, `flags` INTEGER NOT NULL, `mode` INTEGER NOT NULL, `uid` INTEGER NOT NULL, `gid` INTEGER NOT NULL, `atime` INTEGER NOT NULL, `mtime` INTEGER NOT NULL, `ctime` INTEGER NOT NULL, `atimensec` INTEGER DEFAULT 0 NOT NULL, `mtimensec` INTEGER DEFAULT 0 NOT NULL, `ctimensec` INTEGER DEFAULT 0 NOT NULL, `nlink` INTEGER NOT NULL, `length` INTEGER NOT NULL, `rdev` INTEGER NULL, `parent` INTEGER NULL, `access_acl_id` INTEGER NULL, `default_acl_id` INTEGER NULL, `tier_id` INTEGER NULL)',
  'CREATE TABLE IF NOT EXISTS `jfs_symlink` (`inode` INTEGER PRIMARY KEY NOT NULL, `target` BLOB NOT NULL)',
  'CREATE TABLE IF NOT EXISTS `jfs_xattr` (`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `inode` INTEGER NOT NULL, `name` TEXT NOT NULL, `value` BLOB NOT NULL)',
  'CREATE UNIQUE INDEX IF NOT EXISTS `UQE_jfs_xattr_name` ON `jfs_xattr` (`inode`,`name`)',
  'CREATE TABLE IF NOT EXISTS `jfs_chunk` (`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `inode` INTEGER NOT NULL, `indx` INTEGER NOT NULL, `slices` BLOB NOT NULL)',
  'CREATE UNIQUE INDEX IF NOT EXISTS `UQE_jfs_chunk_chunk` ON `jfs_chunk` (`inode`,`indx`)',
  'CREATE TABLE IF NOT EXISTS `jfs_chunk_ref` (`chunkid` INTEGER PRIMARY KEY NOT NULL, `size` INTEGER NOT NULL, `refs` INTEGER NOT NULL)',
  'CREATE INDEX IF NOT EXISTS `IDX_jfs_chunk_ref_refs` ON `jfs_chunk_ref` (`refs`)',
  'CREATE TABLE IF NOT EXISTS `jfs_delslices` (`chunkid` INTEGER PRIMARY KEY NOT NULL, `deleted` INTEGER NOT NULL, `slices` BLOB NOT NULL)',
  'CREATE TABLE IF NOT EXISTS `jfs_session2` (`sid` INTEGER PRIMARY KEY NOT NULL, `expire` INTEGER NOT NULL, `info` BLOB NULL)',
  'CREATE TABLE IF NOT EXISTS `jfs_sustained` (`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `sid` INTEGER NOT NULL, `inode` INTEGER NOT NULL)',
  'CREATE UNIQUE INDEX IF NOT EXISTS `UQE_jfs_sustained_sustained` ON `jfs_sustained` (`sid`,`inode`)',
  'CREATE TABLE IF NOT EXISTS `jfs_delfile` (`inode` INTEGER PRIMARY KEY NOT NULL, `length` INTEGER NOT NULL, `expire` INTEGER NOT NULL)',
  'CREATE TABLE IF NOT EXISTS `jfs_flock` (`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `inode` INTEGER NOT NULL, `sid` INTEGER NOT NULL, `owner` INTEGER NOT NULL, `ltype` INTEGER NOT NULL)',
  'CREATE UNIQUE INDEX IF NOT EXISTS `UQE_jfs_flock_flock` ON `jfs_flock` (`inode`,`sid`,`owner`)',
  'CREATE TABLE IF NOT EXISTS `jfs_plock` (`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `inode` INTEGER NOT NULL, `sid` INTEGER NOT NULL, `owner` INTEGER NOT NULL, `records` BLOB NOT NULL)',
  'CREATE UNIQUE INDEX IF NOT EXISTS `UQE_jfs_plock_plock` ON `jfs_plock` (`inode`,`sid`,`owner`)',
  'CREATE TABLE IF NOT EXISTS `jfs_dir_quota` (`inode` INTEGER PRIMARY KEY NOT NULL, `max_space` INTEGER NOT NULL, `max_inodes` INTEGER NOT NULL, `used_space` INTEGER NOT NULL, `used_inodes` INTEGER NOT NULL)',
  'CREATE TABLE IF NOT EXISTS `jfs_user_group_quota` (`qtype` INTEGER NOT NULL, `qkey` INTEGER NOT NULL, `max_space` INTEGER NOT NULL, `max_inodes` INTEGER NOT NULL, `used_space` INTEGER NOT NULL, `used_inodes` INTEGER NOT NULL, PRIMARY KEY ( `qtype`,`qkey` ))',
  'CREATE TABLE IF NOT EXISTS `jfs_dir_stats` (`inode` INTEGER PRIMARY KEY NOT NULL, `data_length` INTEGER NOT NULL, `used_space` INTEGER NOT NULL, `used_inodes` INTEGER NOT NULL)',
  'CREATE TABLE IF NOT EXISTS `jfs_detached_node` (`inode` INTEGER PRIMARY KEY NOT NULL, `added` INTEGER NOT NULL)',
  'CREATE TABLE IF NOT EXISTS `jfs_acl` (`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `owner` INTEGER NULL, `group` INTEGER NULL, `mask` INTEGER NULL, `other` INTEGER NULL, `named_users` BLOB NULL, `named_groups` BLOB NULL)',
  'CREATE TABLE IF NOT EXISTS `jfs_delegation_token` (`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `token` BLOB NULL)',
  'CREATE TABLE IF NOT EXISTS `jfs_change_log` (`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `entry` TEXT NOT NULL)',
];

const ours: readonly string[] = [
  'CREATE TABLE IF NOT EXISTS pageseal_setting (name TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL)',
  // Never scanned by row id and most of a big volume's metadata: without it the primary key is the table.
  'CREATE TABLE IF NOT EXISTS pageseal_page (slice_id INTEGER NOT NULL, indx INTEGER NOT NULL, tag BLOB NOT NULL, page_key BLOB NOT NULL, PRIMARY KEY (slice_id, indx)) WITHOUT ROWID',
  'CREATE TABLE IF NOT EXISTS pageseal_volume (id TEXT PRIMARY KEY NOT NULL, request TEXT NOT NULL, inode INTEGER NOT NULL, params TEXT NOT NULL, capacity INTEGER NOT NULL, state TEXT NOT NULL)',
  'CREATE TABLE IF NOT EXISTS pageseal_snapshot (id TEXT PRIMARY KEY NOT NULL, request TEXT NOT NULL, volume TEXT NOT NULL, inode INTEGER NOT NULL, created INTEGER NOT NULL, capacity INTEGER NOT NULL, state TEXT NOT NULL)',
  'CREATE TABLE IF NOT EXISTS pageseal_request (mount INTEGER NOT NULL, slot INTEGER NOT NULL, "unique" INTEGER NOT NULL, reply BLOB NOT NULL, sid INTEGER NOT NULL, PRIMARY KEY (mount, slot)) WITHOUT ROWID',
  'CREATE TABLE IF NOT EXISTS pageseal_lease (inode INTEGER PRIMARY KEY NOT NULL, node TEXT NOT NULL, epoch INTEGER NOT NULL, expires INTEGER NOT NULL)',
  'CREATE TABLE IF NOT EXISTS pageseal_lock (name TEXT PRIMARY KEY NOT NULL, record BLOB NOT NULL, since INTEGER NOT NULL)',
  'CREATE TABLE IF NOT EXISTS pageseal_usage (sid INTEGER NOT NULL, inode INTEGER NOT NULL, total_space INTEGER NOT NULL, total_inodes INTEGER NOT NULL, length INTEGER NOT NULL, space INTEGER NOT NULL, inodes INTEGER NOT NULL, tree_space INTEGER NOT NULL, tree_inodes INTEGER NOT NULL, PRIMARY KEY (sid, inode)) WITHOUT ROWID',
  'CREATE TABLE IF NOT EXISTS pageseal_owner_usage (sid INTEGER NOT NULL, qtype INTEGER NOT NULL, qkey INTEGER NOT NULL, space INTEGER NOT NULL, inodes INTEGER NOT NULL, PRIMARY KEY (sid, qtype, qkey)) WITHOUT ROWID',
];

export const sqliteSchema: Schema = {
  // Whoever writes has the whole database to himself.
  lock: [],
  original,
  ours,
  columnsOfNode: query("SELECT name FROM pragma_table_info('jfs_node')", [], (row) => textAt(row, 0)),
  tablesNamed: (name) =>
    query(`SELECT name FROM sqlite_master WHERE type = 'table' AND name = '${name}'`, [], (row) => textAt(row, 0)),
  anyTable: query("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite%' LIMIT 1", [], (row) => textAt(row, 0)),
};
