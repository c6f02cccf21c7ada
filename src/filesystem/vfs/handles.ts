// Handle ids and what is behind them. An id carries epoch, open flags and a serial, so that a worker that takes over a
// kernel connection can rebuild any handle of its predecessors from the inode and the id alone.
import { fail } from '../../base/errors.ts';
import type { Ino } from '../../base/words.ts';
import type { OpenInode } from './inodes.ts';
import type { HandleId } from './vfs.ts';

/** open(2) flags of Linux (asm-generic) that count here. */
export const O = {
  accessMode: 3,
  readOnly: 0,
  writeOnly: 1,
  readWrite: 2,
  exclusive: 0o200,
  truncate: 0o1000,
  append: 0o2000,
  noAtime: 0o1000000,
} as const;

/** Bits of an id: epoch 16, flags 8, serial 32; the top eight stay clear. */
const SERIAL_BITS = 32n;
const FLAG_BITS = 8n;
const EPOCH_MASK = 0xffff;
const SERIAL_MASK = 0xffff_ffff;
const flagAppend = 4;
const flagDirectory = 8;

export interface HandleParts {
  readonly epoch: number;
  readonly accessMode: number;
  readonly append: boolean;
  readonly directory: boolean;
  readonly serial: number;
}

export function encodeHandle(parts: HandleParts): HandleId {
  const flags = parts.accessMode | (parts.append ? flagAppend : 0) | (parts.directory ? flagDirectory : 0);
  const high = (BigInt(parts.epoch & EPOCH_MASK) << FLAG_BITS) | BigInt(flags);
  return (high << SERIAL_BITS) | BigInt(parts.serial >>> 0);
}

export function decodeHandle(id: HandleId): HandleParts {
  const flags = Number((id >> SERIAL_BITS) & 0xffn);
  return {
    epoch: Number((id >> (SERIAL_BITS + FLAG_BITS)) & BigInt(EPOCH_MASK)),
    accessMode: flags & O.accessMode,
    append: (flags & flagAppend) !== 0,
    directory: (flags & flagDirectory) !== 0,
    serial: Number(id & BigInt(SERIAL_MASK)),
  };
}

/** One open file description. */
export interface FileHandle {
  readonly id: HandleId;
  readonly inode: OpenInode;
  readonly readable: boolean;
  readonly writable: boolean;
  readonly append: boolean;
  /** Opened by a predecessor: has to be told once when its inode lost data. */
  readonly inherited: boolean;
  /** Errors of the inode that this handle has been told by fsync, and by a write (running numbers). */
  seenErrors: number;
  seenByWrite: number;
  /** It held a lock that went with the session: EIO until the file is opened again. */
  lockLost: boolean;
  /** How far the loss of a predecessor has been told: see loss.ts. */
  lossTold: 'no' | 'by-write' | 'by-fsync';
  /** Where the reader is: see read-ahead.ts. */
  nextRead: bigint;
  streak: number;
  fetchedTo: bigint;
}

export class Handles<T extends { readonly id: HandleId }> {
  readonly epoch: number;
  readonly #open = new Map<HandleId, T>();
  #serial = 0;

  constructor(epoch: number) {
    this.epoch = epoch & EPOCH_MASK;
  }

  newId(flags: number, directory: boolean): HandleId {
    for (;;) {
      this.#serial = (this.#serial + 1) & SERIAL_MASK;
      const id = encodeHandle({
        epoch: this.epoch,
        accessMode: flags & O.accessMode,
        append: (flags & O.append) !== 0,
        directory,
        serial: this.#serial >>> 0,
      });
      if (!this.#open.has(id)) return id;
    }
  }

  add(handle: T): T {
    this.#open.set(handle.id, handle);
    return handle;
  }

  get(id: HandleId): T | undefined {
    return this.#open.get(id);
  }

  delete(id: HandleId): boolean {
    return this.#open.delete(id);
  }

  values(): Iterable<T> {
    return this.#open.values();
  }

  /** What an unknown id was opened with, if a predecessor answered it; else EBADF. */
  inherited(ino: Ino, id: HandleId, directory: boolean): HandleParts {
    const parts = decodeHandle(id);
    if (parts.epoch === this.epoch || parts.directory !== directory)
      throw fail('EBADF', `use handle ${id} of inode ${ino}: no such open ${directory ? 'directory' : 'file'}`);
    return parts;
  }
}
