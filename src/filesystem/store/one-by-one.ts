// Deletes many objects of a store that has no requests for many.
import type { ObjectStore } from './store.ts';

/** Enough to hide a store's latency. */
const AT_ONCE = 16;

export async function deleteOneByOne(store: Pick<ObjectStore, 'delete'>, keys: readonly string[]): Promise<void> {
  const failures: unknown[] = [];
  for (let i = 0; i < keys.length; i += AT_ONCE) {
    const ended = await Promise.allSettled(keys.slice(i, i + AT_ONCE).map((key) => store.delete(key)));
    for (const each of ended) if (each.status === 'rejected') failures.push(each.reason);
  }
  if (failures.length > 0) throw failures[0];
}
