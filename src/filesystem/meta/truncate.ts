// truncate(2): the new length, and zero records over every byte that it takes away or adds, because a later write past
// the end does not zero the gap (spec 5.3). Slices are never deleted here.
import { nowNs } from '../../base/clock.ts';
import { fail } from '../../base/errors.ts';
import type { Caller } from '../../base/words.ts';
import { type Change, type Op, read, write } from '../sql/op.ts';
import { appendSlices, checkFile, directoriesOf, growthDeltas, zeroRowsBetween } from './chunk.ts';
import type { MetaContext } from './context.ts';
import { attrReply, type Outcome } from './request.ts';
import { hole } from './slices.ts';
import { nodeById, updateNode } from './statements.ts';
import { type Attr, CHUNK_SIZE, type Ino, MAX_LENGTH, NodeFlag, TRASH } from './types.ts';
import { growthOf } from './usage.ts';

export function truncate(ctx: MetaContext, caller: Caller, ino: Ino, length: number): Promise<Attr> {
  if (!Number.isSafeInteger(length) || length < 0)
    return Promise.reject(fail(length > MAX_LENGTH ? 'EFBIG' : 'EINVAL', `truncate inode ${ino} to ${length}`));
  return ctx.write(caller, attrReply, function* (): Op<Outcome<Attr>> {
    const [[attr]] = yield* read(nodeById(ino, true));
    checkFile(attr, ino, 'truncate');
    if ((attr.flags & (NodeFlag.immutable | NodeFlag.append)) !== 0)
      throw fail('EPERM', `truncate inode ${ino}: it is immutable or append-only`);
    if (attr.parent > TRASH && !ctx.files.isOpen(ino)) throw fail('EPERM', `truncate inode ${ino}: it is in the trash`);
    if (length === attr.length) return { answer: attr };
    const parents = yield* directoriesOf(attr);
    yield* ctx.usage.checkGrowth(parents, growthOf(attr.length, length));
    const now = nowNs();
    yield* write(...zeroed(ino, attr.length, length), updateNode(ino, { length, mtime: now, ctime: now }));
    return {
      answer: { ...attr, length, mtime: now, ctime: now },
      usage: growthDeltas(attr, parents, length),
    };
  });
}

/** The same records for shrinking and growing, over what lies between the two lengths. */
function zeroed(ino: Ino, oldLength: number, newLength: number): Change[] {
  const left = Math.min(oldLength, newLength);
  const right = Math.max(oldLength, newLength);
  const first = Math.floor(left / CHUNK_SIZE);
  const last = Math.floor(right / CHUNK_SIZE);
  const pos = left % CHUNK_SIZE;
  const endOfFirst = (first + 1) * CHUNK_SIZE;
  const changes = [appendSlices(ino, first, [hole(pos, right > endOfFirst ? CHUNK_SIZE - pos : right - left)])];
  if (last > first + 1) changes.push(zeroRowsBetween(ino, first, last));
  if (right > endOfFirst && right % CHUNK_SIZE > 0)
    changes.push(appendSlices(ino, last, [hole(0, right % CHUNK_SIZE)]));
  return changes;
}
