// The checker itself: sound on what the original client made, and it sees damage of each kind.
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, test } from 'node:test';
import { violations } from './invariants.ts';

const volumes = join(import.meta.dirname, '../volumes');
const folder = mkdtempSync(join(tmpdir(), 'pageseal-invariants-'));
after(() => rmSync(folder, { recursive: true }));

for (const { name } of readdirSync(volumes, { withFileTypes: true }).filter((entry) => entry.isDirectory()))
  test(`volume ${name} of the original client is sound`, () => {
    const file = join(folder, `${name}.db`);
    cpSync(join(volumes, name, 'meta.db'), file);
    assert.deepEqual(violations(file, { original: true }), []);
  });

const damages: readonly [sql: string, seen: RegExp][] = [
  ['DELETE FROM jfs_node WHERE inode = (SELECT MAX(inode) FROM jfs_node WHERE type = 1)', /leads to no node/],
  ['DELETE FROM jfs_edge WHERE id = (SELECT MAX(id) FROM jfs_edge WHERE type = 1)', /nobody keeps it/],
  ['UPDATE jfs_node SET nlink = nlink + 1 WHERE type = 1', /not the number of entries/],
  ['UPDATE jfs_node SET nlink = nlink + 1 WHERE inode = 1', /not 2 and its child directories/],
  ['UPDATE jfs_node SET parent = 12345 WHERE type = 3', /without such an entry/],
  ['DELETE FROM jfs_symlink', /symlink without its target/],
  ["INSERT INTO jfs_xattr (inode, name, value) VALUES (99999, 'user.a', x'')", /attribute of no node/],
  ['UPDATE jfs_chunk_ref SET refs = refs + 1 WHERE refs > 0', /refs 2, referred to 1/],
  ['UPDATE jfs_chunk SET inode = 88888 WHERE id = 1', /chunk of no file/],
  ['UPDATE jfs_dir_stats SET used_inodes = used_inodes + 1', /sums of a directory/],
  ["UPDATE jfs_counter SET value = value + 1 WHERE name = 'totalInodes'", /totals of the volume/],
  ['INSERT INTO jfs_delslices SELECT 9999, 1, zeroblob(11)', /delslices of 9999 have 11 bytes/],
  ['INSERT INTO jfs_dir_quota VALUES (1, 0, 0, 4096, 1)', /usage of a quota/],
  [
    `UPDATE jfs_setting SET value = json_set(value, '$.UserGroupQuota', json('true')) WHERE name = 'format'`,
    /usage of a user or group/,
  ],
  ["UPDATE jfs_counter SET value = 3 WHERE name = 'nextInode'", /nextInode is behind/],
];

for (const [sql, seen] of damages)
  test(`seen: ${sql.slice(0, 60)}`, () => {
    const file = join(folder, 'damaged.db');
    cpSync(join(volumes, 'plain', 'meta.db'), file);
    const database = new DatabaseSync(file);
    database.exec(sql);
    database.close();
    assert.match(violations(file, { original: true, quotas: true }).join('\n'), seen);
  });
