// One request as the kernel sent it, and the caller it stands for. Its bytes lie in the session's slab and may be read
// only until the handler first waits; what must live longer is copied here. Every access is checked against the request's
// own length, so that nothing the descriptor delivers can make the process read elsewhere or crash.
import { type FsError, fail } from '../base/errors.ts';
import type { Caller, RequestId } from '../base/words.ts';
import { InHeader, opcodeName, RESENT_BIT } from './protocol.ts';

/** The kernel's FUSE_NAME_MAX; the file system's own 255 is the Vfs's to enforce. */
const MAX_NAME = 1024;
/** PATH_MAX: what a symbolic link can hold. */
const MAX_TARGET = 4096;

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Where the bytes are: a slab and a view of the same memory. */
export interface Slab {
  readonly bytes: Buffer;
  readonly view: DataView;
}

export function slabOf(bytes: Buffer): Slab {
  return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength) };
}

export class KernelRequest implements Caller {
  readonly opcode: number;
  readonly uniqueLow: number;
  readonly uniqueHigh: number;
  readonly node: bigint;
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  /** Mounts have default_permissions. */
  readonly vouched = true;
  readonly since = performance.now();
  /** Set by the operations that carry one. */
  umask = 0;
  /** Set by the session where answers may be asked for again. */
  request?: RequestId;
  /** Set by the session: its caller was told EINTR, and what its handler answers goes nowhere. */
  abandoned = false;

  readonly #slab: Slab;
  readonly #start: number;
  #end: number;
  #interrupted = false;
  #abort: AbortController | undefined;
  #answered: (() => void) | undefined;

  /** `length` bytes from `offset`, at least a header. */
  constructor(slab: Slab, offset: number, length: number) {
    const { view } = slab;
    this.opcode = view.getUint32(offset + InHeader.opcode, true);
    this.uniqueLow = view.getUint32(offset + InHeader.uniqueLow, true);
    this.uniqueHigh = view.getUint32(offset + InHeader.uniqueHigh, true);
    this.node = view.getBigUint64(offset + InHeader.node, true);
    this.uid = view.getUint32(offset + InHeader.uid, true);
    this.gid = view.getUint32(offset + InHeader.gid, true);
    this.pid = view.getUint32(offset + InHeader.pid, true);
    this.#slab = slab;
    this.#start = offset + InHeader.size;
    const extensions = view.getUint16(offset + InHeader.extensions, true) * 8;
    const stated = view.getUint32(offset + InHeader.length, true);
    // A wrong length leaves an empty body: reading any field of it fails.
    this.#end = stated === length ? Math.max(this.#start, offset + length - extensions) : this.#start;
  }

  get name(): string {
    return opcodeName(this.opcode);
  }

  get resent(): boolean {
    return this.uniqueHigh >= RESENT_BIT;
  }

  /** The id without the mark of a resent request. The kernel counts up by two from zero: it stays far below 2^53. */
  get id(): number {
    return (this.uniqueHigh & ~RESENT_BIT) * 0x1_0000_0000 + this.uniqueLow;
  }

  get unique(): bigint {
    return (BigInt(this.uniqueHigh & ~RESENT_BIT) << 32n) | BigInt(this.uniqueLow);
  }

  /** Made when first asked for: most requests are over before anybody could interrupt them. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#interrupted) this.#abort.abort(interrupted());
    }
    return this.#abort.signal;
  }

  interrupt(): void {
    this.#interrupted = true;
    this.#abort?.abort(interrupted());
  }

  onAnswered(then: () => void): void {
    const before = this.#answered;
    this.#answered =
      before === undefined
        ? then
        : () => {
            before();
            then();
          };
  }

  /** The reply is written, or there will be none. */
  answered(): void {
    this.#answered?.();
    this.#answered = undefined;
  }

  /** The slab is about to be used again: reading on from here is a mistake of ours and fails. */
  seal(): void {
    this.#end = this.#start;
  }

  get bodyLength(): number {
    return this.#end - this.#start;
  }

  u32(at: number): number {
    return this.#slab.view.getUint32(this.#place(at, 4), true);
  }

  u64(at: number): bigint {
    return this.#slab.view.getBigUint64(this.#place(at, 8), true);
  }

  i64(at: number): bigint {
    return this.#slab.view.getBigInt64(this.#place(at, 8), true);
  }

  /** A view of the slab: valid until the handler first waits. */
  bytes(at: number, length: number): Buffer {
    const from = this.#place(at, length);
    return this.#slab.bytes.subarray(from, from + length);
  }

  /** A copy of the name that ends with NUL at or after `at`. */
  text(at: number, longest: number = MAX_NAME): Buffer {
    const from = this.#place(at, 1);
    const end = this.#slab.bytes.indexOf(0, from);
    if (end < 0 || end >= this.#end) throw this.malformed('a name without its end');
    if (end === from) throw fail('EINVAL', `${this.name}: the name is empty`);
    if (end - from > longest) throw fail('ENAMETOOLONG', `${this.name}: a name of ${end - from} bytes`);
    return Buffer.from(this.#slab.bytes.subarray(from, end));
  }

  target(at: number): Buffer {
    return this.text(at, MAX_TARGET);
  }

  /** Attribute names are text in the format. */
  utf8(at: number): { readonly text: string; readonly length: number } {
    const bytes = this.text(at);
    try {
      return { text: utf8.decode(bytes), length: bytes.length };
    } catch (cause) {
      throw fail('EINVAL', `${this.name}: the attribute's name is not UTF-8`, { cause });
    }
  }

  malformed(what: string): FsError {
    return fail('EIO', `${this.name}: malformed request of ${this.bodyLength} bytes: ${what}`);
  }

  #place(at: number, length: number): number {
    const place = this.#start + at;
    if (length < 0 || place + length > this.#end) throw this.malformed(`wanted ${length} bytes at ${at}`);
    return place;
  }
}

const interrupted = (): FsError => fail('EINTR', 'the caller was interrupted');
