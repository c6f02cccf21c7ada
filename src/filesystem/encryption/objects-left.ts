// What lies below a file system's prefix in the store: pages that rows name, copies of the metadata, and strays.
import type { SliceId } from '../../base/words.ts';
import { bigintAt } from '../meta/rows.ts';
import type { Setting } from '../meta/setting.ts';
import { parsePageObjectKey } from '../page/object-key.ts';
import { query, type Reader, read } from '../sql/op.ts';
import type { ObjectStore } from '../store/store.ts';

export interface ObjectsLeft {
  /** All below the prefix but `juicefs_uuid` and `testing/`: pages of live files, too. */
  readonly objects: number;
  /** Of these. */
  readonly strayObjects: number;
  readonly metadataBackups: number;
  /** True: there are more objects; the listing ended because the answer is clear. */
  readonly objectsCut: boolean;
  /** One stray, for the text. */
  readonly example: string | undefined;
}

/** After so many the answer is clear; a hundred pages of an S3 listing, some ten seconds. */
const MAX_LISTED = 100_000;
const UUID_REST = '.jfs.juicefs_uuid.tmp.';
/** Slice ids that are looked up in one flight. */
const BATCH = 500;

/**
 * All but `juicefs_uuid` and what tests of the store leave. What a put that was cut short left counts as well: it holds
 * data in clear.
 */
export async function countObjects(
  store: ObjectStore,
  reader: Reader,
  { name, hashPrefix }: Pick<Setting, 'name' | 'hashPrefix'>,
): Promise<ObjectsLeft> {
  const layout = { volumeName: name, hashPrefix };
  let [objects, strayObjects, metadataBackups, cut] = [0, 0, 0, false];
  let example: string | undefined;
  let pages: { key: string; id: SliceId }[] = [];
  const stray = (key: string): void => {
    strayObjects++;
    example ??= key;
  };
  const flush = async (): Promise<void> => {
    const known = await knownSlices(reader, new Set(pages.map(({ id }) => id)));
    for (const { key, id } of pages) if (!known.has(id)) stray(key);
    pages = [];
  };
  for await (const { key, temporary } of store.list(`${name}/`, { temporaries: true })) {
    const path = key.slice(name.length + 1);
    if (path === 'juicefs_uuid' || path === 'testing' || path.startsWith('testing/')) continue;
    // Of a conversion that was killed while it put that object: a UUID, and no data.
    if (temporary && path.startsWith(UUID_REST)) continue;
    objects++;
    const page = temporary ? undefined : parsePageObjectKey(layout, key);
    if (path.startsWith('meta/')) metadataBackups++;
    else if (page === undefined) stray(key);
    else pages.push({ key, id: page.sliceId });
    if (pages.length === BATCH) await flush();
    cut = objects >= MAX_LISTED;
    if (cut) break;
  }
  await flush();
  return { objects, strayObjects, metadataBackups, objectsCut: cut, example };
}

async function knownSlices(reader: Reader, ids: ReadonlySet<SliceId>): Promise<Set<SliceId>> {
  if (ids.size === 0) return new Set();
  const asked = [...ids].map((id) =>
    query('SELECT chunkid FROM jfs_chunk_ref WHERE chunkid = ?', [id], (row) => bigintAt(row, 0)),
  );
  return new Set((await reader.view(() => read(...asked))).flat());
}
