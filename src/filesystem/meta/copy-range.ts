// copy_file_range(2) without moving data: the target gets records of the slices that the source shows, each of them one
// more reference (spec 5.7). Zeros need records only where the target has a chunk row.
import { nowNs } from '../../base/clock.ts';
import { fail } from '../../base/errors.ts';
import type { Caller } from '../../base/words.ts';
import { type Change, change, type Op, type Query, query, read, write } from '../sql/op.ts';
import {
  appendSlices,
  type ChunkRecords,
  directoriesOf,
  growthDeltas,
  MAX_INDX,
  manyParentsOf,
  recordsBetween,
  recordsIn,
  zeroRowsBetween,
} from './chunk.ts';
import type { MetaContext } from './context.ts';
import type { ChunkGrowth, Copied, Place } from './meta.ts';
import { paint } from './overlap.ts';
import { chunkOf, larger, offsetOf, posInChunk, smaller } from './position.ts';
import { References } from './references.ts';
import { attrReply, type Outcome, type Reply } from './request.ts';
import { bytesAt, numberAt } from './rows.ts';
import { decodeSlices, encodeSlices, hole } from './slices.ts';
import { nodeById, updateNode } from './statements.ts';
import { type Attr, CHUNK_SIZE, type Ino, MAX_LENGTH, NodeFlag, NodeType, type Slice } from './types.ts';
import { fileGrowth, growingFile } from './usage.ts';

/** Chunk rows of the source in one call, 16 GiB of data, and records for the target: who wants more calls again. */
const MAX_ROWS = 256;
const MAX_RECORDS = 8192;
const BYTES_OF_COUNT = 8;

const copiedReply: Reply<Copied> = {
  encode: ({ attr, copied }) => {
    const count = Buffer.alloc(BYTES_OF_COUNT);
    count.writeBigUInt64BE(copied);
    return Buffer.concat([count, attrReply.encode(attr)]);
  },
  decode: (bytes) => ({ copied: bytes.readBigUInt64BE(), attr: attrReply.decode(bytes.subarray(BYTES_OF_COUNT)) }),
};

export function copyRange(
  ctx: MetaContext,
  caller: Caller,
  source: Place,
  target: Place,
  size: bigint,
  grown?: (chunk: ChunkGrowth) => void,
): Promise<Copied> {
  return ctx.write(caller, copiedReply, function* (): Op<Outcome<Copied>> {
    const [low, high, rows, many, known, ...limits] = yield* read(
      nodeById(smaller(source.ino, target.ino), true),
      source.ino === target.ino ? undefined : nodeById(larger(source.ino, target.ino), true),
      sourceRows(source, size),
      manyParentsOf(target.ino),
      targetRecords(target, size),
      ...ctx.usage.limitsOf(growingFile(target.ino)),
    );
    const [from, to] = theFiles([...low, ...high], source.ino, target.ino);
    const wanted = smaller(size, from.length - source.offset);
    if (wanted <= 0n) return { answer: { attr: to, copied: 0n } };
    checkPlaces(source, target, wanted);
    const records = new TargetRecords(target, to);
    const copied = copyRecords(source, wanted, rows, records);
    const length = larger(to.length, target.offset + copied);
    yield* ctx.usage.checkGrowth(limits.flat(), fileGrowth(to, length));
    const now = nowNs();
    yield* write(...records.changes(), updateNode(to.ino, { length, mtime: now, ctime: now }));
    return {
      answer: { attr: { ...to, length, mtime: now, ctime: now }, copied },
      usage: growthDeltas(to, directoriesOf(to, many), length),
      after: () => {
        for (const indx of records.chunks) {
          const added = records.added(indx);
          grown?.({ indx, records: recordsIn(known, indx) + added, added });
        }
      },
    };
  });
}

function theFiles(found: readonly Attr[], from: Ino, to: Ino): readonly [Attr, Attr] {
  const file = (ino: Ino): Attr => {
    const attr = found.find((each) => each.ino === ino);
    if (attr === undefined) throw fail('ENOENT', `copy a range of inode ${from} to inode ${to}: ${ino} is gone`);
    if (attr.type !== NodeType.file) throw fail('EINVAL', `copy a range: inode ${ino} is not a file`);
    return attr;
  };
  const target = file(to);
  if ((target.flags & (NodeFlag.immutable | NodeFlag.append)) !== 0)
    throw fail('EPERM', `copy a range to inode ${to}: it is immutable or append-only`);
  return [file(from), target];
}

function checkPlaces(source: Place, target: Place, size: bigint): void {
  const attempted = `copy ${size} bytes of inode ${source.ino} at ${source.offset} to inode ${target.ino} at ${target.offset}`;
  if (source.offset < 0n || target.offset < 0n) throw fail('EINVAL', attempted);
  if (target.offset + size > MAX_LENGTH) throw fail('EFBIG', `${attempted}: the longest file is ${MAX_LENGTH} bytes`);
  const apart = source.offset + size <= target.offset || target.offset + size <= source.offset;
  if (source.ino === target.ino && !apart) throw fail('EINVAL', `${attempted}: the ranges overlap`);
}

interface SourceRow {
  readonly indx: number;
  readonly bytes: Buffer;
}

