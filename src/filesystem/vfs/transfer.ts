// read, write, flush, fsync through open files.
import { fail } from '../../base/errors.ts';
import { unlessInterrupted } from '../../base/interrupt.ts';
import { isAway, unlessAway } from '../../base/outage.ts';
import type { Caller, Ino } from '../../base/words.ts';
import { MAX_LENGTH } from '../meta/types.ts';
import { type Core, fileHandle, mayChange, settled } from './core.ts';
import type { FileHandle } from './handles.ts';
import { refuseLostLock, tellErrors, tellLoss } from './loss.ts';
import type { ReadAhead } from './read-ahead.ts';
import type { Reader } from './reader.ts';
import type { HandleId } from './vfs.ts';

export class Transfer {
  readonly #core: Core;
  readonly #reader: Reader;
  readonly #readAhead: ReadAhead;
  #keptAnswers = false;

  constructor(core: Core, reader: Reader, readAhead: ReadAhead) {
    this.#core = core;
    this.#reader = reader;
    this.#readAhead = readAhead;
  }

  async read(caller: Caller, ino: Ino, id: HandleId, offset: bigint, size: number): Promise<readonly Buffer[]> {
    this.#holdPages(caller);
    const found = fileHandle(this.#core, caller, ino, id);
    const handle = found instanceof Promise ? await found : found;
    if (!handle.readable) throw fail('EBADF', `read inode ${ino}: opened for writing only`);
    refuseLostLock(handle);
    if (size <= 0 || offset >= handle.inode.length) return [];
    this.#readAhead.after(handle, offset, size);
    return this.#reader.read(handle.inode, offset, size, caller.signal);
  }

  /** The answer shows pages themselves. A caller that may keep one, once seen, has them all left to the collector. */
  #holdPages(caller: Caller): void {
    if (this.#keptAnswers) return;
    const done = this.#core.pages.hold();
    if (caller.onAnswered === undefined) this.#keptAnswers = true;
    else caller.onAnswered(done);
  }

  /** Not async: the data has to be taken before the caller gets its promise. */
  write(caller: Caller, ino: Ino, id: HandleId, offset: bigint, data: Buffer, placed = false): Promise<number> {
    try {
      const found = fileHandle(this.#core, caller, ino, id);
      if (!(found instanceof Promise)) return this.#write(caller, found, offset, data, placed);
      const copy = Buffer.from(data);
      return found.then((handle) => this.#write(caller, handle, offset, copy, placed));
    } catch (thrown) {
      return Promise.reject(thrown);
    }
  }

  #write(caller: Caller, handle: FileHandle, offset: bigint, data: Buffer, placed: boolean): Promise<number> {
    const { inode } = handle;
    mayChange(this.#core, `write to inode ${inode.ino}`);
    if (!handle.writable) throw fail('EBADF', `write to inode ${inode.ino}: opened for reading only`);
    refuseLostLock(handle);
    tellLoss(handle, this.#core.inodes, 'write');
    tellErrors(handle, 'write');
    const appends = handle.append && !placed;
    if (appends && caller.request?.resent === true) return this.#appendAgain(caller, handle, offset, Buffer.from(data));
    return this.#put(caller, handle, appends ? inode.length : offset, data, appends);
  }

  /**
   * A process that died may have written it, where the kernel believes the end to have been. Unless it is there it goes to
   * the end: an appended record is there twice, if another mount made the file longer meanwhile, but takes nobody's place.
   */
  async #appendAgain(caller: Caller, handle: FileHandle, offset: bigint, data: Buffer): Promise<number> {
    const { inode } = handle;
    const there = Buffer.concat(await this.#reader.read(inode, offset, data.length));
    if (there.equals(data)) return data.length;
    return this.#put(caller, handle, inode.length, data, true);
  }

  #put(caller: Caller, { inode }: FileHandle, at: bigint, data: Buffer, appends: boolean): Promise<number> {
    if (at < 0n || at + BigInt(data.length) > MAX_LENGTH)
      throw fail('EFBIG', `write to inode ${inode.ino} at ${at}: longest file is ${MAX_LENGTH} bytes`);
    const wait = appends ? inode.writer.append(caller, at, data) : inode.writer.write(caller, at, data);
    if (wait === undefined) return Promise.resolve(data.length);
    return this.#admitted(caller, wait, data.length);
  }

  /**
   * The data was taken, so there is no EINTR: who is interrupted while that waits for what is away goes on at once within
   * twice the memory, and late beyond it.
   */
  #admitted(caller: Caller, wait: Promise<unknown>, length: number): Promise<number> {
    const { outages, dirtyFiles } = this.#core;
    const mayGoOn = (): boolean => isAway(outages) && !dirtyFiles.overfull;
    const admitted = wait.then(() => length);
    return unlessInterrupted(admitted, caller.signal, mayGoOn, () => length);
  }

  flush(caller: Caller, ino: Ino, id: HandleId): Promise<void> {
    return this.#writeOut(caller, ino, id, 'flush');
  }

  async #writeOut(caller: Caller, ino: Ino, id: HandleId, by: 'flush' | 'fsync'): Promise<void> {
    const handle = await fileHandle(this.#core, caller, ino, id);
    await settled(this.#core, caller, handle.inode);
    refuseLostLock(handle);
    tellLoss(handle, this.#core.inodes, by);
    tellErrors(handle, by);
  }

  async fsync(caller: Caller, ino: Ino, id: HandleId): Promise<void> {
    await this.#writeOut(caller, ino, id, 'fsync');
    if (!this.#core.readOnly) await this.#core.meta.sync();
  }

  /** Everything of every file; rejects with the first thing that was lost on the way. */
  async flushAll(): Promise<void> {
    const { inodes, meta, readOnly, outages, lossesBeforeEnd } = this.#core;
    const files = [...inodes.values()].filter((inode) => inode.writer.dirty);
    const before = files.map((inode) => inode.errors);
    const drained = Promise.all(files.map((inode) => inode.writer.drain()));
    await (lossesBeforeEnd !== undefined ? unlessAway(drained, outages, `write out ${files.length} files`) : drained);
    if (!readOnly) await meta.sync();
    const failed = files.find((inode, i) => inode.errors !== before[i]);
    if (failed?.lastError !== undefined) throw failed.lastError;
    // At the end also what was lost on other ways, a release for instance: nobody else is left to be told.
    if (lossesBeforeEnd !== undefined && inodes.losses > lossesBeforeEnd) throw inodes.lastLoss;
  }
}
