// Bytes of a dump out of a file or a pipe, whatever they are packed in: known by their first bytes, not by the name.
import { type FileHandle, open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { FsError, fail } from '../../base/errors.ts';
import type { VolumeKey } from '../keys/volume-key.ts';
import type { EncryptAlgo } from '../page/seal.ts';
import { openSealedFile } from '../page/seal-stream.ts';

export interface SealedWith {
  readonly key: VolumeKey;
  readonly algo: EncryptAlgo;
}

const magics = { gzip: Buffer.from([0x1f, 0x8b]), zstd: Buffer.from([0x28, 0xb5, 0x2f, 0xfd]) } as const;
const PIECE = 65_536;

/** Pieces of JSON text. A sealed file is read twice: nothing of it is believed before its tag has been seen to fit. */
export async function* dumpText(file: string, sealed: SealedWith | undefined): AsyncGenerator<Buffer> {
  const handle = await open(file).catch((cause: Error) => {
    throw fail('bad-input', `read the dump ${file}: ${cause.message}`, { cause });
  });
  try {
    const { size } = await handle.stat();
    const first = Buffer.alloc(4);
    const { bytesRead } = await handle.read(first, 0, first.length, 0);
    if (bytesRead === 0) throw fail('bad-input', `read the dump ${file}: it is empty`);
    if (isKnown(first)) yield* unpacked(plainPieces(handle));
    else if (sealed === undefined)
      throw fail('bad-input', `read the dump ${file}: neither JSON nor gzip nor zstd`, {
        hint: 'a backup of an encrypted volume is sealed: give its key with --encrypt-rsa-key',
      });
    else yield* unpacked(await opened(handle, size, sealed));
  } finally {
    await handle.close();
  }
}

/** From a pipe: never sealed. */
export const pipedText = (input: AsyncIterable<Buffer>): AsyncGenerator<Buffer> => unpacked(input);

const isKnown = (first: Buffer): boolean =>
  /^[\s{]/.test(first.toString('latin1')) || Object.values(magics).some((magic) => startsWith(first, magic));

const startsWith = (bytes: Buffer, magic: Buffer): boolean => bytes.subarray(0, magic.length).equals(magic);

async function opened(handle: FileHandle, size: number, { key, algo }: SealedWith): Promise<AsyncGenerator<Buffer>> {
  try {
    for await (const _ of openSealedFile(algo, key, handle, size));
  } catch (thrown) {
    const reason = FsError.from(thrown);
    if (reason.code !== 'page-damaged') throw reason;
    throw fail('wrong-key', `read the dump: it is damaged, or not sealed for key ${key}`, { cause: reason });
  }
  return openSealedFile(algo, key, handle, size);
}

async function* plainPieces(handle: FileHandle): AsyncGenerator<Buffer> {
  for (let at = 0; ; ) {
    const piece = Buffer.allocUnsafe(PIECE);
    const { bytesRead } = await handle.read(piece, 0, PIECE, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield piece.subarray(0, bytesRead);
  }
}

async function* unpacked(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const source = pieces[Symbol.asyncIterator]();
  const { value: first, done } = await source.next();
  if (done === true) throw fail('bad-input', 'read the dump: it is empty');
  async function* all(): AsyncGenerator<Buffer> {
    yield first as Buffer;
    for (;;) {
      const next = await source.next();
      if (next.done === true) return;
      yield next.value;
    }
  }
  const unpack = startsWith(first, magics.gzip)
    ? createGunzip()
    : startsWith(first, magics.zstd)
      ? createZstdDecompress()
      : undefined;
  if (unpack === undefined) {
    yield* all();
    return;
  }
  const input = Readable.from(all(), { objectMode: false });
  input.on('error', (error) => unpack.destroy(error));
  try {
    for await (const piece of input.pipe(unpack)) yield piece as Buffer;
  } catch (thrown) {
    if (thrown instanceof FsError) throw thrown;
    throw fail('bad-input', `read the dump: cut short or damaged: ${(thrown as Error).message}`, { cause: thrown });
  } finally {
    input.destroy();
  }
}
