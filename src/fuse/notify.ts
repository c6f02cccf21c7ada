// Notifications to the kernel. Those that make it drop caches wait for locks that a request of this very session may
// hold, so they are written on a pool thread, one at a time; the event loop goes on answering meanwhile.
import { write } from 'node:fs';
import { promisify } from 'node:util';
import { FsError, fail } from '../base/errors.ts';
import { Mutex } from '../base/mutex.ts';
import type { Ino } from '../base/words.ts';
import type { NodeIds } from './nodes.ts';
import { EXPIRE_ONLY, Notify } from './protocol.ts';

const writeTo = promisify(write);
export const NOTIFY_HEADER = 16;

function message(code: number, length: number): Buffer {
  const out = Buffer.alloc(NOTIFY_HEADER + length);
  out.writeUInt32LE(out.length, 0);
  out.writeInt32LE(code, 4);
  return out;
}

export function invalidInode(node: bigint, offset: number, length: number): Buffer {
  const out = message(Notify.INVAL_INODE, 24);
  out.writeBigUInt64LE(node, NOTIFY_HEADER);
  out.writeBigInt64LE(BigInt(offset), NOTIFY_HEADER + 8);
  out.writeBigInt64LE(BigInt(length), NOTIFY_HEADER + 16);
  return out;
}

export function invalidEntry(parent: bigint, name: Buffer, expireOnly: boolean): Buffer {
  const out = message(Notify.INVAL_ENTRY, 16 + name.length + 1);
  out.writeBigUInt64LE(parent, NOTIFY_HEADER);
  out.writeUInt32LE(name.length, NOTIFY_HEADER + 8);
  out.writeUInt32LE(expireOnly ? EXPIRE_ONLY : 0, NOTIFY_HEADER + 12);
  name.copy(out, NOTIFY_HEADER + 16);
  return out;
}

export class Notifier {
  readonly #descriptor: number;
  readonly #nodes: NodeIds;
  readonly #order = new Mutex();

  constructor(descriptor: number, nodes: NodeIds) {
    this.#descriptor = descriptor;
    this.#nodes = nodes;
  }

  /**
   * Attributes, and the pages from `offset`; a negative offset leaves the pages, length 0 means to the end. Answers whether
   * the kernel knows the inode: what it does not know nobody has open.
   */
  inode(ino: Ino, offset: number, length: number): Promise<boolean> {
    return this.#send(invalidInode(this.#nodes.toNode(ino), offset, length));
  }

  entry(parent: Ino, name: Buffer, expireOnly: boolean): Promise<boolean> {
    return this.#send(invalidEntry(this.#nodes.toNode(parent), name, expireOnly));
  }

  #send(bytes: Buffer): Promise<boolean> {
    return this.#order.run(async () => {
      try {
        await writeTo(this.#descriptor, bytes, 0, bytes.length, null);
        return true;
      } catch (thrown) {
        const error = FsError.from(thrown, 'notify the kernel');
        // ENOENT: it does not know the thing, so it has nothing cached.
        if (error.code !== 'ENOENT') throw fail('EIO', error.message, { cause: thrown });
        return false;
      }
    });
  }
}
