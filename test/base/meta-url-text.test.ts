// What of a metadata url may be shown and written down.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withoutSecrets } from '../../src/base/meta-url-text.ts';

const PEM = '-----BEGIN PRIVATE KEY-----\ncanary+/=\n-----END PRIVATE KEY-----\n';

test('who and where stay, passwords and PEM text go', () => {
  const shown = {
    'sqlite3:///srv/a@b?c.db': 'sqlite3:///srv/a@b?c.db',
    'postgres://me:canary@db:5432/m': 'postgres://me@db:5432/m',
    'postgres://db/m': 'postgres://db/m',
    'postgres://me:can@ary@db/m?sslmode=verify-full': 'postgres://me@db/m?sslmode=verify-full',
    'postgres://me:p/canary@db/m': 'postgres://me@db/m',
    'postgres://me:p?canary@db/m': 'postgres://me@db/m',
    'postgres://:canary@db/m': 'postgres://@db/m',
    'postgres://me:canary@/m?host=/run/pg&port=5433': 'postgres://me@/m?host=/run/pg&port=5433',
    'postgres://me@db/m?password=canary&sslpassword=canary&later=canary': 'postgres://me@db/m',
    'postgres://me@db/m?search_path=a&sslkey=/k.pem&sslrootcert=ca.pem': 'postgres://me@db/m?search_path=a&sslkey=/k.pem&sslrootcert=ca.pem',
    [`postgres://me@db/m?sslkey=${PEM}&search_path=a`]: 'postgres://me@db/m?search_path=a',
    [`postgres://me@db/m?sslkey=${encodeURIComponent(PEM)}`]: 'postgres://me@db/m',
    [`postgres://me@db/m?sslkey=%2D${encodeURIComponent(PEM.slice(1))}`]: 'postgres://me@db/m',
    'redis://:canary@h/1': 'redis://@h/1',
  }; // biome-ignore format: a table
  for (const [url, text] of Object.entries(shown)) assert.equal(withoutSecrets(url), text);
});
