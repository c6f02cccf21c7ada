// Objects in memory, for tests and trial runs: shared by all openings of one bucket name in a process, gone with it.
import type { FileHandle } from 'node:fs/promises';
import { fail } from '../../base/errors.ts';
import { checkKey, missing } from './object-name.ts';
import { deleteOneByOne } from './one-by-one.ts';
import type { ListOptions, ObjectInfo, ObjectStore } from './store.ts';

interface MemObject {
  readonly bytes: Buffer;
  readonly mtime: number;
}

export interface MemBucket {
  readonly objects: Map<string, MemObject>;
  /** Bytes that fit; more is store-full. */
  capacity: number;
}

const buckets = new Map<string, MemBucket>();

export function memBucket(name: string): MemBucket {
  const bucket = buckets.get(name) ?? { objects: new Map(), capacity: Number.POSITIVE_INFINITY };
  buckets.set(name, bucket);
  return bucket;
}

/** Forgets a bucket and what is in it. */
export const dropMemBucket = (name: string): boolean => buckets.delete(name);

export class MemStore implements ObjectStore {
  readonly description: string;
  readonly #bucket: MemBucket;

  constructor(name: string) {
    this.description = `mem://${name}`;
    this.#bucket = memBucket(name);
  }

  async get(key: string, signal?: AbortSignal, maxBytes = Number.POSITIVE_INFINITY): Promise<Buffer> {
    checkKey(key);
    notAborted(key, signal);
    const found = this.#bucket.objects.get(key);
    if (found === undefined) throw missing(key);
    // A copy in memory of its own: callers hand the bytes to other threads.
    const size = Math.min(found.bytes.length, maxBytes + 1);
    const copy = Buffer.allocUnsafeSlow(size);
    found.bytes.copy(copy, 0, 0, size);
    return copy;
  }

  async put(key: string, parts: readonly Buffer[], signal?: AbortSignal): Promise<void> {
    checkKey(key);
    notAborted(key, signal);
    const bytes = Buffer.concat(parts);
    let used = bytes.length - (this.#bucket.objects.get(key)?.bytes.length ?? 0);
    for (const each of this.#bucket.objects.values()) used += each.bytes.length;
    if (used > this.#bucket.capacity)
      throw fail('store-full', `put ${key}: no space left in ${this.description} for ${bytes.length} bytes`);
    this.#bucket.objects.set(key, { bytes, mtime: Date.now() });
  }

  async putFile(key: string, file: FileHandle, size: number): Promise<void> {
    const bytes = Buffer.alloc(size);
    const { bytesRead } = await file.read(bytes, 0, size, 0);
    await this.put(key, [bytes.subarray(0, bytesRead)]);
  }

  async delete(key: string): Promise<void> {
    checkKey(key);
    this.#bucket.objects.delete(key);
  }

  deleteMany(keys: readonly string[]): Promise<void> {
    return deleteOneByOne(this, keys);
  }

  async head(key: string): Promise<ObjectInfo | undefined> {
    checkKey(key);
    const found = this.#bucket.objects.get(key);
    return found && { key, size: found.bytes.length, mtime: found.mtime };
  }

  async *list(prefix: string, { after = '' }: ListOptions = {}): AsyncIterable<ObjectInfo> {
    const behind = (key: string): boolean => Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0;
    const keys = [...this.#bucket.objects.keys()].filter((key) => key.startsWith(prefix) && behind(key));
    keys.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    for (const key of keys) {
      const found = this.#bucket.objects.get(key);
      if (found !== undefined) yield { key, size: found.bytes.length, mtime: found.mtime };
    }
  }

  async close(): Promise<void> {}
}

function notAborted(key: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw fail('cancelled', `object ${key}: cancelled`);
}
