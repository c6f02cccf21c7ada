// Which addresses an object store may be spoken to at.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkTransport } from '../../../src/filesystem/store/https-policy.ts';

const check = (url: string, allowInsecureLoopback = false): void =>
  checkTransport(new URL(url), { allowInsecureLoopback });

test('https is taken, http refused by a rule that is named with its setting', () => {
  check('https://s3.example.test/bucket');
  assert.throws(() => check('http://s3.example.test/bucket'), {
    code: 'refused',
    message: /transport rule/,
    hint: /--allow-insecure-loopback/,
  });
  assert.throws(() => check('ftp://s3.example.test/bucket'), { code: 'bad-input' });
});

test('loopback in clear only when asked for', () => {
  for (const host of ['127.0.0.1', '127.1.2.3', 'localhost', '[::1]']) {
    check(`http://${host}:9000/bucket`, true);
    assert.throws(() => check(`http://${host}:9000/bucket`), { code: 'refused' }, host);
  }
  for (const host of ['localhost.example.test', '127.0.0.1.example.test', '10.0.0.1', '[::2]', '[::ffff:10.0.0.1]'])
    assert.throws(() => check(`http://${host}/bucket`, true), { code: 'refused' }, host);
});
