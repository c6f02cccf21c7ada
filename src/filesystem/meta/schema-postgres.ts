// The tables on PostgreSQL. Those named jfs_* are the original client's, letter for letter and in its order: at every mount
// it compares them with what it expects, and fails over an index of another name. So they carry nothing of ours; our own
// tables stand beside them, in the same schema: the first of search_path that exists.
import { query } from '../sql/op.ts';
import { textAt } from './rows.ts';
import type { Schema } from './schema.ts';

const original: readonly string[] = [
  'CREATE TABLE IF NOT EXISTS "jfs_setting" ("name" VARCHAR(255) PRIMARY KEY NOT NULL, "value" TEXT NOT NULL)',
  'CREATE TABLE IF NOT EXISTS "jfs_counter" ("name" VARCHAR(255) PRIMARY KEY NOT NULL, "value" BIGINT NOT NULL)',
  'CREATE TABLE IF NOT EXISTS "jfs_edge" ("id" BIGSERIAL PRIMARY KEY NOT NULL, "parent" BIGINT NOT NULL, "name" BYTEA NOT NULL, "inode" BIGINT NOT NULL, "type" INTEGER NOT NULL)',
  'CREATE UNIQUE INDEX IF NOT EXISTS "UQE_jfs_edge_edge" ON "jfs_edge" ("parent","name")',
  'CREATE INDEX IF NOT EXISTS "IDX_jfs_edge_inode" ON "jfs_edge" ("inode")',
  'CREATE TABLE IF NOT EXISTS "jfs_node" ("inode" BIGINT PRIMARY KEY NOT NULL, "type" INTEGER NOT NULL, "flags" INTEGER NOT NULL, "mode" INTEGER NOT NULL, "uid" INTEGER NOT NULL, "gid" INTEGER NOT NULL, "atime" BIGINT NOT NULL, "mtime" BIGINT NOT NULL, "ctime" BIGINT NOT NULL, "atimensec" INTEGER DEFAULT 0 NOT NULL, "mtimensec" INTEGER DEFAULT 0 NOT NULL, "ctimensec" INTEGER DEFAULT 0 NOT NULL, "nlink" INTEGER NOT NULL, "length" BIGINT NOT NULL, "rdev" INTEGER NULL, "parent" BIGINT NULL, "access_acl_id" INTEGER NULL, "default_acl_id" INTEGER NULL, "tier_id" INTEGER NULL)',
  'CREATE TABLE IF NOT EXISTS "jfs_symlink" ("inode" BIGINT PRIMARY KEY NOT NULL, "target" BYTEA NOT NULL)',
  'CREATE TABLE IF NOT EXISTS "jfs_xattr" ("id" BIGSERIAL PRIMARY KEY NOT NULL, "inode" BIGINT NOT NULL, "name" VARCHAR(255) NOT NULL, "value" BYTEA NOT NULL)',
  'CREATE UNIQUE INDEX IF NOT EXISTS "UQE_jfs_xattr_name" ON "jfs_xattr" ("inode","name")',
  'CREATE TABLE IF NOT EXISTS "jfs_chunk" ("id" BIGSERIAL PRIMARY KEY NOT NULL, "inode" BIGINT NOT NULL, "indx" INTEGER NOT NULL, "slices" BYTEA NOT NULL)',
  'CREATE UNIQUE INDEX IF NOT EXISTS "UQE_jfs_chunk_chunk" ON "jfs_chunk" ("inode","indx")',
  'CREATE TABLE IF NOT EXISTS "jfs_chunk_ref" ("chunkid" BIGINT PRIMARY KEY NOT NULL, "size" INTEGER NOT NULL, "refs" INTEGER NOT NULL)',
  'CREATE INDEX IF NOT EXISTS "IDX_jfs_chunk_ref_refs" ON "jfs_chunk_ref" ("refs")',
  'CREATE TABLE IF NOT EXISTS "jfs_delslices" ("chunkid" BIGINT PRIMARY KEY NOT NULL, "deleted" BIGINT NOT NULL, "slices" BYTEA NOT NULL)',
  'CREATE TABLE IF NOT EXISTS "jfs_session2" ("sid" BIGINT PRIMARY KEY NOT NULL, "expire" BIGINT NOT NULL, "info" BYTEA NULL)',
  'CREATE TABLE IF NOT EXISTS "jfs_sustained" ("id" BIGSERIAL PRIMARY KEY NOT NULL, "sid" BIGINT NOT NULL, "inode" BIGINT NOT NULL)',
  'CREATE UNIQUE INDEX IF NOT EXISTS "UQE_jfs_sustained_sustained" ON "jfs_sustained" ("sid","inode")',
  'CREATE TABLE IF NOT EXISTS "jfs_delfile" ("inode" BIGINT PRIMARY KEY NOT NULL, "length" BIGINT NOT NULL, "expire" BIGINT NOT NULL)',
  'CREATE TABLE IF NOT EXISTS "jfs_flock" ("id" BIGSERIAL PRIMARY KEY NOT NULL, "inode" BIGINT NOT NULL, "sid" BIGINT NOT NULL, "owner" BIGINT NOT NULL, "ltype" INTEGER NOT NULL)',
  'CREATE UNIQUE INDEX IF NOT EXISTS "UQE_jfs_flock_flock" ON "jfs_flock" ("inode","sid","owner")',
  'CREATE TABLE IF NOT EXISTS "jfs_plock" ("id" BIGSERIAL PRIMARY KEY NOT NULL, "inode" BIGINT NOT NULL, "sid" BIGINT NOT NULL, "owner" BIGINT NOT NULL, "records" BYTEA NOT NULL)',
  'CREATE UNIQUE INDEX IF NOT EXISTS "UQE_jfs_plock_plock" ON "jfs_plock" ("inode","sid","owner")',
  'CREATE TABLE IF NOT EXISTS "jfs_dir_quota" ("inode" BIGINT PRIMARY KEY NOT NULL, "max_space" BIGINT NOT NULL, "max_inodes" BIGINT NOT NULL, "used_space" BIGINT NOT NULL, "used_inodes" BIGINT NOT NULL)',
  'CREATE TABLE IF NOT EXISTS "jfs_user_group_quota" ("qtype" INTEGER NOT NULL, "qkey" BIGINT NOT NULL, "max_space" BIGINT NOT NULL, "max_inodes" BIGINT NOT NULL, "used_space" BIGINT NOT NULL, "used_inodes" BIGINT NOT NULL, PRIMARY KEY ( "qtype","qkey" ))',
  'CREATE TABLE IF NOT EXISTS "jfs_dir_stats" ("inode" BIGINT PRIMARY KEY NOT NULL, "data_length" BIGINT NOT NULL, "used_space" BIGINT NOT NULL, "used_inodes" BIGINT NOT NULL)',
  'CREATE TABLE IF NOT EXISTS "jfs_detached_node" ("inode" BIGINT PRIMARY KEY NOT NULL, "added" BIGINT NOT NULL)',
  'CREATE TABLE IF NOT EXISTS "jfs_acl" ("id" SERIAL PRIMARY KEY NOT NULL, "owner" INTEGER NULL, "group" INTEGER NULL, "mask" INTEGER NULL, "other" INTEGER NULL, "named_users" BYTEA NULL, "named_groups" BYTEA NULL)',
  'CREATE TABLE IF NOT EXISTS "jfs_delegation_token" ("id" SERIAL PRIMARY KEY NOT NULL, "token" BYTEA NULL)',
  'CREATE TABLE IF NOT EXISTS "jfs_change_log" ("id" BIGSERIAL PRIMARY KEY NOT NULL, "entry" TEXT NOT NULL)',
];

