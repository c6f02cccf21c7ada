// Requests from bytes, replies into bytes, and what happens to bytes that no kernel sends.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { errnoOf } from '../../src/base/errno.ts';
import { FsError } from '../../src/base/errors.ts';
import { type Attr, type Entry, NodeType } from '../../src/filesystem/vfs/vfs.ts';
import { handlerOf } from '../../src/fuse/dispatch.ts';
import { initBody, negotiate } from '../../src/fuse/negotiate.ts';
import { NodeIds } from '../../src/fuse/nodes.ts';
import { Listing } from '../../src/fuse/operations/directories.ts';
import { Privileges } from '../../src/fuse/operations/privileges.ts';
import { InHeader, InitFlag, InitFlag2, OPCODES, Opcode, Size } from '../../src/fuse/protocol.ts';
import { attrBody, entryBody } from '../../src/fuse/reply.ts';
import { KernelRequest, slabOf } from '../../src/fuse/request.ts';
import { SPIN_MICROS, SpinPolicy } from '../../src/fuse/spin.ts';
import { MemoryVfs } from './memory-vfs.ts';

interface Header {
  readonly opcode?: number;
  readonly unique?: bigint;
  readonly node?: bigint;
  readonly stated?: number;
  readonly extensions?: number;
}

/** Bytes before and after stand for other requests of the batch. */
function request(body: Uint8Array, header: Header = {}, around = 64): KernelRequest {
  const length = InHeader.size + body.length;
  const bytes = Buffer.alloc(around + length + around, 0x41);
  bytes.fill(0, around, around + InHeader.size);
  bytes.writeUInt32LE(header.stated ?? length, around);
  bytes.writeUInt32LE(header.opcode ?? Opcode.LOOKUP, around + 4);
  bytes.writeBigUInt64LE(header.unique ?? 2n, around + 8);
  bytes.writeBigUInt64LE(header.node ?? 1n, around + 16);
  bytes.writeUInt32LE(1000, around + 24);
  bytes.writeUInt16LE(header.extensions ?? 0, around + 36);
  bytes.set(body, around + InHeader.size);
  return new KernelRequest(slabOf(bytes), around, length);
}

const attr: Attr = {
  ino: 9n, type: NodeType.file, flags: 0, mode: 0o644, uid: 1, gid: 2, atime: -1n, mtime: 1_500_000_000n, ctime: 0n,
  nlink: 3, length: 2n ** 57n - 1n, rdev: 0, parent: 1n, accessAcl: 0, defaultAcl: 0, tier: 0,
}; // biome-ignore format: a list of plain fields
const entry: Entry = { attr, entryTimeout: 1500, attrTimeout: 0.5 };
const nodes = new NodeIds(1n);

