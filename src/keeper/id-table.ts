// A set of 64-bit ids in a memfd, 8 bytes each, 0 is a free place. Adding and removing are one pwrite each; the places
// are known from memory, and a successor finds the set as it stood at the last of those calls.
import { readSync, writeSync } from 'node:fs';
import { fail } from '../base/errors.ts';

export class IdTable {
  readonly #fd: number;
  readonly #at: number;
  readonly #size: number;
  /** Id to place. */
  readonly #places = new Map<bigint, number>();
  readonly #freed: number[] = [];
  /** Places from here on were never used by this process. */
  #unused = 0;
  readonly #cell = Buffer.alloc(8);

  constructor(fd: number, at: number, size: number) {
    this.#fd = fd;
    this.#at = at;
    this.#size = size;
  }

  /** Idempotent. */
  add(id: bigint): void {
    if (this.#places.has(id)) return;
    const place = this.#freed.pop() ?? this.#unused++;
    if (place >= this.#size) {
      this.#unused = this.#size;
      throw fail('EIO', `state memory: all ${this.#size} places of the table are taken`);
    }
    this.#write(place, id);
    this.#places.set(id, place);
  }

  remove(id: bigint): void {
    const place = this.#places.get(id);
    if (place === undefined) return;
    this.#write(place, 0n);
    this.#places.delete(id);
    this.#freed.push(place);
  }

  /** What is in the memory, whoever wrote it. */
  stored(): bigint[] {
    return this.#load().map(([id]) => id);
  }

  /** Takes over what a predecessor left: its ids keep their places until removed. */
  adopt(): bigint[] {
    const found = this.#load();
    this.#places.clear();
    this.#freed.length = 0;
    for (const [id, place] of found) this.#places.set(id, place);
    const taken = new Set(found.map(([, place]) => place));
    this.#unused = 1 + Math.max(-1, ...taken);
    for (let place = 0; place < this.#unused; place++) if (!taken.has(place)) this.#freed.push(place);
    return found.map(([id]) => id);
  }

  #load(): [bigint, number][] {
    const bytes = Buffer.alloc(this.#size * 8);
    readSync(this.#fd, bytes, 0, bytes.length, this.#at);
    const found: [bigint, number][] = [];
    for (let place = 0; place < this.#size; place++) {
      const id = bytes.readBigUInt64LE(place * 8);
      if (id !== 0n) found.push([id, place]);
    }
    return found;
  }

  #write(place: number, id: bigint): void {
    this.#cell.writeBigUInt64LE(id);
    writeSync(this.#fd, this.#cell, 0, 8, this.#at + place * 8);
  }
}
