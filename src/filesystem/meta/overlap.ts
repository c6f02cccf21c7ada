// The painter's rule: which of many overlapping runs shows at each byte. Pure; used for committed slices and for dirty ones.

/** A run of bytes at a place; later ones hide earlier ones. */
export interface Layer {
  readonly pos: number;
  readonly len: number;
}

/** A stretch on which one layer (or none) shows; `skip` bytes of that layer lie before it. */
export interface Segment<T> {
  readonly pos: number;
  readonly len: number;
  readonly layer: T | undefined;
  readonly skip: number;
}

interface Gap {
  readonly from: number;
  readonly to: number;
}

/** The segments of [from, to), ascending and without gaps between them; layers are given oldest first. */
export function paint<T extends Layer>(layers: readonly T[], from: number, to: number): Segment<T>[] {
  if (from >= to) return [];
  const painted: Segment<T>[] = [];
  let gaps: Gap[] = [{ from, to }];
  for (let i = layers.length - 1; i >= 0 && gaps.length > 0; i--) {
    const layer = layers[i];
    if (layer !== undefined) gaps = fill(gaps, layer, painted);
  }
  for (const gap of gaps) painted.push({ pos: gap.from, len: gap.to - gap.from, layer: undefined, skip: 0 });
  return painted.sort((a, b) => a.pos - b.pos);
}

/** Paints `layer` where nothing newer is; answers the gaps that remain, ascending. */
function fill<T extends Layer>(gaps: Gap[], layer: T, painted: Segment<T>[]): Gap[] {
  const end = layer.pos + layer.len;
  const first = gaps[0];
  const last = gaps.at(-1);
  if (first === undefined || last === undefined || end <= first.from || layer.pos >= last.to) return gaps;
  const rest: Gap[] = [];
  for (const gap of gaps) {
    const from = Math.max(gap.from, layer.pos);
    const to = Math.min(gap.to, end);
    if (from >= to) {
      rest.push(gap);
      continue;
    }
    painted.push({ pos: from, len: to - from, layer, skip: from - layer.pos });
    if (gap.from < from) rest.push({ from: gap.from, to: from });
    if (to < gap.to) rest.push({ from: to, to: gap.to });
  }
  return rest;
}

/** Index of the segment that holds `pos`, in what `paint` answered. */
export function segmentAt(segments: readonly Segment<unknown>[], pos: number): number {
  let low = 0;
  let high = segments.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((segments[middle]?.pos ?? Number.POSITIVE_INFINITY) <= pos) low = middle;
    else high = middle - 1;
  }
  return low;
}
