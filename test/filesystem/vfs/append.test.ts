// Appends to a file that others append to at the same time: nobody's bytes are lost, no record is torn.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Caller, Ino } from '../../../src/base/words.ts';
import { CHUNK_SIZE, ROOT } from '../../../src/filesystem/meta/types.ts';
import { VolumeVfs } from '../../../src/filesystem/vfs/volume-vfs.ts';
import { makeTemp } from '../../harness/temp.ts';
import { sizes } from '../../sizes.ts';
import { TestVolume } from '../meta/volume.ts';
import { caller, MemoryMeta, MemoryPages, silent } from './doubles.ts';

const O_RDWR = 2;
const O_APPEND = 0o2000;
const PAGE = 65_536;
const temp = makeTemp();

/** Two mounts of one real volume, on one store. */
async function twoMounts() {
  const volume = await TestVolume.make(temp, { trashDays: 0 });
  const pages = new MemoryPages(PAGE);
  const metas = [await volume.open(), await volume.open()] as const;
  const stale: Ino[] = [];
  const mounts = metas.map((meta) => new VolumeVfs({ meta, pages, root: ROOT, log: silent }));
  const [a, b] = mounts as [VolumeVfs, VolumeVfs];
  for (const mount of mounts) mount.onStale((ino) => stale.push(ino));
  const [{ attr }, { handle }] = await a.create(caller, ROOT, Buffer.from('log'), 0o644, O_RDWR | O_APPEND);
  const other = (await b.open(caller, attr.ino, O_RDWR | O_APPEND)).handle;
  const append = (vfs: VolumeVfs, text: string | Buffer): Promise<number> =>
    vfs.write(caller, attr.ino, vfs === a ? handle : other, 0n, Buffer.from(text));
  const sync = (vfs: VolumeVfs): Promise<void> => vfs.fsync(caller, attr.ino, vfs === a ? handle : other);
  const read = async (vfs: VolumeVfs, from = 0n, size = 4096): Promise<string> =>
    Buffer.concat(await vfs.read(caller, attr.ino, vfs === a ? handle : other, from, size)).toString();
  const end = async (): Promise<void> => {
    for (const mount of mounts) {
      await mount.flushAll();
      mount.stop();
    }
    for (const meta of metas) await meta.close();
    assert.deepEqual(await volume.violations(), []);
  };
  return { volume, a, b, ino: attr.ino, handle, stale, append, sync, read, end };
}

test('what two mounts append lies one after the other, in the order of their commits', async () => {
  const { a, b, ino, stale, append, sync, read, end } = await twoMounts();
  await append(a, 'first of a.');
  await append(b, 'first of b.');
  assert.equal(await read(a), 'first of a.');
  await sync(b);
  await append(a, 'second of a.');
  await sync(a);
  assert.equal(await read(a), 'first of b.first of a.second of a.');
  assert.deepEqual(stale, [ino]);
  await append(b, 'second of b.');
  await sync(b);
  assert.equal(await read(b), 'first of b.first of a.second of a.second of b.');
  await end();
});

test('what is not committed yet moves along, and is read where it will lie', async () => {
  const meta = new MemoryMeta();
  const pages = new MemoryPages(PAGE);
  const vfs = new VolumeVfs({ meta, pages, root: 1n, log: silent });
  const [{ attr }, { handle }] = await vfs.create(caller, 1n, Buffer.from('log'), 0o644, O_RDWR | O_APPEND);
  const { ino } = attr;
  await vfs.write(caller, ino, handle, 0n, Buffer.from('aaaa'));
  // Between this commit and the next there is more, and somebody else was quicker.
  const { promise, resolve } = Promise.withResolvers<void>();
  meta.beforeCommit = async () => {
    meta.beforeCommit = () => promise;
    meta.node(ino).attr = { ...meta.node(ino).attr, length: 10n };
    await vfs.write(caller, ino, handle, 0n, Buffer.from('bbbb'));
  };
  await Promise.all([vfs.fsync(caller, ino, handle), Promise.resolve().then(resolve)]);
  const all = Buffer.concat(await vfs.read(caller, ino, handle, 0n, 100)).toString('latin1');
  assert.equal(all, `${'\0'.repeat(10)}aaaabbbb`);
  assert.equal((await vfs.getattr(caller, ino, handle)).attr.length, 18n);
  await vfs.fsync(caller, ino, handle);
  assert.equal(Buffer.concat(await vfs.read(caller, ino, handle, 10n, 100)).toString(), 'aaaabbbb');
});

