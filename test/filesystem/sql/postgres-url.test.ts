// URLs of PostgreSQL as the original client spells them, and what of them may be shown.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { hasCode } from '../../../src/base/errors.ts';
import type { PostgresLocation } from '../../../src/filesystem/sql/postgres-url.ts';
import { parseMetaUrl } from '../../../src/filesystem/sql/url.ts';

const SECRET = 'p@ss:w0rd/?';
const at = (rest: string): string => `postgres://jfs:${encodeURIComponent(SECRET)}@${rest}`;

function parsed(url: string): PostgresLocation {
  const location = parseMetaUrl(url);
  assert.ok(location.kind === 'postgres');
  return location;
}

test('user, password, hosts and database are found and decoded', () => {
  const one = parsed(at('db.example:6000/juice%20fs?search_path=volumes&table_prefix=P_1&connect_timeout=3'));
  assert.equal(one.user, 'jfs');
  assert.equal(one.password, SECRET);
  assert.deepEqual(one.hosts, [{ host: 'db.example', port: 6000 }]);
  assert.equal(one.database, 'juice fs');
  assert.equal(one.searchPath, 'volumes');
  assert.equal(one.tablePrefix, 'P_1');
  assert.equal(one.connectTimeoutMs, 3000);
  assert.equal(one.description, 'postgres://db.example:6000/juice fs');
  const many = parsed('postgresql://jfs@a:1,[fd00::1]:2,c/db?target_session_attrs=read-write');
  assert.deepEqual(many.hosts, [
    { host: 'a', port: 1 },
    { host: 'fd00::1', port: 2 },
    { host: 'c', port: 5432 },
  ]);
  assert.equal(many.description, 'postgres://a:1,[fd00::1]:2,c:5432/db');
  const socket = parsed('postgres://jfs@/db?host=/run/postgresql&port=7');
  assert.deepEqual(socket.hosts, [{ host: '/run/postgresql', port: 7 }]);
  assert.equal(parsed('postgres://jfs@h').database, 'jfs');
});

test('every way over a network is verify-full, clear text stays on the machine', () => {
  for (const mode of ['', '?sslmode=require', '?sslmode=verify-ca', '?sslmode=verify-full'])
    for (const host of ['db.example', '127.0.0.1', 'localhost', '[::1]'])
      assert.equal(parsed(at(`${host}/db${mode}`)).transport, 'verify-full');
  for (const mode of ['disable', 'allow', 'prefer']) {
    for (const host of ['127.0.0.1', '127.8.0.1', 'localhost', '[::1]', 'localhost,127.0.0.1'])
      assert.equal(parsed(at(`${host}/db?sslmode=${mode}`)).transport, 'clear');
    for (const host of ['db.example', '10.0.0.1', '127.0.0.1.example', 'localhost.example', 'localhost,db.example'])
      assert.throws(
        () => parsed(at(`${host}/db?sslmode=${mode}`)),
        (thrown) =>
          hasCode(thrown, 'refused') && /clear text/.test(thrown.message) && /sslmode/.test(thrown.hint ?? ''),
      );
  }
  for (const mode of ['', '?sslmode=disable']) {
    const socket = `postgres://jfs@/db?host=/run/postgresql${mode.replace('?', '&')}`;
    assert.equal(parsed(socket).transport, 'clear');
  }
});

test('what cannot be meant is refused, without showing what it holds', () => {
  for (const bad of [
    'h/db?sslmode=on',
    'h/db?sslmod=disable',
    'h/db?search_path=a,b',
    'h/db?table_prefix=a-b',
    'h/db?sslcert=/a',
    'h/db?connect_timeout=soon',
    'h:99999/db',
    'h:x/db',
    '/db',
    'h/%00',
    'h/db?target_session_attrs=standby',
    'h/%zz',
  ])
    assert.throws(
      () => parseMetaUrl(at(bad)),
      (thrown) => {
        assert.ok(hasCode(thrown, 'bad-input'), `${bad}: ${inspect(thrown)}`);
        assert.doesNotMatch(inspect(thrown), /w0rd/);
        return true;
      },
    );
  assert.throws(() => parseMetaUrl('postgres://h/db'), /no user/);
  assert.throws(
    () => parseMetaUrl('postgres://jfs:w0rd%zz@h/db'),
    (thrown) => hasCode(thrown, 'bad-input') && !inspect(thrown).includes('w0rd'),
  );
});
