// Removes a file system's objects: listed, not computed, so that what no metadata names goes too. Ends only when a listing
// is empty.
import { fail } from '../../base/errors.ts';
import { noVersions, type ObjectStore } from '../store/store.ts';

/** What S3 deletes in one request. */
const BATCH = 1000;
/** Listings that may still find something before somebody else must be writing. */
const MAX_PASSES = 5;

export interface WipeOptions {
  readonly onProgress?: (deleted: number) => void;
  readonly signal?: AbortSignal;
}

/** Every object below `{name}/`, and older versions where the store lists them. Answers how many went. May be repeated. */
export async function wipeObjects(store: ObjectStore, name: string, options: WipeOptions = {}): Promise<number> {
  let deleted = 0;
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    const found = await deleteListed(store, `${name}/`, options, (count) => {
      deleted += count;
      options.onProgress?.(deleted);
    });
    if (found === 0) return deleted + (await removeVersions(store, name));
  }
  throw fail('store-not-empty', `remove the objects of ${name}: new ones keep appearing in ${store.description}`);
}

/** Last, so that nothing else is left: older versions hold the same data as the objects did. */
async function removeVersions(store: ObjectStore, name: string): Promise<number> {
  const { removed, left } = (await store.removeVersions?.(`${name}/`)) ?? noVersions;
  if (left === 0) return removed;
  throw fail(
    'store-not-empty',
    `remove the objects of ${name}: ${store.description} keeps ${left} older versions and refuses to delete them`,
    { hint: 'a lock on objects, or a missing right to delete versions' },
  );
}

/** True when nothing is left below `{name}/`. */
export async function isEmpty(store: ObjectStore, name: string): Promise<boolean> {
  for await (const _ of store.list(`${name}/`)) return false;
  return true;
}

async function deleteListed(
  store: ObjectStore,
  prefix: string,
  { signal }: WipeOptions,
  onDeleted: (count: number) => void,
): Promise<number> {
  let found = 0;
  let batch: string[] = [];
  let objects = 0;
  const flush = async (): Promise<void> => {
    signal?.throwIfAborted();
    await store.deleteMany(batch);
    onDeleted(objects);
    batch = [];
    objects = 0;
  };
  // What a put that was cut short left holds data as well, and counts for no object.
  for await (const { key, temporary } of store.list(prefix, { temporaries: true })) {
    found++;
    if (!temporary) objects++;
    batch.push(key);
    if (batch.length === BATCH) await flush();
  }
  await flush();
  return found;
}
