// Objects as files below a folder, laid out as the original client does (docs/FORMAT.md, file storage): object = file
// bucket + key. Unlike it, a put survives a power cut once it has resolved, folders included.
import { randomBytes } from 'node:crypto';
import { type FileHandle, open, stat, unlink } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { copyFile, type FileCalls, Folders, replaceFile } from '../../base/atomic-file.ts';
import { type ErrorCode, FsError, fail } from '../../base/errors.ts';
import { KiB } from '../../base/units.ts';
import { listFolder } from './list-folder.ts';
import { checkKey, missing } from './object-name.ts';
import { deleteOneByOne } from './one-by-one.ts';
import type { ListOptions, ObjectInfo, ObjectStore } from './store.ts';

/** As the original client makes them; the umask has its say. */
const FILE_MODE = 0o666;
/** NAME_MAX less the temporary name's own characters. */
const MAX_NAME_IN_TEMPORARY = 200;
/** Read in one trip; longer ones are read into memory that may go to a codec thread. */
const SMALL = 64 * KiB;

export class FileStore implements ObjectStore {
  readonly description: string;
  /** Ends in '/'. */
  readonly #bucket: string;
  readonly #folders: Folders;
  readonly #files: FileCalls | undefined;
  readonly #temporaryId = randomBytes(6).toString('hex');
  #temporaries = 0;
  /** Under way. */
  #puts = 0;

  constructor(bucket: string, files?: FileCalls) {
    if (!isAbsolute(bucket) || !bucket.endsWith('/'))
      throw fail('bad-input', `bucket ${JSON.stringify(bucket)}: wanted an absolute folder ending in '/'`);
    this.#bucket = bucket;
    this.#folders = new Folders(dirname(join(bucket, 'x')), files?.syncFolder);
    this.#files = files;
    this.description = `file://${bucket}`;
  }

  async get(key: string, signal?: AbortSignal, maxBytes = Number.POSITIVE_INFINITY): Promise<Buffer> {
    checkKey(key);
    try {
      signal?.throwIfAborted();
      if (this.#files !== undefined && maxBytes <= SMALL) {
        const whole = await this.#files.readSmall(this.#bucket + key, maxBytes);
        if (whole !== undefined) return whole;
      }
      const file = await open(this.#bucket + key, 'r');
      try {
        return await readWhole(file, maxBytes);
      } finally {
        await file.close();
      }
    } catch (thrown) {
      throw this.#translate('get', key, thrown);
    }
  }

  async put(key: string, parts: readonly Buffer[], signal?: AbortSignal): Promise<void> {
    checkKey(key);
    const path = join(this.#bucket, key);
    const folder = dirname(path);
    // One alone forces the folder in the same trip; several share a sync of it.
    const alone = this.#puts === 0 && this.#files !== undefined;
    const attempt = async (): Promise<void> => {
      await this.#folders.ensure(folder);
      await this.#replace(path, parts, alone, signal);
    };
    this.#puts++;
    try {
      await attempt().catch((thrown: NodeJS.ErrnoException) => {
        // Somebody removed a folder that was there: once more, from the root.
        if (thrown.code !== 'ENOENT') throw thrown;
        this.#folders.forget(folder);
        return attempt();
      });
      if (!alone) await this.#folders.sync(folder);
    } catch (thrown) {
      throw this.#translate('put', key, thrown);
    } finally {
      this.#puts--;
    }
  }

  async putFile(key: string, file: FileHandle, size: number): Promise<void> {
    checkKey(key);
    const path = join(this.#bucket, key);
    const folder = dirname(path);
    try {
      await this.#folders.ensure(folder);
      await copyFile(path, this.#temporaryOf(path), file, size, FILE_MODE);
      await this.#folders.sync(folder);
    } catch (thrown) {
      // Somebody removed a folder that was there: made again by the next attempt.
      this.#folders.forget(folder);
      throw this.#translate('put', key, thrown);
    }
  }

  /** The hidden name is the original client's: its gc knows left-overs of a crash by it. */
  async #replace(path: string, parts: readonly Buffer[], withFolder: boolean, signal?: AbortSignal): Promise<void> {
    const temporary = this.#temporaryOf(path);
    signal?.throwIfAborted();
    if (this.#files !== undefined) return this.#files.replace({ path, temporary, parts, mode: FILE_MODE, withFolder });
    return replaceFile(path, temporary, parts, { mode: FILE_MODE, signal });
  }

  #temporaryOf(path: string): string {
    const name = basename(path).slice(0, MAX_NAME_IN_TEMPORARY);
    return join(dirname(path), `.jfs.${name}.tmp.${this.#temporaryId}-${++this.#temporaries}`);
  }

  async delete(key: string): Promise<void> {
    checkKey(key);
    await unlink(this.#bucket + key).catch((thrown: NodeJS.ErrnoException) => {
      if (thrown.code !== 'ENOENT') throw this.#translate('delete', key, thrown);
    });
  }

  deleteMany(keys: readonly string[]): Promise<void> {
    return deleteOneByOne(this, keys);
  }

  async head(key: string): Promise<ObjectInfo | undefined> {
    checkKey(key);
    try {
      const found = await stat(this.#bucket + key);
      return found.isFile() ? { key, size: found.size, mtime: found.mtimeMs } : undefined;
    } catch (thrown) {
      const error = this.#translate('head', key, thrown);
      if (error.code === 'object-missing') return undefined;
      throw error;
    }
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncIterable<ObjectInfo> {
    try {
      const after = Buffer.from(options.after ?? '');
      for await (const object of listFolder(this.#bucket, prefix, options.temporaries === true))
        if (Buffer.compare(Buffer.from(object.key), after) > 0) yield object;
    } catch (thrown) {
      throw this.#translate('list', prefix, thrown);
    }
  }

  async close(): Promise<void> {}

  #translate(what: 'get' | 'put' | 'delete' | 'head' | 'list', key: string, thrown: unknown): FsError {
    if (thrown instanceof FsError) return thrown;
    const { code = '', name, message } = thrown as NodeJS.ErrnoException;
    if (name === 'AbortError') return fail('cancelled', `${what} ${key}: cancelled`, { cause: thrown });
    const reading = what === 'get' || what === 'head';
    if (reading && (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EISDIR'))
      return missing(key, thrown) as FsError;
    const full = code === 'ENOSPC' || code === 'EDQUOT';
    const domain: ErrorCode = full ? 'store-full' : 'store-unavailable';
    return fail(domain, `${what} ${key}: ${full ? 'no space left' : message} in ${this.description}`, {
      cause: thrown,
    });
  }
}

/** Reads to the end, or one byte more than `maxBytes`. The buffer's memory is its own: callers hand it to threads. */
async function readWhole(file: FileHandle, maxBytes: number): Promise<Buffer> {
  const info = await file.stat();
  if (info.isDirectory()) throw Object.assign(new Error('is a folder'), { code: 'EISDIR' });
  const buffer = Buffer.allocUnsafeSlow(Math.min(info.size, maxBytes + 1));
  let length = 0;
  while (length < buffer.length) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return length === buffer.length ? buffer : buffer.subarray(0, length);
}