test('a record across the end of a chunk stays in one piece, where it is moved to as well', async () => {
  for (const [room, wanted, records] of [
    [6, 'AAAAAAAAAAAABBBBBBBBBBBBBBBB', ['12:2', '16:1']], // as it was written: it is committed at once
    [20, 'BBBBBBBBBBBBBBBBAAAAAAAAAAAA', ['12:2', '16:1']], // it makes way for the other's
  ] as const) {
    const { volume, a, b, ino, append, sync, read, end } = await twoMounts();
    await a.setattr(caller, ino, { size: BigInt(CHUNK_SIZE - room) }, undefined);
    await append(a, 'AAAAAAAAAAAA');
    assert.equal(await read(a, BigInt(CHUNK_SIZE - room)), 'AAAAAAAAAAAA');
    await append(b, 'BBBBBBBBBBBB');
    await append(b, 'BBBB');
    if (room === 6) await sync(a);
    await sync(b);
    await sync(a);
    for (const vfs of [a, b]) {
      await vfs.getattr(caller, ino, undefined);
      assert.equal(await read(vfs, BigInt(CHUNK_SIZE - room)), wanted);
    }
    const refs = volume.rows('SELECT size, refs FROM jfs_chunk_ref');
    assert.deepEqual(refs.map(([size, n]) => `${size}:${n}`).sort(), records);
    await end();
  }
});

test('bytes that have a place stay there, beside those that have none', async () => {
  const { a, b, ino, handle, append, sync, read, end } = await twoMounts();
  await append(a, '0123456789');
  await a.write(caller, ino, handle, 10n, Buffer.from('placed'), true);
  await append(a, 'after');
  await append(b, 'BB');
  await sync(b);
  await sync(a);
  await a.getattr(caller, ino, undefined);
  // Whoever was quicker: what was placed was written where it was told to, the rest is whole.
  const all = await read(a);
  assert.equal(all.slice(10, 16), 'placed');
  for (const part of ['after', '01234567']) assert.ok(all.includes(part), all);
  await end();
});

test('random appends of two mounts: every record is there once and whole, each mount its own in order', async () => {
  const step = fc.record({ who: fc.nat(1), size: fc.integer({ min: 1, max: 90_000 }), sync: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 24 }), async (steps) => {
      const { a, b, ino, append, sync, end } = await twoMounts();
      const written: Buffer[][] = [[], []];
      await Promise.all(
        [a, b].map(async (vfs, who) => {
          for (const [i, one] of steps.entries()) {
            if (one.who !== who) continue;
            const record = Buffer.alloc(8 + one.size, 65 + ((who * 13 + i) % 26));
            record.writeUInt32BE(one.size, 0);
            record.writeUInt32BE(who, 4);
            written[who]?.push(record);
            await append(vfs, record);
            if (one.sync) await sync(vfs);
          }
          await sync(vfs);
        }),
      );
      const { handle } = await a.open(caller, ino, O_RDWR);
      const { attr } = await a.getattr(caller, ino, handle);
      const all = Buffer.concat(await a.read(caller, ino, handle, 0n, Number(attr.length)));
      const found: Buffer[][] = [[], []];
      for (let at = 0; at < all.length; ) {
        const record = all.subarray(at, at + 8 + all.readUInt32BE(at));
        found[record.readUInt32BE(4)]?.push(record);
        at += record.length;
      }
      for (const who of [0, 1]) assert.ok(Buffer.concat(found[who] ?? []).equals(Buffer.concat(written[who] ?? [])));
      await end();
    }),
    { numRuns: Math.max(5, sizes.propertyRuns / 20) },
  );
});

test('an append sent again is there once, or goes to the end; it takes the place of nobody', async () => {
  const resent: Caller = { ...caller, request: { mount: 1n, unique: 2n, resent: true } };
  const { a, b, ino, handle, append, sync, read, end } = await twoMounts();
  await append(a, 'head.');
  await a.write(caller, ino, handle, 5n, Buffer.from('one.'));
  await sync(a);
  await a.write(resent, ino, handle, 5n, Buffer.from('one.'));
  await sync(a);
  assert.equal(await read(a), 'head.one.');
  await append(b, 'of b.');
  await sync(b);
  await a.write(resent, ino, handle, 9n, Buffer.from('two.'));
  await sync(a);
  assert.equal(await read(a), 'head.one.of b.two.');
  await end();
});

test('many small appends of one mount are few slices', async () => {
  const meta = new MemoryMeta();
  const vfs = new VolumeVfs({ meta, pages: new MemoryPages(PAGE), root: 1n, log: silent });
  const [{ attr }, { handle }] = await vfs.create(caller, 1n, Buffer.from('log'), 0o644, O_RDWR | O_APPEND);
  for (let i = 0; i < 5000; i++) await vfs.write(caller, attr.ino, handle, 0n, Buffer.from(`line ${i}\n`));
  await vfs.fsync(caller, attr.ino, handle);
  assert.equal(meta.committed.length, 1);
});
