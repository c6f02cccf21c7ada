// Where a Secret may send a node: each way round the rule, tried.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../src/base/errors.ts';
import { checkEndpoint, parseEndpoints } from '../../src/config/endpoints.ts';

const all = parseEndpoints('');
const some = parseEndpoints('db.example.com:5432, *.s3.example.com ,10.1.0.0/16,[fd12::]/16:443');
const allowed = (host: string, port: number, endpoints = all): boolean => {
  try {
    checkEndpoint(host, port, endpoints, 'secret: metaurl');
    return true;
  } catch (error) {
    assert(hasCode(error, 'refused', 'bad-input'), String(error));
    return false;
  }
};

test('without a list everything but this machine and its link', () => {
  for (const host of [
    'db.example.com',
    'a',
    'postgres.db.svc',
    '10.0.0.1',
    '192.168.7.9',
    '[2001:db8::1]',
    '[fd00::1]',
  ])
    assert(allowed(host, 5432), host);
});

test('this machine, its link, and services of the cloud that only a node can see', () => {
  const local = [
    'localhost', 'db.localhost', 'localhost.localdomain', '127.0.0.1', '127.9.9.9', '0.0.0.0', '0.1.2.3', '169.254.169.254', '224.0.0.1',
    '255.255.255.255', '[::1]', '[::]', '[fe80::1]', '[ff02::1]', '[fd00:ec2::254]', '[::ffff:7f00:1]', '[::ffff:a9fe:a9fe]',
    '[::7f00:1]', '[64:ff9b::a9fe:a9fe]',
  ]; // biome-ignore format: a list
  for (const host of local) assert(!allowed(host, 443), host);
});

test('other spellings of them, which resolvers understand', () => {
  const odd = [
    'localhost.', 'LOCALHOST', '127.1', '2130706433', '0x7f000001', '0177.0.0.1', '127.0.0.1.', '0x7f.1', '017700000001',
    '169.254.43518', '[::ffff:127.0.0.1]', '[0:0:0:0:0:0:0:1]', '[::FFFF:7F00:1]', '[fe80::1%eth0]', '①②⑦.0.0.1', 'loc%61lhost', 'db..example.com',
    'db_example', 'example.com.', 'a b', '', '.', 'db.example.com,localhost', 'user@localhost', '[2001:DB8::1]', '[2001:db8:0:0:0:0:0:1]', 'db/x', 'db#', 'db?x',
  ]; // biome-ignore format: a list
  for (const host of odd) assert(!allowed(host, 443), host);
});

test('with a list, what it names and nothing else', () => {
  assert(allowed('db.example.com', 5432, some));
  assert(!allowed('db.example.com', 5433, some));
  assert(!allowed('evil-db.example.com', 5432, some));
  assert(!allowed('db.example.com.evil.org', 5432, some));
  assert(allowed('bucket.s3.example.com', 443, some));
  assert(allowed('a.b.s3.example.com', 9000, some));
  assert(!allowed('s3.example.com', 443, some));
  assert(!allowed('evils3.example.com', 443, some));
  assert(allowed('10.1.200.3', 1, some));
  assert(!allowed('10.2.0.1', 1, some));
  assert(allowed('[fd12::9]', 443, some));
  assert(!allowed('[fd12::9]', 80, some));
  assert(!allowed('127.0.0.1', 443, parseEndpoints('127.0.0.0/8')), 'no list opens the node itself');
});

test('a pattern that says nothing is refused, not left out', () => {
  for (const text of ['*', '*.', 'https://db', 'db/x', '10.0.0.0/33', 'a:b', '[::1', '*.*.com', 'a b', '1.2.3'])
    assert.throws(
      () => parseEndpoints(text),
      (error) => hasCode(error, 'bad-input'),
      text,
    );
});
