// What a worker learns of the environment of who started it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { environmentFor, identityVariables } from '../../src/config/worker-environment.ts';
import { s3Kinds } from '../../src/filesystem/store/s3-kinds.ts';

const all = {
  PATH: '/bin',
  NODE_OPTIONS: '--require /evil.js',
  LD_PRELOAD: '/evil.so',
  HTTPS_PROXY: 'http://proxy:3128',
  NO_PROXY: '',
  NODE_EXTRA_CA_CERTS: '/ca.pem',
  AWS_WEB_IDENTITY_TOKEN_FILE: '/token',
  AWS_SECRET_ACCESS_KEY: 'secret',
  META_PASSWORD: 'secret',
};

test('names on the list and nothing else, and who one is only for volumes without credentials', () => {
  const network = { HTTPS_PROXY: 'http://proxy:3128', NODE_EXTRA_CA_CERTS: '/ca.pem' };
  assert.deepEqual(environmentFor({ withIdentity: false }, all), network);
  const identity = { AWS_SECRET_ACCESS_KEY: 'secret', AWS_WEB_IDENTITY_TOKEN_FILE: '/token' };
  assert.deepEqual(environmentFor({ withIdentity: true }, all), { ...network, ...identity });
});

test('the variables of every kind of store are on it', () => {
  const names = Object.values(s3Kinds).flatMap((kind) => ('variables' in kind ? kind.variables : []));
  assert(names.length > 10);
  for (const name of names) assert(identityVariables.includes(name), name);
});
