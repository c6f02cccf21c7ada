// The password that does not stand in a META-URL: from the environment or a file, and not over one that does.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { hasCode } from '../../src/base/errors.ts';
import { splitMetaUrl, withPassword } from '../../src/cli/meta-url.ts';
import { takeSecretsFromEnvironment } from '../../src/cli/secrets-environment.ts';
import { makeTemp } from '../harness/temp.ts';

const temp = makeTemp();

test('a password from a file, as it is and not as a url would have it', () => {
  const file = temp.at('password');
  writeFileSync(file, 'p@s/s: ä?#\n');
  process.env['META_PASSWORD_FILE'] = file;
  const escaped = 'p%40s%2Fs%3A%20%C3%A4%3F%23';
  assert.equal(
    withPassword('postgres://me@db:5432/m?search_path=a'),
    `postgres://me:${escaped}@db:5432/m?search_path=a`,
  );
  assert.equal(withPassword('postgres://me:@db/m'), `postgres://me:${escaped}@db/m`);
  assert.equal(withPassword('postgres://me@/m?host=/run/pg'), `postgres://me:${escaped}@/m?host=/run/pg`);
  assert.equal(withPassword('postgresql://me@db/m'), `postgresql://me:${escaped}@db/m`);
  assert.equal(withPassword('postgres://me:own@db/m'), 'postgres://me:own@db/m');
  assert.equal(withPassword('sqlite3:///a@b.db'), 'sqlite3:///a@b.db');
  process.env['META_PASSWORD_FILE'] = temp.at('missing');
  assert.throws(
    () => withPassword('postgres://me@db/m'),
    (error) => hasCode(error, 'bad-input'),
  );
  delete process.env['META_PASSWORD_FILE'];
  assert.equal(withPassword('postgres://me@db/m'), 'postgres://me@db/m');
});

test('META_PASSWORD comes first, and no child inherits it', () => {
  process.env['META_PASSWORD'] = 'direct';
  process.env['META_PASSWORD_FILE'] = temp.at('password');
  takeSecretsFromEnvironment();
  assert.equal(process.env['META_PASSWORD'], undefined);
  assert.equal(withPassword('postgres://me@db/m'), 'postgres://me:direct@db/m');
  assert.deepEqual(splitMetaUrl(['postgres://me@db/m', '/a', '/b']), {
    metaUrl: 'postgres://me:direct@db/m',
    paths: ['/a', '/b'],
  });
  assert.deepEqual(splitMetaUrl(['/a', '/b']), { metaUrl: undefined, paths: ['/a', '/b'] });
  delete process.env['META_PASSWORD_FILE'];
});