/** Texts compare by their bytes, as on SQLite, whatever the database's own order is. */
const ours: readonly string[] = [
  'CREATE TABLE IF NOT EXISTS pageseal_setting (name TEXT COLLATE "C" PRIMARY KEY NOT NULL, value BYTEA NOT NULL)',
  'CREATE TABLE IF NOT EXISTS pageseal_page (slice_id BIGINT NOT NULL, indx INTEGER NOT NULL, tag BYTEA NOT NULL, page_key BYTEA NOT NULL, PRIMARY KEY (slice_id, indx))',
  'CREATE TABLE IF NOT EXISTS pageseal_volume (id TEXT COLLATE "C" PRIMARY KEY NOT NULL, request TEXT COLLATE "C" NOT NULL, inode BIGINT NOT NULL, params TEXT COLLATE "C" NOT NULL, capacity BIGINT NOT NULL, state TEXT COLLATE "C" NOT NULL)',
  'CREATE TABLE IF NOT EXISTS pageseal_snapshot (id TEXT COLLATE "C" PRIMARY KEY NOT NULL, request TEXT COLLATE "C" NOT NULL, volume TEXT COLLATE "C" NOT NULL, inode BIGINT NOT NULL, created BIGINT NOT NULL, capacity BIGINT NOT NULL, state TEXT COLLATE "C" NOT NULL)',
  'CREATE TABLE IF NOT EXISTS pageseal_request (mount BIGINT NOT NULL, slot BIGINT NOT NULL, "unique" BIGINT NOT NULL, reply BYTEA NOT NULL, sid BIGINT NOT NULL, PRIMARY KEY (mount, slot))',
  'CREATE TABLE IF NOT EXISTS pageseal_lease (inode BIGINT PRIMARY KEY NOT NULL, node TEXT COLLATE "C" NOT NULL, epoch BIGINT NOT NULL, expires BIGINT NOT NULL)',
  'CREATE TABLE IF NOT EXISTS pageseal_lock (name TEXT COLLATE "C" PRIMARY KEY NOT NULL, record BYTEA NOT NULL, since BIGINT NOT NULL)',
  'CREATE TABLE IF NOT EXISTS pageseal_usage (sid BIGINT NOT NULL, inode BIGINT NOT NULL, total_space BIGINT NOT NULL, total_inodes BIGINT NOT NULL, length BIGINT NOT NULL, space BIGINT NOT NULL, inodes BIGINT NOT NULL, tree_space BIGINT NOT NULL, tree_inodes BIGINT NOT NULL, PRIMARY KEY (sid, inode))',
  'CREATE TABLE IF NOT EXISTS pageseal_owner_usage (sid BIGINT NOT NULL, qtype BIGINT NOT NULL, qkey BIGINT NOT NULL, space BIGINT NOT NULL, inodes BIGINT NOT NULL, PRIMARY KEY (sid, qtype, qkey))',
];

