// truncate(2): the new length, and zero records over every byte that it takes away or adds, because a later write past
// the end does not zero the gap (spec 5.3). Slices are never deleted here.
import { nowNs } from '../../base/clock.ts';
import { fail } from '../../base/errors.ts';
import type { Caller } from '../../base/words.ts';
import { type Change, type Op, read, write } from '../sql/op.ts';
import { appendSlices, checkFile, directoriesOf, growthDeltas, manyParentsOf, zeroRowsBetween } from './chunk.ts';
import type { MetaContext } from './context.ts';
import { chunkOf, larger, posInChunk, smaller } from './position.ts';
import { attrReply, type Outcome } from './request.ts';
import { hole } from './slices.ts';
import { nodeById, updateNode } from './statements.ts';
import { type Attr, CHUNK_SIZE, type Ino, MAX_LENGTH, NodeFlag, TRASH } from './types.ts';
import { fileGrowth, growingFile } from './usage.ts';

export function truncate(ctx: MetaContext, caller: Caller, ino: Ino, length: bigint): Promise<Attr> {
  if (length < 0n || length > MAX_LENGTH)
    return Promise.reject(fail(length > MAX_LENGTH ? 'EFBIG' : 'EINVAL', `truncate inode ${ino} to ${length}`));
  return ctx.write(caller, attrReply, function* (): Op<Outcome<Attr>> {
    const [[attr], many, ...limits] = yield* read(
      nodeById(ino, true),
      manyParentsOf(ino),
      ...ctx.usage.limitsOf(growingFile(ino)),
    );
    checkFile(attr, ino, 'truncate');
    if ((attr.flags & (NodeFlag.immutable | NodeFlag.append)) !== 0)
      throw fail('EPERM', `truncate inode ${ino}: it is immutable or append-only`);
    if (attr.parent > TRASH && !ctx.files.isOpen(ino)) throw fail('EPERM', `truncate inode ${ino}: it is in the trash`);
    if (length === attr.length) return { answer: attr };
    yield* ctx.usage.checkGrowth(limits.flat(), fileGrowth(attr, length));
    const now = nowNs();
    yield* write(...zeroed(ino, attr.length, length), updateNode(ino, { length, mtime: now, ctime: now }));
    return {
      answer: { ...attr, length, mtime: now, ctime: now },
      usage: growthDeltas(attr, directoriesOf(attr, many), length),
    };
  });
}

/** The same records for shrinking and growing, over what lies between the two lengths. */
function zeroed(ino: Ino, oldLength: bigint, newLength: bigint): Change[] {
  const left = smaller(oldLength, newLength);
  const right = larger(oldLength, newLength);
  const [first, pos] = [chunkOf(left), posInChunk(left)];
  const [last, rest] = [chunkOf(right), posInChunk(right)];
  const changes = [appendSlices(ino, first, [hole(pos, (last > first ? CHUNK_SIZE : rest) - pos)])];
  if (last > first + 1) changes.push(zeroRowsBetween(ino, first, last));
  if (last > first && rest > 0) changes.push(appendSlices(ino, last, [hole(0, rest)]));
  return changes;
}
