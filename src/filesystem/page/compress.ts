// Compression of a page as the format has it: nothing, one raw LZ4 block, or one zstd frame that states its content size.
// Synchronous: runs on codec threads, or inline for small pages. Decoding never makes more than the page's plain length.
import { createRequire } from 'node:module';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { fail } from '../../base/errors.ts';

export type Compression = 'none' | 'lz4' | 'zstd';

/** The setting's value as the original client reads it. Throws unsupported. */
export function parseCompression(setting: string): Compression {
  const value = setting.toLowerCase();
  if (value === '' || value === 'none') return 'none';
  if (value === 'lz4' || value === 'zstd') return value;
  throw fail('unsupported', `compression ${JSON.stringify(setting)}: wanted none, lz4 or zstd`);
}

/** The longest payload that the original client reads for a page of `length` bytes. */
export function maxCompressedLength(compression: Compression, length: number): number {
  if (compression === 'lz4') return length + Math.floor(length / 255) + 16;
  if (compression === 'zstd') return length + (length >> 8) + (length < 131_072 ? (131_072 - length) >> 11 : 0);
  return length;
}

/** The level of the original client; higher ones cost more time than the network saves. */
const ZSTD_LEVEL = 1;
/** log2 of the largest page: no frame of ours needs a larger window, and a hostile one gets no more memory. */
const ZSTD_WINDOW_LOG = 24;
const ZSTD_BLOCK_SLACK = 64;

export function compress(compression: Compression, plain: Buffer): Buffer {
  switch (compression) {
    case 'none':
      return plain;
    case 'lz4':
      return compressLz4(plain);
    case 'zstd':
      return zstdCompressSync(plain, {
        // Room for the result in one piece: the default of 16 KiB would be joined from hundreds.
        chunkSize: maxCompressedLength('zstd', plain.length) + ZSTD_BLOCK_SLACK,
        // The original client cannot read frames without a content size; a one-shot call states it (a test looks).
        params: {
          [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL,
          [constants.ZSTD_c_contentSizeFlag]: 1,
          [constants.ZSTD_c_checksumFlag]: 0,
        },
      });
  }
}

/** Throws page-damaged unless the payload is whole and holds exactly `length` bytes. */
export function decompress(compression: Compression, payload: Buffer, length: number): Buffer {
  if (payload.length > maxCompressedLength(compression, length))
    throw fail('page-damaged', `decompress: wanted at most ${length} bytes of content, found ${payload.length} packed`);
  const plain = unpack(compression, payload, length);
  if (plain.length !== length)
    throw fail('page-damaged', `decompress ${compression}: wanted ${length} bytes, found ${plain.length}`);
  return plain;
}

function unpack(compression: Compression, payload: Buffer, length: number): Buffer {
  try {
    if (compression === 'none') return payload;
    if (compression === 'lz4') return decompressLz4(payload, length);
    return decompressZstd(payload, length);
  } catch (thrown) {
    throw fail('page-damaged', `decompress ${compression}: wanted ${length} bytes: ${(thrown as Error).message}`, {
      cause: thrown,
    });
  }
}

function decompressZstd(payload: Buffer, length: number): Buffer {
  // With `info` the answer also says how much was read: one frame, and nothing after it.
  const { buffer, engine } = zstdDecompressSync(payload, {
    info: true,
    maxOutputLength: length,
    chunkSize: Math.max(length + 1, 64),
    params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG },
  }) as unknown as { readonly buffer: Buffer; readonly engine: { readonly bytesWritten: number } };
  if (engine.bytesWritten !== payload.length) throw new Error('bytes after the frame');
  return buffer;
}

/** The package puts the plain length before the block, as 4 bytes little-endian; the format does not. */
const LZ4_PREFIX = 4;

interface Lz4 {
  compressSync(data: Buffer): Buffer;
  uncompressSync(data: Buffer): Buffer;
}

let lz4: Lz4 | undefined;
/** A native module that most volumes never need. */
function loadLz4(): Lz4 {
  lz4 ??= createRequire(import.meta.url)('lz4-napi') as Lz4;
  return lz4;
}

const compressLz4 = (plain: Buffer): Buffer => loadLz4().compressSync(plain).subarray(LZ4_PREFIX);

function decompressLz4(payload: Buffer, length: number): Buffer {
  const prefixed = Buffer.allocUnsafe(LZ4_PREFIX + payload.length);
  prefixed.writeUInt32LE(length);
  payload.copy(prefixed, LZ4_PREFIX);
  return loadLz4().uncompressSync(prefixed);
}
