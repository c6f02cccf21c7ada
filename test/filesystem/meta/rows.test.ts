// Rows and records to values and back, and what is called damage.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ErrorCode, hasCode } from '../../../src/base/errors.ts';
import { attrReply, createReply } from '../../../src/filesystem/meta/request.ts';
import { attrParams, decodeAttr, decodeDirent, storedTime } from '../../../src/filesystem/meta/rows.ts';
import { decodeDeletedSlices, decodeSlices, encodeSlices, hole } from '../../../src/filesystem/meta/slices.ts';
import type { Row } from '../../../src/filesystem/sql/op.ts';

const is = (code: ErrorCode) => (thrown: unknown) => hasCode(thrown, code);
const row: Row = [
  9223372032828243969n,
  2n,
  0n,
  493n,
  4294967294n,
  1n,
  1700000000123456n,
  -1n,
  0n,
  789n,
  0n,
  999n,
  2n,
  4096n,
  null,
  null,
  null,
  0n,
  null,
];
const replaced = (i: number, value: bigint | null): Row => row.map((old, at) => (at === i ? value : old));

test('a node row: NULL is 0, times in their two parts, ids above 2^53', () => {
  const attr = decodeAttr(row);
  assert.equal(attr.ino, 9223372032828243969n);
  assert.equal(attr.uid, 4294967294);
  assert.equal(attr.atime, 1700000000123456789n);
  assert.equal(attr.mtime, -1000n);
  assert.equal(attr.ctime, 999n);
  assert.deepEqual([attr.rdev, attr.parent, attr.accessAcl, attr.defaultAcl, attr.tier], [0, 0n, 0, 0, 0]);
  assert.deepEqual(storedTime(1700000000123456789n), [1700000000123456n, 789n]);
  assert.deepEqual(storedTime(-5n), [0n, 0n]);
  const again = decodeAttr(attrParams({ ...attr, mtime: 5n }));
  assert.deepEqual(again, { ...attr, mtime: 5n });
});

test('lengths up to 2^57 - 1; a longer one, and a type or number that cannot be, is damage', () => {
  assert.equal(decodeAttr(replaced(13, 2n ** 57n - 1n)).length, 2n ** 57n - 1n);
  assert.throws(() => decodeAttr(replaced(13, 2n ** 57n)), is('metadata-damaged'));
  assert.throws(() => decodeAttr(replaced(13, -1n)), is('metadata-damaged'));
  assert.throws(() => decodeAttr(replaced(1, 8n)), is('metadata-damaged'));
  assert.throws(() => decodeAttr(replaced(4, 2n ** 63n - 1n)), is('metadata-damaged'));
});

test('an entry whose node cannot be served is listed without attributes', () => {
  const entry = (node: Row): Row => [Buffer.from('a'), 5n, 1n, ...node, null];
  assert.equal(decodeDirent(entry(row)).attr?.ino, row[0]);
  for (const bad of [replaced(13, 2n ** 57n), replaced(1, 8n)])
    assert.deepEqual(decodeDirent(entry(bad)), { name: Buffer.from('a'), ino: 5n, type: 1 });
});

test('answers of resendable requests come back exactly', () => {
  const attr = decodeAttr(replaced(7, 17n));
  assert.deepEqual(attrReply.decode(attrReply.encode(attr)), attr);
  for (const created of [true, false])
    assert.deepEqual(createReply.decode(createReply.encode({ attr, created })), { attr, created });
  assert.ok(attrReply.encode(attr).length < 160);
});

test('slice records: the vectors of the format, and what cannot be', () => {
  const slice = { pos: 10 << 20, id: 10n, size: 30 << 20, off: 0, len: 30 << 20 };
  const bytes = encodeSlices([slice, hole(0, 64 << 20)]);
  assert.equal(
    bytes.toString('hex'),
    '00a00000000000000000000a01e000000000000001e00000' + '000000000000000000000000000000000000000004000000',
  );
  assert.deepEqual(decodeSlices(bytes, 'x'), [slice, hole(0, 64 << 20)]);
  // What copy_file_range of the original client leaves in a hole means nothing.
  const odd = { pos: 0, id: 0n, size: 0, off: 4096, len: 10 };
  assert.deepEqual(decodeSlices(encodeSlices([odd]), 'x'), [odd]);
  assert.throws(() => decodeSlices(bytes.subarray(1), 'x'), is('metadata-damaged'));
  for (const bad of [
    { ...slice, size: 0 },
    { ...slice, off: 1 },
    { ...slice, pos: (64 << 20) - 1 },
    { ...slice, size: 65 << 20 },
  ])
    assert.throws(() => decodeSlices(encodeSlices([bad]), 'x'), is('metadata-damaged'));
  assert.deepEqual(decodeDeletedSlices(Buffer.from('000000000000100100400000', 'hex'), 'x'), [
    { id: 4097n, size: 4 << 20 },
  ]);
});
