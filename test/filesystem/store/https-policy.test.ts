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

test('internal endpoints of three clouds, and nothing that only looks like one', () => {
  for (const host of [
    'oss-cn-hangzhou-internal.aliyuncs.com',
    'data.s3.oss-cn-hangzhou-internal.aliyuncs.com',
    'internal.s3-cn-bj.ufileos.com',
    'data.internal.s3-cn-sh2.ufileos.com',
    's3-internal.cn-north-1.jdcloud-oss.com',
    'data.s3-internal.cn-north-1.jdcloud-oss.com',
  ]) {
    check(`http://${host}/data`);
    for (const trick of [
      `${host}.example.test`,
      `${host}@example.test`,
      `example.test/${host}`,
      `example.test#${host}`,
      `x.y.${host}`,
      `${host.replaceAll('.', '-')}.test`,
      host.replace('internal', 'external'),
      host.replace(/\.(aliyuncs|ufileos|jdcloud-oss)\./, '.x$1.'),
    ])
      assert.throws(() => check(`http://${trick}/data`), { code: 'refused' }, trick);
  }
  for (const host of ['oss-cn-hangzhou.aliyuncs.com', 's3-cn-bj.ufileos.com', 's3.cn-north-1.jdcloud-oss.com'])
    assert.throws(() => check(`http://${host}/data`), { code: 'refused' }, host);
});

test('for places that others named there is no exception', () => {
  const exceptions = { allowInsecureLoopback: true, remoteOnly: true };
  checkTransport(new URL('https://bucket.oss-cn-hangzhou-internal.aliyuncs.com'), exceptions);
  for (const host of ['127.0.0.1', 'localhost', 'bucket.oss-cn-hangzhou-internal.aliyuncs.com'])
    assert.throws(() => checkTransport(new URL(`http://${host}`), exceptions), { code: 'refused' }, host);
});
