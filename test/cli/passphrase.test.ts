// Where a passphrase comes from, and that the variable is gone before anything could inherit it.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { keyFromFlags } from '../../src/cli/key-options.ts';
import { passphraseFor } from '../../src/cli/passphrase.ts';
import { takeSecretsFromEnvironment } from '../../src/cli/secrets-environment.ts';
import { makeTemp } from '../harness/temp.ts';

test('one newline at the end of a passphrase file is dropped', async (t) => {
  const temp = makeTemp(t);
  const file = temp.at('passphrase');
  for (const [text, wanted] of [
    ['secret\n', 'secret'],
    ['secret', 'secret'],
    ['two words \n\n', 'two words \n'],
    ['', ''],
  ] as const) {
    writeFileSync(file, text);
    assert.equal((await passphraseFor({ passphraseFile: file }, true, 'Passphrase'))?.toString(), wanted);
  }
});

test('a missing passphrase file is an error', async () => {
  await assert.rejects(passphraseFor({ passphraseFile: '/nowhere/passphrase' }, true, 'Passphrase'), {
    code: 'bad-input',
  });
});

test('the variable leaves the environment when it is read, and may be empty', async () => {
  process.env['JFS_RSA_PASSPHRASE'] = '';
  takeSecretsFromEnvironment();
  assert.equal(process.env['JFS_RSA_PASSPHRASE'], undefined);
  assert.equal((await passphraseFor({}, false, 'Passphrase'))?.length, 0);
  process.env['JFS_RSA_PASSPHRASE'] = 'from the environment';
  takeSecretsFromEnvironment();
  assert.equal((await passphraseFor({}, true, 'Passphrase'))?.toString(), 'from the environment');
});

test('one key is enough', async () => {
  await assert.rejects(keyFromFlags({ rsaKey: 'a', encryptRsaKey: 'b' }), { code: 'bad-input' });
  await assert.rejects(keyFromFlags({ rsaKey: '/nowhere/key.pem' }), { code: 'bad-input' });
  assert.equal(await keyFromFlags({}), undefined);
});
