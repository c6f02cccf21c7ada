// The metadata's part of a compaction: one record in the place of many, in one transaction, if the chunk still begins with
// what was read; and what becomes of slices that lost their place, or never got one (spec 1.8).
import { nowNs } from '../../base/clock.ts';
import { fail } from '../../base/errors.ts';
import type { LedgerEntry } from '../../base/words.ts';
import { change, must, type Op, read, write } from '../sql/op.ts';
import { chunkRow, insertChunkRef, insertLedgerEntry, refsOf } from './chunk.ts';
import type { CompactionPlan } from './compaction-plan.ts';
import type { MetaContext } from './context.ts';
import { release } from './delete-data.ts';
import type { ChunkView } from './meta.ts';
import type { Outcome, Reply } from './request.ts';
import { type DeletedSlice, encodeDeletedSlices, encodeSlices, RECORD } from './slices.ts';
import type { Ino, SliceId } from './types.ts';

/** A plan whose new slice is in the store. */
export interface Replacement {
  readonly ino: Ino;
  readonly indx: number;
  readonly plan: CompactionPlan;
  readonly id: SliceId;
  readonly ledger: readonly LedgerEntry[];
}

/** What compacting needs of the metadata. */
export interface CompactionMeta {
  readChunk(ino: Ino, indx: number): Promise<ChunkView>;
  newSliceId(): Promise<SliceId>;
  /**
   * Answers the slices that may have lost their last reference, to be given to `removeReplaced` (none when the trash keeps
   * them for a while); undefined when the chunk begins with other records by now, and nothing was changed.
   */
  replaceRecords(replacement: Replacement): Promise<readonly DeletedSlice[] | undefined>;
  /** Deletes those that nothing refers to any more. */
  removeReplaced(slices: readonly DeletedSlice[]): Promise<void>;
  /** For a slice that came to nothing: its pages go, by the hourly job at the latest. One that did commit stays. */
  abandonSlice(slice: DeletedSlice): Promise<void>;
}

/** Nobody asks for these answers again. */
const noReply: Reply<readonly DeletedSlice[] | undefined> = { encode: () => Buffer.alloc(0), decode: () => undefined };

export function replaceRecords(
  ctx: MetaContext,
  replacement: Replacement,
): Promise<readonly DeletedSlice[] | undefined> {
  const keepsOld = ctx.setting.trashDays > 0;
  // Durable where objects are deleted afterwards: a power cut must not bring their records back.
  return ctx.write({}, noReply, () => replaceOp(replacement, keepsOld), { durable: !keepsOld });
}

function* replaceOp(replacement: Replacement, keepsOld: boolean): Op<Outcome<readonly DeletedSlice[] | undefined>> {
  const { ino, indx, plan, id, ledger } = replacement;
  const { records, kept, pos, size } = plan;
  const before = encodeSlices(records);
  const [[bytes]] = yield* read(chunkRow(ino, indx, true));
  if (bytes === undefined || !bytes.subarray(0, before.length).equals(before)) return { answer: undefined };
  const slices = Buffer.concat([
    before.subarray(0, kept * RECORD),
    encodeSlices([{ pos, id, size, off: 0, len: size }]),
    bytes.subarray(before.length),
  ]);
  const replaced = records.slice(kept).filter((record) => record.id !== 0n);
  yield* write(
    must(1, change('UPDATE jfs_chunk SET slices = ? WHERE inode = ? AND indx = ?', slices, ino, BigInt(indx)), () =>
      fail('ENOENT', `compact chunk ${indx} of inode ${ino}: it is gone`),
    ),
    insertChunkRef(id, size),
    ...ledger.map(insertLedgerEntry),
    ...(keepsOld ? delay(id, replaced) : release(replaced)),
  );
  return { answer: keepsOld ? [] : replaced };
}

/** Their references stay until the trash would have forgotten them: an older backup of the metadata needs their pages. */
const delay = (id: SliceId, replaced: readonly DeletedSlice[]) =>
  replaced.length === 0
    ? []
    : [
        change(
          'INSERT INTO jfs_delslices (chunkid, deleted, slices) VALUES (?, ?, ?)',
          id,
          nowNs() / 1_000_000_000n,
          encodeDeletedSlices(replaced),
        ),
      ];

/**
 * Marks the slice as one without references, which makes it the hourly job's. Answers false when it has a row: then it was
 * committed after all. Only for ids that no commit will use any more.
 */
export function* abandonOp({ id, size }: DeletedSlice): Op<boolean> {
  const [refs] = yield* read(refsOf([id]));
  if (refs.length > 0) return false;
  yield* write(change('INSERT INTO jfs_chunk_ref (chunkid, size, refs) VALUES (?, ?, 0)', id, BigInt(size)));
  return true;
}
