// A few files whose bytes lie in a real directory, so that they survive the process that serves them; for the tests of
// taking over. Handles are inode numbers, as a successor must be able to know them. Every answer takes a moment, so that
// a kill finds requests in flight.
import { appendFileSync, closeSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fail } from '../../src/base/errors.ts';
import { type Caller, type Entry, type Ino, NodeType, type Opened } from '../../src/filesystem/vfs/vfs.ts';
import { MemoryVfs } from './memory-vfs.ts';

export const FILES = 4;
const FIRST = 2n;

export class DiskVfs extends MemoryVfs {
  readonly #directory: string;
  readonly #files = new Map<Ino, number>();

  constructor(directory: string) {
    super();
    this.#directory = directory;
    this.entryTimeout = this.attrTimeout = 0;
    const root = this.nodes.get(this.root);
    if (root === undefined) throw fail('internal', 'no root');
    for (let i = 0; i < FILES; i++) {
      const ino = FIRST + BigInt(i);
      this.nodes.set(ino, { ...root, attr: { ...root.attr, ino, type: NodeType.file, nlink: 1, mode: 0o644 } });
      root.children.set(`f${i}`, ino);
      this.#files.set(ino, openSync(join(directory, `f${i}`), 'a+'));
      closeSync(this.#fd(ino));
      this.#files.set(ino, openSync(join(directory, `f${i}`), 'r+'));
    }
  }

  #fd(ino: Ino): number {
    const fd = this.#files.get(ino);
    if (fd === undefined) throw fail('ESTALE', `inode ${ino}`);
    return fd;
  }

  async #moment(caller: Caller): Promise<void> {
    if (caller.request?.resent) appendFileSync(join(this.#directory, 'resent'), '#');
    await sleep(1);
  }

  #measure(ino: Ino): void {
    const node = this.nodes.get(ino);
    if (node !== undefined && this.#files.has(ino)) node.attr.length = fstatSync(this.#fd(ino), { bigint: true }).size;
  }

  override async lookup(caller: Caller, parent: Ino, name: Buffer): Promise<Entry> {
    await this.#moment(caller);
    for (const ino of this.#files.keys()) this.#measure(ino);
    return super.lookup(caller, parent, name);
  }

  override async getattr(caller: Caller, ino: Ino): Promise<Entry> {
    await this.#moment(caller);
    this.#measure(ino);
    return super.getattr(caller, ino);
  }

  override async open(caller: Caller, ino: Ino): Promise<Opened> {
    await this.#moment(caller);
    return { handle: ino, keepCache: false, directIo: true };
  }

  override async read(caller: Caller, ino: Ino, _: bigint, offset: bigint, size: number): Promise<readonly Buffer[]> {
    await this.#moment(caller);
    const out = Buffer.alloc(size);
    return [out.subarray(0, readSync(this.#fd(ino), out, 0, size, offset))];
  }

  override async write(caller: Caller, ino: Ino, _: bigint, offset: bigint, data: Buffer): Promise<number> {
    const copy = Buffer.from(data);
    await this.#moment(caller);
    return writeSync(this.#fd(ino), copy, 0, copy.length, Number(offset));
  }
}
