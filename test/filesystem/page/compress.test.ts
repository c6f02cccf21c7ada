// Compressed pages: round trips, the limits of the original client, content sizes, and another zstd as a witness.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import zstd from '@mongodb-js/zstd';
import fc from 'fast-check';
import { compress, decompress, maxCompressedLength, parseCompression } from '../../../src/filesystem/page/compress.ts';

const kinds = ['none', 'lz4', 'zstd'] as const;
/** Runs, noise and mixtures of them. */
const contents = fc
  .array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 3000 })), { minLength: 1, maxLength: 12 })
  .map((pieces) => Buffer.concat(pieces.map(([noise, n]) => (noise ? randomBytes(n) : Buffer.alloc(n, n % 251)))));

test('what is compressed comes back, within the length that others read', () => {
  fc.assert(
    fc.property(contents, fc.constantFrom(...kinds), (plain, kind) => {
      const payload = compress(kind, plain);
      assert.ok(payload.length <= maxCompressedLength(kind, plain.length), `${kind} ${plain.length}`);
      assert.deepEqual(decompress(kind, payload, plain.length), plain);
    }),
  );
});

test('full pages of noise and of zeros too', () => {
  for (const plain of [randomBytes(4 << 20), Buffer.alloc(16 << 20), randomBytes(1), randomBytes(131_072)])
    for (const kind of kinds) {
      const payload = compress(kind, plain);
      assert.ok(payload.length <= maxCompressedLength(kind, plain.length));
      assert.ok(decompress(kind, payload, plain.length).equals(plain));
    }
});

/** Content size of a zstd frame header (RFC 8878, 3.1.1.1); undefined when it states none. */
function contentSize(frame: Buffer): { size: number | undefined; checksum: boolean; dictionary: boolean } {
  assert.equal(frame.readUInt32LE(0), 0xfd2fb528, 'magic number');
  const descriptor = frame.readUInt8(4);
  const single = (descriptor & 0x20) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const at = 5 + (single ? 0 : 1) + dictionaryBytes;
  const sizes: readonly (() => number | undefined)[] = [
    () => (single ? frame.readUInt8(at) : undefined),
    () => frame.readUInt16LE(at) + 256,
    () => frame.readUInt32LE(at),
    () => Number(frame.readBigUInt64LE(at)),
  ];
  const size = sizes[descriptor >> 6]?.();
  return { size, checksum: (descriptor & 4) !== 0, dictionary: dictionaryBytes !== 0 };
}

test('zstd frames state their content size, without checksum or dictionary', () => {
  for (const length of [1, 255, 256, 257, 65_535, 65_536, 65_792, 1 << 20, 4 << 20]) {
    const frame = compress('zstd', Buffer.alloc(length, 'some text '));
    assert.deepEqual(contentSize(frame), { size: length, checksum: false, dictionary: false });
  }
});

test('another zstd reads ours, and we read its frames without content size', async () => {
  for (const plain of [Buffer.from('x'), Buffer.alloc(100_000, 'repeat '), randomBytes(70_000)]) {
    assert.deepEqual(await zstd.decompress(compress('zstd', plain)), plain);
    const theirs = await zstd.compress(plain, 3);
    assert.deepEqual(decompress('zstd', theirs, plain.length), plain);
  }
});

test('content of another length is damage, and never takes more memory than the page', () => {
  const bomb = compress('zstd', Buffer.alloc(16 << 20));
  for (const kind of kinds) {
    const payload = compress(kind, Buffer.alloc(1000, 'abc'));
    for (const length of [1, 999, 1001, 65_536])
      assert.throws(() => decompress(kind, payload, length), { code: 'page-damaged' }, `${kind} ${length}`);
  }
  assert.throws(() => decompress('zstd', bomb, 65_536), { code: 'page-damaged' });
});

test('names of the setting', () => {
  assert.deepEqual(['', 'none', 'None', 'LZ4', 'zstd', 'Zstd'].map(parseCompression), [
    'none',
    'none',
    'none',
    'lz4',
    'zstd',
    'zstd',
  ]);
  assert.throws(() => parseCompression('gzip'), { code: 'unsupported' });
});