suite('requests', () => {
  test('a resent id keeps its mark for the reply and loses it for everybody else', () => {
    const resent = request(Buffer.alloc(0), { unique: (1n << 63n) | 0x1_0000_0002n });
    assert.equal(resent.resent, true);
    assert.equal(resent.unique, 0x1_0000_0002n);
    assert.equal(resent.id, 0x1_0000_0002);
    assert.equal(resent.uniqueHigh, 0x8000_0001);
    assert.equal(request(Buffer.alloc(0)).resent, false);
  });

  test('names are copies that end before NUL', () => {
    const lookup = request(Buffer.from('name\0'));
    const name = lookup.text(0);
    lookup.seal();
    assert.equal(name.toString(), 'name');
    assert.throws(() => lookup.text(0), { code: 'EIO' });
  });

  test('a name without its end, none, or one too long is refused', () => {
    assert.throws(() => request(Buffer.from('name')).text(0), { code: 'EIO' });
    assert.throws(() => request(Buffer.from('\0')).text(0), { code: 'EINVAL' });
    assert.throws(() => request(Buffer.from(`${'n'.repeat(1025)}\0`)).text(0), { code: 'ENAMETOOLONG' });
    assert.throws(() => request(Buffer.from([0xff, 0])).utf8(0), { code: 'EINVAL' });
  });

  test('extensions are no part of the body, and a wrong length leaves none', () => {
    assert.equal(request(Buffer.alloc(24), { extensions: 2 }).bodyLength, 8);
    assert.equal(request(Buffer.alloc(24), { extensions: 9 }).bodyLength, 0);
    assert.equal(request(Buffer.alloc(24), { stated: 1000 }).bodyLength, 0);
  });

  test('a signal is aborted with EINTR, before and after it is asked for', () => {
    const early = request(Buffer.alloc(0));
    const { signal } = early;
    early.interrupt();
    assert.equal(errnoOf(signal.reason), 4);
    const late = request(Buffer.alloc(0));
    late.interrupt();
    assert.equal(late.signal.aborted, true);
  });

  test('whatever a body holds, an operation answers or fails with an errno', async () => {
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc
        .tuple(fc.array(fc.bigInt({ min: 0n, max: 12n }), { maxLength: 8 }), fc.string({ maxLength: 20 }))
        .map(([words, text]) => {
          const fixed = Buffer.alloc(words.length * 8);
          for (const [i, word] of words.entries()) fixed.writeBigUInt64LE(word, i * 8);
          return Buffer.concat([fixed, Buffer.from(`${text}\0other\0`)]);
        }),
    );
    const opcode = fc.integer({ min: 1, max: OPCODES + 2 });
    const node = fc.bigInt({ min: 0n, max: 4n });
    await fc.assert(
      fc.asyncProperty(opcode, node, body, async (code, of, bytes) => {
        const handler = handlerOf(code);
        if (handler === undefined) return;
        const vfs = new MemoryVfs();
        // Memory, not the wire, is what bounds this Vfs.
        vfs.setattr = (_, ino) => vfs.getattr(_, ino);
        vfs.fallocate = async () => {};
        vfs.write = async (_, __, ___, ____, data) => data.length;
        const one = request(bytes, { opcode: code, node: of });
        try {
          const answer = await Promise.try(
            handler,
            {
              vfs,
              nodes,
              notifier: { inode: async () => true },
              privileges: new Privileges(vfs),
              agreed: () => undefined,
              forgetAttributes: () => undefined,
            },
            one,
          );
          assert(answer === undefined || typeof answer === 'object');
        } catch (thrown) {
          assert(thrown instanceof FsError, String((thrown as Error).stack));
          assert(errnoOf(thrown) > 0);
        }
      }),
      { numRuns: 3000 },
    );
  });
});

