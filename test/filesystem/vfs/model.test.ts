// Random writes, reads, truncates, fallocates and flushes of one file against a plain buffer. Uploads and commits take
// a while, in any order; the file lies across a chunk border, with tiny pages.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CHUNK_SIZE } from '../../../src/filesystem/meta/types.ts';
import { VolumeVfs } from '../../../src/filesystem/vfs/volume-vfs.ts';
import { sizes } from '../../sizes.ts';
import { caller, MemoryMeta, MemoryPages, silent } from './doubles.ts';

const WINDOW = 1024;
const BASE = CHUNK_SIZE - WINDOW / 2;
const PAGE = 64;

type Step =
  | { kind: 'write' | 'punch' | 'zero' | 'reserve' | 'read'; at: number; len: number; value: number }
  | { kind: 'truncate'; at: number }
  | { kind: 'flush' | 'reopen' | 'data' | 'tick' };

const ranged = fc.record({
  kind: fc.constantFrom('write', 'write', 'write', 'write', 'punch', 'zero', 'reserve', 'read', 'read'),
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

class Run {
  readonly meta = new MemoryMeta();
  readonly pages = new MemoryPages(PAGE);
  readonly vfs = new VolumeVfs({ meta: this.meta, pages: this.pages, root: 1n, log: silent });
  readonly model = new Model();
  ino = 0n;
  handle = 0n;

  async begin(delays: () => number): Promise<void> {
    const pause = async (): Promise<void> => {
      for (let i = delays(); i > 0; i--) await new Promise(setImmediate);
    };
    this.pages.beforeWrite = pause;
    this.meta.beforeCommit = pause;
    const [{ attr }, { handle }] = await this.vfs.create(caller, 1n, Buffer.from('f'), 0o644, 2);
    this.ino = attr.ino;
    this.handle = handle;
    await this.vfs.setattr(caller, this.ino, { size: BASE }, handle);
  }

  async apply(step: Step): Promise<void> {
    const { vfs, ino, handle, model } = this;
    if (step.kind === 'truncate') {
      model.truncate(step.at);
      await vfs.setattr(caller, ino, { size: BASE + step.at }, handle);
    } else if (step.kind === 'flush') await vfs.flush(caller, ino, handle);
    else if (step.kind === 'tick') await new Promise(setImmediate);
    else if (step.kind === 'data') await this.seek();
    else if (step.kind === 'reopen') {
      await vfs.release(caller, ino, handle);
      this.handle = (await vfs.open(caller, ino, 2)).handle;
    } else if ('len' in step) await this.ranged(step.kind, step.at, Math.min(step.len, WINDOW - step.at), step.value);
    assert.equal((await vfs.getattr(caller, ino, undefined)).attr.length, BASE + model.length);
  }

  async ranged(kind: string, at: number, len: number, value: number): Promise<void> {
    const { vfs, ino, handle, model } = this;
    if (kind === 'read') return this.check(at, len);
    if (kind === 'write') {
      const data = Buffer.alloc(len, value);
      model.write(at, data);
      await vfs.write(caller, ino, handle, BASE + at, data);
      return;
    }
    if (kind !== 'reserve') model.zero(at, at + len);
    if (kind !== 'punch') model.length = Math.max(model.length, at + len);
    await vfs.fallocate(caller, ino, handle, kind === 'punch' ? 3 : kind === 'zero' ? 0x10 : 0, BASE + at, len);
  }

  async check(at: number, len: number): Promise<void> {
    const found = Buffer.concat(await this.vfs.read(caller, this.ino, this.handle, BASE + at, len));
    assert.deepEqual(found, this.model.bytes.subarray(at, Math.max(at, Math.min(at + len, this.model.length))));
  }

  /** Holes may be reported as data, never data as a hole. */
  async seek(): Promise<void> {
    const first = this.model.bytes.findIndex((byte) => byte !== 0);
    if (first < 0) return;
    const data = await this.vfs.lseek(caller, this.ino, this.handle, BASE - 100, 3);
    assert.ok(data <= BASE + first);
    const hole = await this.vfs.lseek(caller, this.ino, this.handle, BASE + first, 4);
    const end = this.model.bytes.subarray(first, hole - BASE).length;
    assert.ok(hole > BASE + first && hole <= BASE + this.model.length && end > 0);
  }
}

test('a file is what a buffer is, whatever is done to it and however slow the store is', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 60 }),
      fc.array(fc.nat(3), { minLength: 1 }),
      async (steps, delays) => {
        const run = new Run();
        let turn = 0;
        await run.begin(() => delays[turn++ % delays.length] ?? 0);
        for (const next of steps) await run.apply(next);
        await run.check(0, WINDOW);
        await run.vfs.flush(caller, run.ino, run.handle);
        await run.check(0, WINDOW);
        await run.vfs.release(caller, run.ino, run.handle);
        run.handle = (await run.vfs.open(caller, run.ino, 0)).handle;
        await run.check(0, WINDOW);
        for (const { slice } of run.meta.committed) assert.ok(slice.size > 0 && slice.len === slice.size);
        run.vfs.stop();
      },
    ),
    { numRuns: 3 * sizes.propertyRuns },
  );
});