/** Relations of the schema, as pg_catalog knows them: information_schema leaves out what the role may not touch. */
const RELATIONS =
  'pg_catalog.pg_class c JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace AND s.nspname = current_schema()';
/** Tables, partitioned ones, views, materialised ones, foreign ones. */
const HAS_ROWS = "c.relkind IN ('r', 'p', 'v', 'm', 'f')";

export const postgresSchema: Schema = {
  // Two that make the same table at once would both find it missing. The number is any, but ours; held until the commit.
  lock: ['SELECT pg_advisory_xact_lock(7236832541297)'],
  original,
  ours,
  columnsOfNode: query(
    `SELECT CAST(a.attname AS TEXT) FROM ${RELATIONS} JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
     WHERE c.relname = 'jfs_node' AND a.attnum > 0 AND NOT a.attisdropped`,
    [],
    (row) => textAt(row, 0),
  ),
  tablesNamed: (name) =>
    query(`SELECT CAST(c.relname AS TEXT) FROM ${RELATIONS} WHERE ${HAS_ROWS} AND c.relname = '${name}'`, [], (row) =>
      textAt(row, 0),
    ),
  anyTable: query(`SELECT CAST(c.relname AS TEXT) FROM ${RELATIONS} WHERE ${HAS_ROWS} LIMIT 1`, [], (row) =>
    textAt(row, 0),
  ),
};