suite('replies', () => {
  test('an entry', () => {
    const body = entryBody(entry, nodes);
    assert.equal(body.length, Size.entryOut);
    assert.equal(body.readBigUInt64LE(0), 9n);
    assert.equal(body.readBigUInt64LE(16), 1n);
    assert.equal(body.readUInt32LE(32), 500_000_000);
    assert.equal(body.readUInt32LE(36), 500_000);
    assert.equal(body.readBigUInt64LE(48), 2n ** 57n - 1n);
    assert.deepEqual([body.readBigInt64LE(64), body.readUInt32LE(88)], [-1n, 999_999_999]);
    assert.deepEqual([body.readBigInt64LE(72), body.readUInt32LE(92)], [1n, 500_000_000]);
    assert.equal(body.readUInt32LE(100), 0o100644);
  });

  test('attributes lie where the entry has them', () => {
    const body = attrBody(entry, nodes);
    assert.equal(body.length, Size.attrOut);
    assert(body.subarray(16).equals(entryBody(entry, nodes).subarray(40)));
  });

  test('the root is node 1 whatever its inode, and inode 1 is then nobody', () => {
    const below = new NodeIds(40n);
    assert.equal(below.toIno(1n), 40n);
    assert.equal(below.toNode(40n), 1n);
    assert.throws(() => below.toNode(1n), { code: 'EIO' });
    assert.throws(() => below.toIno(40n), { code: 'ESTALE' });
    assert.equal(below.shown(1n), 1n);
  });

  test('listings fit their room to the byte and go on where they stopped', () => {
    const names = fc.array(fc.uint8Array({ minLength: 1, maxLength: 255 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(names, fc.integer({ min: 0, max: 4096 }), fc.boolean(), (list, room, plus) => {
        const listing = new Listing(nodes, plus, room);
        let taken = 0;
        for (const [i, name] of list.entries()) {
          const shown = { name: Buffer.from(name), ino: 9n, type: NodeType.file, nextOffset: BigInt(i + 1) };
          if (!listing.take(plus ? { ...shown, entry } : shown)) break;
          taken++;
        }
        const { body } = listing;
        assert(body.length <= room);
        assert.equal(body.length % 8, 0);
        let at = 0;
        for (let i = 0; i < taken; i++) {
          if (plus) at += Size.entryOut;
          const length = body.readUInt32LE(at + 16);
          assert.equal(body.readBigUInt64LE(at + 8), BigInt(i + 1));
          assert(body.subarray(at + 24, at + 24 + length).equals(list[i] ?? Buffer.alloc(0)));
          at += (24 + length + 7) & ~7;
        }
        assert.equal(at, body.length);
      }),
    );
  });
});

suite('negotiation', () => {
  const all = { major: 7, minor: 45, maxReadahead: 131_072, flags: 0xffff_ffff, flags2: 0xffff_ffff };
  const plain = { accessLists: false, locks: true };

  test('takes what is wanted of what is offered, and never what must not be', () => {
    const state = negotiate(all, plain);
    assert(state);
    const [EXPORT_SUPPORT, WRITEBACK, POSIX_LOCKS, FLOCK, NO_OPENDIR] = [1 << 4, 1 << 16, 1 << 1, 1 << 10, 1 << 24];
    assert.equal(state.flags & (EXPORT_SUPPORT | WRITEBACK | NO_OPENDIR), 0);
    assert.equal(state.flags & (POSIX_LOCKS | FLOCK), POSIX_LOCKS | FLOCK);
    // A mount without a session leaves locks to the kernel.
    assert.equal((negotiate(all, { ...plain, locks: false })?.flags ?? 0) & (POSIX_LOCKS | FLOCK), 0);
    assert(state.flags & InitFlag.MAX_PAGES);
    assert(state.flags2 & InitFlag2.HAS_RESEND);
    assert.equal(negotiate({ ...all, flags: 0xffff_ffff & ~InitFlag.INIT_EXT }, plain)?.flags2, 0);
    assert.equal(negotiate({ ...all, flags: 0, flags2: 0 }, plain)?.flags, 0);
    const forLists = InitFlag.POSIX_ACL | InitFlag.DONT_MASK;
    assert.equal(state.flags & forLists, 0);
    assert.equal((negotiate(all, { ...plain, accessLists: true })?.flags ?? 0) & forLists, forLists);
  });

  test('an old kernel is refused, a later minor is met at ours, a later major asked again', () => {
    assert.throws(() => negotiate({ ...all, minor: 30 }, plain), { code: 'unsupported' });
    assert.equal(negotiate({ ...all, minor: 99 }, plain)?.minor, 45);
    assert.equal(negotiate({ ...all, minor: 31 }, plain)?.minor, 31);
    assert.equal(negotiate({ ...all, major: 8 }, plain), undefined);
    assert.equal(initBody(undefined).readUInt32LE(0), 7);
  });

  test('the state survives JSON', () => {
    const state = negotiate(all, plain);
    assert.deepEqual(JSON.parse(JSON.stringify(state)), state);
  });
});

suite('spin', () => {
  test('starts after half of the last 64 requests came soon, and stops when they no longer do', () => {
    const policy = new SpinPolicy(true);
    for (let i = 0; i < 31; i++) assert.equal(policy.record(50), 0);
    assert.equal(policy.record(50), SPIN_MICROS);
    for (let i = 0; i < 32; i++) policy.record(50);
    for (let i = 0; i < 32; i++) assert.equal(policy.record(1000), SPIN_MICROS);
    assert.equal(policy.record(1000), 0);
  });

  test('one processor never spins', () => {
    const policy = new SpinPolicy(false);
    for (let i = 0; i < 100; i++) assert.equal(policy.record(1), 0);
  });
});

test('an open whose set-id bits cannot be taken away leaves no handle behind', async () => {
  const vfs = new MemoryVfs();
  const [{ attr }, first] = await vfs.create(request(new Uint8Array()), vfs.root, Buffer.from('a'), 0o644, 2);
  await vfs.release(request(new Uint8Array()), attr.ino, first.handle);
  const privileges = new Privileges(vfs);
  privileges.lose = () => Promise.reject(new FsError('EIO', 'no metadata'));
  const notifier = { inode: async () => true };
  const context = {
    vfs,
    nodes: new NodeIds(vfs.root),
    privileges,
    notifier,
    agreed: () => undefined,
    forgetAttributes: () => undefined,
  };
  const open = handlerOf(Opcode.OPEN);
  const body = Buffer.alloc(8);
  body.writeUInt32LE(2, 0);
  body.writeUInt32LE(1, 4); // FUSE_OPEN_KILL_SUIDGID
  await assert.rejects(async () => open?.(context, request(body, { node: attr.ino })));
  assert.equal(vfs.handles.size, 0);
});
