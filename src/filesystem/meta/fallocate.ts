// fallocate(2): preallocation stores nothing but the length; punching and zeroing append zero records (spec 5.4).
import { nowNs } from '../../base/clock.ts';
import { fail } from '../../base/errors.ts';
import type { Caller } from '../../base/words.ts';
import { type Change, type Op, read, write } from '../sql/op.ts';
import { appendSlices, directoriesOf, growthDeltas, manyParentsOf, zeroRowsBetween } from './chunk.ts';
import type { MetaContext } from './context.ts';
import { chunkOf, larger, posInChunk, smaller } from './position.ts';
import { attrReply, type Outcome } from './request.ts';
import { hole } from './slices.ts';
import { nodeById, updateNode } from './statements.ts';
import { type Attr, CHUNK_SIZE, type Ino, MAX_LENGTH, NodeFlag, NodeType } from './types.ts';
import { fileGrowth, growingFile } from './usage.ts';

const KEEP_SIZE = 0x01;
const PUNCH_HOLE = 0x02;
const COLLAPSE = 0x08;
const ZERO_RANGE = 0x10;
const INSERT = 0x20;

export function fallocate(
  ctx: MetaContext,
  caller: Caller,
  ino: Ino,
  mode: number,
  offset: bigint,
  size: bigint,
): Promise<Attr> {
  return ctx.write(caller, attrReply, function* (): Op<Outcome<Attr>> {
    checkArguments(ino, mode, offset, size);
    const [[attr], many, ...limits] = yield* read(
      nodeById(ino, true),
      manyParentsOf(ino),
      ...ctx.usage.limitsOf(growingFile(ino)),
    );
    if (attr === undefined) throw fail('ENOENT', `fallocate inode ${ino}: it is gone`);
    checkNode(attr, mode);
    const end = offset + size;
    const length = (mode & KEEP_SIZE) === 0 ? larger(attr.length, end) : attr.length;
    yield* ctx.usage.checkGrowth(limits.flat(), fileGrowth(attr, length));
    const now = nowNs();
    const zeros = (mode & (PUNCH_HOLE | ZERO_RANGE)) !== 0 ? zeroed(ino, offset, smaller(end, attr.length)) : [];
    yield* write(...zeros, updateNode(ino, { length, mtime: now, ctime: now }));
    return {
      answer: { ...attr, length, mtime: now, ctime: now },
      usage: growthDeltas(attr, directoriesOf(attr, many), length),
    };
  });
}

function checkArguments(ino: Ino, mode: number, offset: bigint, size: bigint): void {
  const attempted = `fallocate inode ${ino} mode ${mode}`;
  if (mode === COLLAPSE || mode === INSERT) throw fail('ENOTSUP', `${attempted}: not offered`);
  if ((mode & (COLLAPSE | INSERT)) !== 0) throw fail('EINVAL', `${attempted}: no such combination`);
  if ((mode & ~(KEEP_SIZE | PUNCH_HOLE | ZERO_RANGE)) !== 0) throw fail('ENOTSUP', `${attempted}: unknown mode`);
  if ((mode & PUNCH_HOLE) !== 0 && (mode & KEEP_SIZE) === 0)
    throw fail('EINVAL', `${attempted}: punch changes the size`);
  if (offset < 0n || size <= 0n) throw fail('EINVAL', `${attempted}: ${offset}, ${size}`);
  if (offset + size > MAX_LENGTH)
    throw fail('EFBIG', `${attempted}: up to ${offset + size}, the longest file is ${MAX_LENGTH} bytes`);
}

function checkNode(attr: Attr, mode: number): void {
  if (attr.type === NodeType.fifo) throw fail('EPIPE', `fallocate inode ${attr.ino}: a fifo`);
  if (attr.type !== NodeType.file || (attr.flags & NodeFlag.immutable) !== 0)
    throw fail('EPERM', `fallocate inode ${attr.ino}: not a file, or immutable`);
  if ((attr.flags & NodeFlag.append) !== 0 && (mode & ~KEEP_SIZE) !== 0)
    throw fail('EPERM', `fallocate inode ${attr.ino}: append-only`);
}

/** Beyond this many chunks (64 GiB) only those that have a row are zeroed: the others are zeros already. */
const MAX_NEW_ROWS = 1024;

/** Zero records over [from, to), chunk by chunk. */
function zeroed(ino: Ino, from: bigint, to: bigint): Change[] {
  if (from >= to) return [];
  const [first, last] = [chunkOf(from), chunkOf(to - 1n)];
  const piece = (indx: number): Change => {
    const start = indx === first ? posInChunk(from) : 0;
    const end = indx === last ? posInChunk(to - 1n) + 1 : CHUNK_SIZE;
    return appendSlices(ino, indx, [hole(start, end - start)]);
  };
  if (last - first > MAX_NEW_ROWS) return [piece(first), zeroRowsBetween(ino, first, last), piece(last)];
  return Array.from({ length: last - first + 1 }, (_, i) => piece(first + i));
}
