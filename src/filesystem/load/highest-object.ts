// The highest slice id that the store has objects of: what was written after a dump was taken must never be written again
// under the same name, with other contents.
import type { OnProgress } from '../../base/progress.ts';
import type { ObjectStore } from '../store/store.ts';

/** The key of a page in either layout. */
const pageKey = /\/(\d{1,19})_\d+_\d+$/;

export async function highestStoredSlice(store: ObjectStore, name: string, progress: OnProgress): Promise<bigint> {
  let highest = 0n;
  let seen = 0;
  for await (const { key } of store.list(`${name}/chunks/`)) {
    const [, id] = pageKey.exec(key) ?? [];
    if (id !== undefined && BigInt(id) > highest) highest = BigInt(id);
    seen += 1;
    progress(seen, undefined);
  }
  return highest;
}
