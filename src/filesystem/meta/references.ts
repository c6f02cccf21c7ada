// One more user for slices: chunk_ref counts a reference for each record that names a slice.
import { fail } from '../../base/errors.ts';
import { type Change, change, must } from '../sql/op.ts';
import type { SliceId } from './types.ts';

/** References to add, by slice. */
export class References {
  readonly #counts = new Map<SliceId, { readonly size: number; count: bigint }>();

  add(id: SliceId, size: number): void {
    const known = this.#counts.get(id);
    if (known === undefined) this.#counts.set(id, { size, count: 1n });
    else known.count += 1n;
  }

  /** In ascending order, as everybody locks them. A slice without a count must not get a second user. */
  changes(): Change[] {
    return [...this.#counts]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([id, { size, count }]) => {
        const text = 'UPDATE jfs_chunk_ref SET refs = refs + ? WHERE chunkid = ? AND size = ?';
        return must(1, change(text, count, id, BigInt(size)), () =>
          fail('metadata-damaged', `share slice ${id} of ${size} bytes: it has no count`),
        );
      });
  }
}
