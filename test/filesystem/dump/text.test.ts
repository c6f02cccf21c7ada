// Names in a dump: every sequence of bytes comes back, and what is no plain text is spelled as the original client does.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { escapeBytes, unescapeBytes } from '../../../src/filesystem/dump/text.ts';
import { sizes } from '../../sizes.ts';

test('any bytes come back', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      assert.deepEqual(unescapeBytes(escapeBytes(Buffer.from(bytes))), Buffer.from(bytes));
    }),
    { numRuns: sizes.propertyRuns },
  );
});

test('any text comes back, and needs no escaping in JSON', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const escaped = escapeBytes(Buffer.from(text));
      assert.equal(JSON.parse(`"${escaped}"`), escaped);
      assert.deepEqual(unescapeBytes(escaped), Buffer.from(text));
    }),
    { numRuns: sizes.propertyRuns },
  );
});

test('what the original client writes for the same bytes', () => {
  const seen: [Buffer | string, string][] = [
    ['a b', 'a%20b'],
    ['a\tb"\\%', 'a%09b%22%5C%25'],
    ['grüße <&> \u2028😀', 'grüße%20<&>%20\u2028😀'],
    ['\x7f', '\x7f'],
    [Buffer.from([0x41, 0xed, 0xa0, 0x80]), 'A%ED%A0%80'],
    [Buffer.from([0x42, 0xe2, 0x82]), 'B%E2%82'],
    [Buffer.from([0x45, 0xc0, 0x80]), 'E%C0%80'],
    [Buffer.from([0x46, 0xf4, 0x90, 0x80, 0x80]), 'F%F4%90%80%80'],
    // It writes %EF only here, and loads another name.
    ['\ufffd', '%EF%BF%BD'],
  ];
  for (const [bytes, text] of seen) assert.equal(escapeBytes(Buffer.from(bytes)), text);
});

test('a percent sign without two digits is itself', () => {
  for (const text of ['%', '%4', '%zz', 'a%4g', '100%']) assert.deepEqual(unescapeBytes(text), Buffer.from(text));
  assert.deepEqual(unescapeBytes('%41%e2%82%AC'), Buffer.from('A€'));
});
