// The body of a codec thread: one job at a time, synchronous. Has the public key; never sees M's private half.
import { parentPort, workerData } from 'node:worker_threads';
import { release, wipe } from '../../base/bytes.ts';
import { FsError } from '../../base/errors.ts';
import { PublicKey } from '../keys/volume-key.ts';
import { asBuffer, packPage, transferable, unpackPage } from './codec.ts';
import type { CodecSettings, Done, Job } from './codec-pool.ts';

const { compression, algo, spki } = workerData as CodecSettings;
const key = spki && PublicKey.fromSpki(asBuffer(spki));

function answer(done: Done, transfer: readonly ArrayBuffer[]): void {
  parentPort?.postMessage(done, [...transfer]);
}

function pack(bytes: Buffer): void {
  const { parts, tag, pageKey } = packPage(compression, algo, key, bytes);
  const movable = parts.map(transferable);
  // The tag is the last part too, so that one stays where it is and is copied.
  answer({ kind: 'packed', parts: movable, tag: tag && new Uint8Array(tag), pageKey }, [
    ...new Set(movable.map(({ buffer }) => buffer)),
  ]);
  wipe(pageKey);
}

function unpack(bytes: Buffer, pageKey: Buffer | undefined, length: number): void {
  const plain = transferable(unpackPage(compression, algo, key, bytes, pageKey, length));
  wipe(pageKey);
  if (plain.buffer !== bytes.buffer) release(bytes);
  answer({ kind: 'unpacked', plain }, [plain.buffer]);
}

parentPort?.on('message', (job: Job) => {
  try {
    if (job.kind === 'pack') pack(asBuffer(job.bytes));
    else unpack(asBuffer(job.bytes), job.pageKey && asBuffer(job.pageKey), job.length);
  } catch (thrown) {
    const { code, message } = FsError.from(thrown, `${job.kind} a page`);
    answer({ kind: 'failed', code, message }, []);
  }
});