/** What the database takes as an index; a range may be said to be as long as 64 bits go. */
const indexOf = (offset: bigint): number => Math.max(0, Math.min(chunkOf(offset), MAX_INDX));

/** Rows from a chunk on, locked: nobody may compact them before their slices have one more reference. */
const sourceRows = ({ ino, offset }: Place, size: bigint): Query<SourceRow> =>
  query(
    'SELECT indx, BYTES(slices) FROM jfs_chunk WHERE inode = ? AND indx >= ? AND indx <= ? ORDER BY indx LIMIT ? FOR UPDATE',
    [ino, BigInt(indexOf(offset)), BigInt(indexOf(offset + size - 1n)), BigInt(MAX_ROWS)],
    (row) => ({ indx: numberAt(row, 0), bytes: bytesAt(row, 1) }),
  );

/** Each row of the source goes to two chunks at most. */
const targetRecords = ({ ino, offset }: Place, size: bigint): Query<ChunkRecords> =>
  recordsBetween(ino, indexOf(offset), indexOf(offset + size - 1n), 2 * MAX_ROWS);

/** Answers how much of the range the records are for: all, or as much as one call takes. `found` may reach beyond it. */
function copyRecords(source: Place, size: bigint, found: readonly SourceRow[], into: TargetRecords): bigint {
  const end = source.offset + size;
  const rows = found.filter(({ indx }) => offsetOf(indx, 0) < end);
  let at = source.offset;
  for (const { indx, bytes } of rows) {
    const start = larger(at, offsetOf(indx, 0));
    into.zeros(start - at);
    at = start;
    const to = Number(smaller(end - offsetOf(indx, 0), BigInt(CHUNK_SIZE)));
    const records = decodeSlices(bytes, `chunk ${indx} of inode ${source.ino}`);
    for (const { len, layer, skip } of paint(records, posInChunk(at), to)) {
      if (into.count >= MAX_RECORDS) return at - source.offset;
      if (layer === undefined || layer.id === 0n) into.zeros(BigInt(len));
      else into.data({ ...layer, off: layer.off + skip, len });
      at += BigInt(len);
    }
  }
  if (rows.length === MAX_ROWS) return at - source.offset;
  into.zeros(end - at);
  return size;
}

/** What is appended to the target's chunks. Its parts come one after the other, so their order in a chunk is no matter. */
class TargetRecords {
  count = 0;
  readonly #ino: Ino;
  /** Behind it there is nothing that zeros would have to hide. */
  readonly #length: bigint;
  readonly #data = new Map<number, Slice[]>();
  readonly #zeros = new Map<number, Slice[]>();
  readonly #emptied: Change[] = [];
  readonly #references = new References();
  #at: bigint;

  constructor(target: Place, attr: Attr) {
    this.#ino = target.ino;
    this.#at = target.offset;
    this.#length = attr.length;
  }

  get chunks(): readonly number[] {
    return [...this.#data.keys()];
  }

  added(indx: number): number {
    return (this.#data.get(indx)?.length ?? 0) + (this.#zeros.get(indx)?.length ?? 0);
  }

  /** Split where a chunk of the target ends. */
  data(slice: Slice): void {
    for (let done = 0; done < slice.len; ) {
      const pos = posInChunk(this.#at);
      const len = Math.min(slice.len - done, CHUNK_SIZE - pos);
      this.#add(this.#data, chunkOf(this.#at), { ...slice, pos, off: slice.off + done, len });
      this.#references.add(slice.id, slice.size);
      this.#at += BigInt(len);
      done += len;
    }
  }

  zeros(size: bigint): void {
    const from = this.#at;
    this.#at += size;
    const to = smaller(this.#at, this.#length);
    if (from >= to) return;
    const [first, last] = [chunkOf(from), chunkOf(to - 1n)];
    const end = posInChunk(to - 1n) + 1;
    const pos = posInChunk(from);
    this.#add(this.#zeros, first, hole(pos, (first === last ? end : CHUNK_SIZE) - pos));
    if (last > first) this.#add(this.#zeros, last, hole(0, end));
    if (last > first + 1) this.#emptied.push(zeroRowsBetween(this.#ino, first, last));
  }

  #add(to: Map<number, Slice[]>, indx: number, slice: Slice): void {
    const list = to.get(indx);
    if (list === undefined) to.set(indx, [slice]);
    else list.push(slice);
    this.count++;
  }

  changes(): Change[] {
    const chunks = new Set([...this.#data.keys(), ...this.#zeros.keys()]);
    const ascending = [...chunks].sort((a, b) => a - b);
    return [...ascending.map((indx) => this.#append(indx)), ...this.#emptied, ...this.#references.changes()];
  }

  #append(indx: number): Change {
    const [data, zeros] = [this.#data.get(indx), this.#zeros.get(indx) ?? []];
    if (data !== undefined) return appendSlices(this.#ino, indx, [...zeros, ...data]);
    // A chunk without a row is zeros already.
    return change(
      'UPDATE jfs_chunk SET slices = BYTES(BYTES(slices) || ?) WHERE inode = ? AND indx = ?',
      encodeSlices(zeros),
      this.#ino,
      BigInt(indx),
    );
  }
}
