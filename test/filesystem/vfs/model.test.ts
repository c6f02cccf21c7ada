// Random writes, reads, truncates, fallocates and flushes of one file against a plain buffer. Uploads and commits take
// a while, in any order; the file lies across a chunk border, with tiny pages.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { hasCode } from '../../../src/base/errors.ts';
import { formatVolume } from '../../../src/filesystem/format.ts';
import { fsck } from '../../../src/filesystem/fsck/fsck.ts';
import { CHUNK_SIZE } from '../../../src/filesystem/meta/types.ts';
import { openFileSystem } from '../../../src/filesystem/open.ts';
import { dropMemBucket } from '../../../src/filesystem/store/mem-store.ts';
import type { Vfs } from '../../../src/filesystem/vfs/vfs.ts';
import { VolumeVfs } from '../../../src/filesystem/vfs/volume-vfs.ts';
import { makeTemp } from '../../harness/temp.ts';
import { sizes } from '../../sizes.ts';
import { caller, MemoryMeta, MemoryPages, silent } from './doubles.ts';

const WINDOW = 1024;
const PAGE = 64;

type Step =
  | { kind: 'write' | 'punch' | 'zero' | 'reserve' | 'read' | 'copy'; at: number; len: number; value: number }
  | { kind: 'truncate'; at: number }
  | { kind: 'flush' | 'reopen' | 'data' | 'tick' };

const ranged = fc.record({
  kind: fc.constantFrom('write', 'write', 'write', 'write', 'punch', 'zero', 'reserve', 'read', 'read', 'copy'),
  at: fc.nat(WINDOW - 1),
  len: fc.integer({ min: 1, max: 300 }),
  value: fc.integer({ min: 1, max: 255 }),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: ranged as fc.Arbitrary<Step> },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('truncate' as const), at: fc.nat(WINDOW) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('flush', 'reopen', 'data', 'tick') }) as fc.Arbitrary<Step>,
  },
);

/** The file as it should be: its window and its length (from BASE). */
class Model {
  bytes = Buffer.alloc(WINDOW);
  length = 0;

  write(at: number, data: Buffer): void {
    data.copy(this.bytes, at);
    this.length = Math.max(this.length, at + data.length);
  }

  zero(at: number, to: number): void {
    this.bytes.fill(0, at, Math.max(at, Math.min(to, this.length)));
  }

  truncate(length: number): void {
    this.bytes.fill(0, Math.min(length, this.length));
    this.length = length;
  }
}

/** Chunk borders that the window lies across: the first, one that numbers cannot count bytes beyond, the last. */
const BORDERS = [BigInt(CHUNK_SIZE), 1n << 53n, (1n << 57n) - BigInt(CHUNK_SIZE)] as const;

interface Served {
  readonly vfs: Vfs;
  readonly border: bigint;
  /** Bytes of the file per byte of the model: a page is 64 bytes there. */
  readonly scale: number;
}

class Run {
  readonly vfs: Vfs;
  readonly border: bigint;
  readonly scale: number;
  readonly model = new Model();
  ino = 0n;
  handle = 0n;

  constructor({ vfs, border, scale }: Served) {
    this.vfs = vfs;
    this.border = border;
    this.scale = scale;
  }

  /** Place in the file of a byte of the model. */
  place(at: number): bigint {
    return this.border - BigInt((WINDOW / 2 - at) * this.scale);
  }

  async begin(): Promise<void> {
    const [{ attr }, { handle }] = await this.vfs.create(caller, this.vfs.root, Buffer.from('f'), 0o644, 2);
    this.ino = attr.ino;
    this.handle = handle;
    await this.vfs.setattr(caller, this.ino, { size: this.place(0) }, handle);
  }

  async apply(step: Step): Promise<void> {
    const { vfs, ino, handle, model } = this;
    if (step.kind === 'truncate') {
      model.truncate(step.at);
      await vfs.setattr(caller, ino, { size: this.place(step.at) }, handle);
    } else if (step.kind === 'flush') await this.flushAndRead();
    else if (step.kind === 'tick') await new Promise(setImmediate);
    else if (step.kind === 'data') await this.seek();
    else if (step.kind === 'reopen') {
      await vfs.release(caller, ino, handle);
      this.handle = (await vfs.open(caller, ino, 2)).handle;
    } else if ('len' in step) await this.ranged(step.kind, step.at, Math.min(step.len, WINDOW - step.at), step.value);
    assert.equal((await vfs.getattr(caller, ino, undefined)).attr.length, this.place(model.length));
  }

  /** Reads while slices turn from dirty to committed. */
  async flushAndRead(): Promise<void> {
    const reads = [0, 1, 2, 3].map(async (turns) => {
      for (let i = 0; i < turns; i++) await new Promise(setImmediate);
      await this.check(0, WINDOW);
    });
    await Promise.all([this.vfs.flush(caller, this.ino, this.handle), ...reads]);
  }

  async ranged(kind: string, at: number, len: number, value: number): Promise<void> {
    const { vfs, ino, handle, model, scale } = this;
    if (kind === 'read') return this.check(at, len);
    if (kind === 'write') {
      model.write(at, Buffer.alloc(len, value));
      await vfs.write(caller, ino, handle, this.place(at), Buffer.alloc(len * scale, value));
      return;
    }
    if (kind === 'copy') return this.copy(at, len, value * 4);
    if (kind !== 'reserve') model.zero(at, at + len);
    if (kind !== 'punch') model.length = Math.max(model.length, at + len);
    const mode = kind === 'punch' ? 3 : kind === 'zero' ? 0x10 : 0;
    await vfs.fallocate(caller, ino, handle, mode, this.place(at), BigInt(len * scale));
  }

