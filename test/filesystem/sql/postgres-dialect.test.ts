// The portable texts as PostgreSQL takes them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../../src/base/errors.ts';
import { isOtherCount, PostgresDialect, wireValue } from '../../../src/filesystem/sql/postgres-dialect.ts';

const plain = new PostgresDialect('');

test('placeholders carry a number and their type, texts are left alone', () => {
  const text = "SELECT BYTES(BYTES(a) || ?), '?' FROM jfs_node WHERE b = ? AND c = ? AND d = ? FOR UPDATE";
  const params = [Buffer.from('x'), 1n, 'y', null];
  const wanted = "SELECT a || $1::bytea, '?' FROM jfs_node WHERE b = $2::int8 AND c = $3::text AND d = $4";
  assert.equal(plain.text(text, params, 'locking'), `${wanted} FOR UPDATE`);
  assert.equal(plain.text(text, params, 'view'), wanted);
  // Another kind of value is another statement.
  assert.match(plain.text(text, [null, 1n, 'y', 2n], 'view'), /a \|\| \$1, .* d = \$4::int8$/);
  for (const params of [[], [1n, 2n]])
    assert.throws(
      () => plain.text('SELECT ?', params, 'view'),
      (thrown) => hasCode(thrown, 'internal'),
    );
});

test('values go out as texts', () => {
  assert.deepEqual(
    [2n ** 63n - 1n, -1n, 'a', null, new Uint8Array([0, 255]), Buffer.from('xabcx').subarray(1, 2)].map(wireValue),
    ['9223372036854775807', '-1', 'a', null, '\\x00ff', '\\x61'],
  );
});

test('a prefix goes into names; with capitals they are quoted', () => {
  const text = 'SELECT jfs_node.inode, p.tag FROM jfs_node, pageseal_page p';
  assert.equal(
    new PostgresDialect('p1_').text(text, [], 'view'),
    'SELECT jfs_p1_node.inode, p.tag FROM jfs_p1_node, pageseal_p1_page p',
  );
  assert.equal(
    new PostgresDialect('P_').text(text, [], 'view'),
    'SELECT "jfs_P_node".inode, p.tag FROM "jfs_P_node", "pageseal_P_page" p',
  );
  const index = 'CREATE UNIQUE INDEX "UQE_jfs_edge_edge" ON jfs_edge (name)';
  assert.equal(
    new PostgresDialect('P_').script(index),
    'CREATE UNIQUE INDEX "UQE_jfs_P_edge_edge" ON "jfs_P_edge" (name)',
  );
});

test('an expectation is part of its statement, and known by what the server says when it fails', () => {
  const text = plain.counted('DELETE FROM jfs_node WHERE inode = ?', [1n]);
  assert.match(text, /^WITH changed AS \(DELETE FROM jfs_node WHERE inode = \$1::int8 RETURNING 1\) .* = \$2::int8 /);
  assert.ok(isOtherCount('invalid input syntax for type integer: "pageseal: other row count: 0"'));
  assert.ok(!isOtherCount('invalid input syntax for type integer: "x"'));
});
