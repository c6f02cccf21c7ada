// Pages to objects and back, wherever that is cheapest: small pages inline, larger ones on codec threads. Buffers go to a
// thread and back by sharing or transfer; only a caller's own memory that is neither is copied once.
import { isMarkedAsUntransferable } from 'node:worker_threads';
import { fail } from '../../base/errors.ts';
import { KiB } from '../../base/units.ts';
import type { PublicKey } from '../keys/volume-key.ts';
import { CodecPool, type Job } from './codec-pool.ts';
import { type Compression, compress, decompress } from './compress.ts';
import { parseEnvelope } from './envelope.ts';
import { type EncryptAlgo, openPage, type Sealed, sealPage } from './seal.ts';

/** A hop to a thread and back costs about 0.1 ms, as much as sealing half of this. */
const THREAD_FROM = 64 * KiB;

/** What a page became. Without encryption there is neither tag nor key. */
export type Packed = Pick<Sealed, 'parts'> & Partial<Omit<Sealed, 'parts'>>;

export class Codec {
  readonly #compression: Compression;
  readonly #algo: EncryptAlgo;
  readonly #key: PublicKey | undefined;
  readonly #pool: CodecPool;

  constructor(compression: Compression, algo: EncryptAlgo, key: PublicKey | undefined) {
    this.#compression = compression;
    this.#algo = algo;
    this.#key = key;
    this.#pool = new CodecPool({ compression, algo, spki: key?.spki });
  }

  /** Compresses and seals. `plain` must not change until it settles; the caller wipes the key in the answer. */
  async pack(plain: Buffer): Promise<Packed> {
    if (this.#compression === 'none' && this.#key === undefined) return { parts: [plain] };
    if (plain.length < THREAD_FROM) return packPage(this.#compression, this.#algo, this.#key, plain);
    const shared = plain.buffer instanceof SharedArrayBuffer;
    const bytes = shared ? plain : new Uint8Array(plain);
    const done = await this.#pool.run({ kind: 'pack', bytes }, shared ? [] : [bytes.buffer as ArrayBuffer]);
    if (done.kind !== 'packed') throw fail('internal', `seal a page: the codec thread answered ${done.kind}`);
    const { parts, tag, pageKey } = done;
    return { parts: parts.map(asBuffer), ...(tag && pageKey && { tag: asBuffer(tag), pageKey: asBuffer(pageKey) }) };
  }

  /** Opens and decompresses. Takes `object` over: its memory may be gone afterwards. Rejects page-damaged. */
  async unpack(object: Buffer, pageKey: Buffer | undefined, length: number): Promise<Buffer> {
    if (this.#compression === 'none' && pageKey === undefined) return decompress('none', object, length);
    if (length < THREAD_FROM) return unpackPage(this.#compression, this.#algo, this.#key, object, pageKey, length);
    const bytes = transferable(object);
    const job: Job = { kind: 'unpack', bytes, pageKey, length };
    const done = await this.#pool.run(job, [bytes.buffer]);
    if (done.kind !== 'unpacked') throw fail('internal', `open a page: the codec thread answered ${done.kind}`);
    return asBuffer(done.plain);
  }

  close(): Promise<void> {
    return this.#pool.close();
  }
}

export function packPage(
  compression: Compression,
  algo: EncryptAlgo,
  key: PublicKey | undefined,
  plain: Buffer,
): Packed {
  if (key === undefined) return { parts: [compress(compression, plain)] };
  return sealPage(algo, key, compression, plain);
}

export function unpackPage(
  compression: Compression,
  algo: EncryptAlgo,
  key: PublicKey | undefined,
  object: Buffer,
  pageKey: Buffer | undefined,
  length: number,
): Buffer {
  if (key === undefined || pageKey === undefined) return decompress(compression, object, length);
  return openPage(algo, compression, parseEnvelope(object, key.wrappedLength), pageKey, length);
}

export const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The bytes in memory that may change threads: the same, or a copy of what lies in a pool or belongs to native code. */
export function transferable(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  if (bytes.buffer instanceof ArrayBuffer && !isMarkedAsUntransferable(bytes.buffer))
    return bytes as Uint8Array<ArrayBuffer>;
  return new Uint8Array(bytes);
}
