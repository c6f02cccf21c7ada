// Codec threads: started late, at most two, replaced when they die, and nothing of ours in their environment.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { VolumeKey } from '../../../src/filesystem/keys/volume-key.ts';
import { Codec } from '../../../src/filesystem/page/codec.ts';
import { CodecPool } from '../../../src/filesystem/page/codec-pool.ts';

const key = new VolumeKey(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey);
const settings = { compression: 'zstd', algo: 'aes256gcm-rsa', spki: key.spki } as const;
const page = (bytes = 100_000) => new Uint8Array(Buffer.alloc(bytes, 'text '));

/** Threads that a pool started, through the constructor's prototype. */
async function threadsOf(work: () => Promise<unknown>): Promise<number> {
  const started = new Set<Worker>();
  const { postMessage } = Worker.prototype;
  Worker.prototype.postMessage = function (this: Worker, ...args: Parameters<typeof postMessage>) {
    started.add(this);
    return postMessage.apply(this, args);
  };
  try {
    await work();
  } finally {
    Worker.prototype.postMessage = postMessage;
  }
  return started.size;
}

test('two threads at most, none for small pages', async () => {
  const codec = new Codec('zstd', 'aes256gcm-rsa', key);
  assert.equal(await threadsOf(() => codec.pack(Buffer.alloc(65_535))), 0);
  assert.equal(await threadsOf(() => codec.pack(Buffer.alloc(65_536))), 1);
  const many = Array.from({ length: 10 }, () => Buffer.alloc(100_000));
  assert.equal(await threadsOf(() => Promise.all(many.map((plain) => codec.pack(plain)))), 2);
  await codec.close();
});

test('a failure is told with its code, and the thread goes on', async () => {
  const pool = new CodecPool(settings);
  const bad = { kind: 'unpack', bytes: new Uint8Array(1000), pageKey: new Uint8Array(32), length: 70_000 } as const;
  await assert.rejects(pool.run(bad, []), { code: 'page-damaged' });
  assert.equal((await pool.run({ kind: 'pack', bytes: page() }, [])).kind, 'packed');
  await pool.close();
});

test('a thread that dies takes its job with it, and the next job gets another', async () => {
  const pool = new CodecPool(settings);
  const { postMessage } = Worker.prototype;
  let victim: Worker | undefined;
  Worker.prototype.postMessage = function (this: Worker, ...args: Parameters<typeof postMessage>) {
    victim = this;
    return postMessage.apply(this, args);
  };
  const doomed = pool.run({ kind: 'pack', bytes: page(4 << 20) }, []);
  Worker.prototype.postMessage = postMessage;
  await Promise.all([assert.rejects(doomed, { code: 'internal', message: /died/ }), victim?.terminate()]);
  assert.equal((await pool.run({ kind: 'pack', bytes: page() }, [])).kind, 'packed');
  await pool.close();
});

test('closing fails what is under way, and later jobs', async () => {
  const pool = new CodecPool(settings);
  const jobs = Array.from({ length: 5 }, () => pool.run({ kind: 'pack', bytes: page(1 << 20) }, []));
  const settled = Promise.allSettled(jobs);
  await pool.close();
  assert.ok((await settled).every(({ status }) => status === 'rejected'));
  await assert.rejects(pool.run({ kind: 'pack', bytes: page() }, []), { code: 'internal' });
});
