// What a file holds, sparsely: offsets beyond a chunk of the format cost nothing. Digests are those of client.py.
import { createHash } from 'node:crypto';

const BLOCK = 65_536;
const zeros = Buffer.alloc(BLOCK);

/** Bytes that model and client make alike; zeros without a seed. */
export const pattern = (seed: string, length: number): Buffer =>
  seed === '' || length === 0
    ? Buffer.alloc(length)
    : createHash('shake128', { outputLength: length }).update(seed).digest();

export function digestOf(length: number, blocks: Iterable<readonly [at: number, bytes: Buffer]>): string {
  const hasher = createHash('sha1');
  for (const [at, bytes] of blocks) {
    if (zeros.subarray(0, bytes.length).equals(bytes)) continue;
    const place = Buffer.alloc(8);
    place.writeBigUInt64BE(BigInt(at));
    hasher.update(place).update(bytes);
  }
  return `${length}:${hasher.digest('hex')}`;
}

export class Content {
  length = 0;
  readonly #blocks = new Map<number, Buffer>();
  #digest: string | undefined;

  write(at: number, data: Buffer): void {
    for (let done = 0; done < data.length; ) {
      const k = Math.floor((at + done) / BLOCK);
      const from = at + done - k * BLOCK;
      const n = Math.min(BLOCK - from, data.length - done);
      data.copy(this.#block(k), from, done, done + n);
      done += n;
    }
    if (data.length > 0) this.length = Math.max(this.length, at + data.length);
    this.#digest = undefined;
  }

  /** The length stays. */
  zero(from: number, to: number): void {
    for (const [k, block] of this.#blocks) {
      const a = Math.max(0, from - k * BLOCK);
      const b = Math.min(BLOCK, to - k * BLOCK);
      if (a < b) block.fill(0, a, b);
    }
    this.#digest = undefined;
  }

  truncate(length: number): void {
    this.zero(length, Number.MAX_SAFE_INTEGER);
    this.length = length;
  }

  read(at: number, length: number): Buffer {
    const out = Buffer.alloc(Math.max(0, Math.min(length, this.length - at)));
    for (let done = 0; done < out.length; ) {
      const k = Math.floor((at + done) / BLOCK);
      const from = at + done - k * BLOCK;
      const n = Math.min(BLOCK - from, out.length - done);
      this.#blocks.get(k)?.copy(out, done, from, from + n);
      done += n;
    }
    return out;
  }

  /** Of a part, as client.py digests what it read. */
  digestOfPart(at: number, length: number): string {
    const bytes = this.read(at, length);
    const blocks: [number, Buffer][] = [];
    for (let from = 0; from < bytes.length; from += BLOCK) blocks.push([from, bytes.subarray(from, from + BLOCK)]);
    return digestOf(bytes.length, blocks);
  }

  get digest(): string {
    if (this.#digest !== undefined) return this.#digest;
    const there = [...this.#blocks].filter(([k]) => k * BLOCK < this.length).sort(([a], [b]) => a - b);
    const cut = there.map(([k, block]) => [k * BLOCK, block.subarray(0, this.length - k * BLOCK)] as const);
    this.#digest = digestOf(this.length, cut);
    return this.#digest;
  }

  #block(k: number): Buffer {
    const block = this.#blocks.get(k) ?? Buffer.alloc(BLOCK);
    this.#blocks.set(k, block);
    return block;
  }
}