  /** Within the file; what lies behind its end is not copied. */
  async copy(at: number, len: number, to: number): Promise<void> {
    const { vfs, ino, handle, model, scale } = this;
    const count = Math.max(0, Math.min(len, model.length - at, WINDOW - to));
    const copying = vfs.copyRange(
      caller,
      { ino, handle, offset: this.place(at) },
      { ino, handle, offset: this.place(to) },
      BigInt((to + len > WINDOW ? count : len) * scale),
    );
    if (count > 0 && Math.abs(at - to) < count)
      return void (await assert.rejects(copying, (e) => hasCode(e, 'EINVAL')));
    assert.equal(await copying, BigInt(count * scale));
    if (count > 0) model.write(to, Buffer.from(model.bytes.subarray(at, at + count)));
  }

  async check(at: number, len: number): Promise<void> {
    const { scale } = this;
    const found = Buffer.concat(await this.vfs.read(caller, this.ino, this.handle, this.place(at), len * scale));
    const wanted = this.model.bytes.subarray(at, Math.max(at, Math.min(at + len, this.model.length)));
    assert.equal(found.length, wanted.length * scale);
    for (const [i, byte] of wanted.entries())
      for (const inner of [0, scale - 1]) assert.equal(found[i * scale + inner], byte, `byte ${at + i}`);
  }

  /** Holes may be reported as data, never data as a hole. */
  async seek(): Promise<void> {
    const seek = (from: bigint, whence: number): Promise<bigint> =>
      this.vfs.lseek(caller, this.ino, this.handle, from, whence);
    const [end, bytes] = [this.place(this.model.length), this.model.bytes];
    let at = this.place(0) - 100n;
    for (const [i, byte] of bytes.entries()) {
      if (byte === 0 || this.place(i) < at) continue;
      const data = await seek(at, 3);
      assert.ok(data >= at && data <= this.place(i), `byte ${i} lies in a hole`);
      at = await seek(this.place(i), 4);
      assert.ok(at > this.place(i) && at <= end);
    }
    if (at < end) assert.ok((await seek(at, 4)) <= end);
  }

  async all(steps: readonly Step[]): Promise<void> {
    await this.begin();
    for (const next of steps) await this.apply(next);
    await this.check(0, WINDOW);
    await this.vfs.flush(caller, this.ino, this.handle);
    await this.check(0, WINDOW);
    await this.vfs.release(caller, this.ino, this.handle);
    this.handle = (await this.vfs.open(caller, this.ino, 0)).handle;
    await this.check(0, WINDOW);
    await this.vfs.release(caller, this.ino, this.handle);
  }
}

const steps = fc.array(step, { maxLength: 60, size: 'max' });
/** What grows with each copy of a file onto itself must not grow with all that it has. */
const copies: Step[] = [
  { kind: 'write', at: 0, len: 300, value: 1 },
  ...Array.from({ length: 50 }, (_, i) => ({ kind: 'copy' as const, at: i, len: 1, value: 100 + i })),
];

test('a file is what a buffer is, whatever is done to it and however slow the store is', async () => {
  await fc.assert(
    fc.asyncProperty(
      steps,
      fc.array(fc.nat(3), { minLength: 1 }),
      fc.constantFrom(...BORDERS),
      async (done, delays, border) => {
        const meta = new MemoryMeta();
        const pages = new MemoryPages(PAGE);
        let turn = 0;
        const pause = async (): Promise<void> => {
          for (let i = delays[turn++ % delays.length] ?? 0; i > 0; i--) await new Promise(setImmediate);
        };
        pages.beforeWrite = pause;
        meta.beforeCommit = pause;
        meta.afterReadChunk = pause;
        const vfs = new VolumeVfs({ meta, pages, root: 1n, log: silent });
        await new Run({ vfs, border, scale: 1 }).all(done);
        for (const { slice } of meta.committed) assert.ok(slice.size > 0 && slice.len === slice.size);
        vfs.stop();
      },
    ),
    { numRuns: 2 * sizes.propertyRuns, examples: [[copies, [0], BORDERS[0]]] },
  );
});

const temp = makeTemp();
after(() => dropMemBucket('model'));
const REAL_PAGE = 65_536;

test('the same with the real metadata and sealed pages, which a check of the whole file system finds sound', async () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = () => Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const metaUrl = `sqlite3://${temp.at('model.db')}`;
  const store = { storage: 'mem', bucket: 'model' };
  await formatVolume({ metaUrl, name: 'model', store, key: { kind: 'self-managed', pem: pem() }, pageSize: REAL_PAGE });
  const fs = await openFileSystem({ metaUrl, key: { kind: 'pem', pem: pem() }, cacheBytes: 4 * REAL_PAGE });
  try {
    await fc.assert(
      fc.asyncProperty(steps, fc.constantFrom(BORDERS[0], BORDERS[1]), async (done, border) => {
        await new Run({ vfs: fs.vfs, border, scale: REAL_PAGE / PAGE }).all(done);
        await fs.vfs.unlink(caller, fs.vfs.root, Buffer.from('f'));
      }),
      { numRuns: Math.ceil(sizes.propertyRuns / 20), examples: [[copies, BORDERS[0]]] },
    );
  } finally {
    await fs.close();
  }
  // What was unlinked lies in the trash, with all its slices.
  assert.deepEqual((await fsck({ metaUrl })).findings, []);
});
