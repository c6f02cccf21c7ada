// Which records of a chunk one new slice replaces, and what that slice holds (spec 1.8). Pure; the result is what the
// original client would make of the same records.
import { paint, type Segment } from './overlap.ts';
import { CHUNK_SIZE, type Slice } from './types.ts';

/** Records looked at in one go: bounds the work of a plan; the rest comes with the next. */
export const MAX_RECORDS = 1000;
/** A first record of this length is worth more where it is, */
const KEPT_BYTES = 1 << 20;
/** if it is at least this part of what would be written again. */
const KEPT_PART = 5;

export interface CompactionPlan {
  /** What the plan was made of: the chunk has to begin with them when it is carried out. */
  readonly records: readonly Slice[];
  /** So many of them stay as they are. */
  readonly kept: number;
  /** Where the new slice lies in the chunk, and its length. */
  readonly pos: number;
  readonly size: number;
  /** Its contents, in order and without gaps; without a layer, or with one of id 0, zeros. */
  readonly segments: readonly Segment<Slice>[];
}

type Contents = Pick<CompactionPlan, 'pos' | 'size' | 'segments'>;

/** Undefined when nothing would be won. */
export function planCompaction(slices: readonly Slice[]): CompactionPlan | undefined {
  const records = slices.slice(0, MAX_RECORDS);
  let kept = 0;
  let contents = resolve(records);
  for (let first = records[0]; first !== undefined && stays(first, contents); first = records[kept])
    contents = resolve(records.slice(++kept));
  if (records.length - kept < 2 || contents.size === 0) return undefined;
  return { records, kept, ...contents };
}

/** What the records show, from the first byte of data to the last. */
function resolve(records: readonly Slice[]): Contents {
  const shown = paint(records, 0, CHUNK_SIZE);
  const from = shown.findIndex(isData);
  const [first] = records;
  if (first === undefined) return { pos: 0, size: 0, segments: [] };
  // Nothing but zeros: one byte of them stands for all, at a place that a kept record cannot cover.
  if (from < 0) return { pos: first.pos, size: 1, segments: [{ pos: first.pos, len: 1, layer: undefined, skip: 0 }] };
  const segments = shown.slice(from, shown.findLastIndex(isData) + 1);
  const pos = segments[0]?.pos ?? 0;
  const last = segments.at(-1);
  return { pos, size: (last?.pos ?? 0) + (last?.len ?? 0) - pos, segments };
}

const isData = ({ layer }: Segment<Slice>): boolean => layer !== undefined && layer.id !== 0n;

/** Long enough, seen whole, and before everything else: what is written anew then cannot lie over it. */
function stays(first: Slice, { size, segments }: Contents): boolean {
  if (first.len < KEPT_BYTES || first.len * KEPT_PART < size) return false;
  const [shown] = segments;
  return shown?.layer === first && shown.skip === 0 && shown.len === first.len;
}
