// Objects against the slices that the metadata knows: which are in use, which wait for their deletion, which nobody will
// ever read. The listing is a stream; only what is about to be deleted is held.
import type { OnProgress } from '../../base/progress.ts';
import { numberAt } from '../meta/rows.ts';
import { pageLength } from '../page/geometry.ts';
import { type ObjectKeyLayout, parsePageObjectKey } from '../page/object-key.ts';
import type { PagePlace } from '../page/page-store.ts';
import type { SliceIndex } from '../slices/slice-index.ts';
import { type Engine, type Op, query, read } from '../sql/op.ts';
import type { ObjectInfo, ObjectStore } from '../store/store.ts';

/** Leaked objects that are looked up once more and deleted together. */
const BATCH = 500;

export type ObjectClass =
  | 'valid' // a page that a chunk refers to
  | 'delayed' // a page that compaction replaced and the trash keeps
  | 'pending' // of a slice without references
  | 'unreferenced' // of a slice that is counted as in use, and that nothing names
  | 'leaked' // no row knows of it
  | 'temporary' // what a put that was cut short left behind
  | 'skipped' // too young to be judged
  | 'foreign'; // no page's name

export type ObjectCounts = Record<ObjectClass, { count: number; bytes: number }> & {
  scanned: { count: number; bytes: number };
};

export interface ObjectScan {
  readonly store: ObjectStore;
  readonly layout: ObjectKeyLayout;
  readonly pageSize: number;
  readonly index: SliceIndex;
  /** Milliseconds since the epoch: younger objects may belong to an upload under way. */
  readonly before: number;
  readonly onProgress?: OnProgress;
}

/** Given with the work: what is leaked goes, once the metadata has been asked again. */
export interface Deletion {
  readonly engine: Engine;
  readonly threads: number;
  deleted: number;
}

const none = (): { count: number; bytes: number } => ({ count: 0, bytes: 0 });

export async function scanObjects(scan: ObjectScan, deletion?: Deletion): Promise<ObjectCounts> {
  const counts: ObjectCounts = {
    scanned: none(),
    valid: none(),
    delayed: none(),
    pending: none(),
    unreferenced: none(),
    leaked: none(),
    temporary: none(),
    skipped: none(),
    foreign: none(),
  };
  let batch: Leaked[] = [];
  const flush = async (): Promise<void> => {
    if (deletion !== undefined && batch.length > 0) await deleteLeaked(scan, deletion, batch);
    batch = [];
  };
  for await (const object of scan.store.list(`${scan.layout.volumeName}/chunks/`, { temporaries: true })) {
    const place = object.temporary ? undefined : parsePageObjectKey(scan.layout, object.key);
    const kind = classify(scan, object, place);
    if (kind !== 'foreign') add(counts.scanned, object);
    add(counts[kind], object);
    if (kind === 'leaked' || kind === 'temporary') batch.push({ key: object.key, place });
    if (batch.length === BATCH) await flush();
    scan.onProgress?.(counts.scanned.count, undefined);
  }
  await flush();
  return counts;
}

function add(sum: { count: number; bytes: number }, { size }: ObjectInfo): void {
  sum.count++;
  sum.bytes += size;
}

function classify(scan: ObjectScan, object: ObjectInfo, place: PagePlace | undefined): ObjectClass {
  if (!object.temporary && place === undefined) return 'foreign';
  if (object.mtime > scan.before) return 'skipped';
  if (place === undefined) return 'temporary';
  const use = scan.index.find(place.sliceId);
  if (use === undefined || !fits(place, use.size, scan.pageSize)) return 'leaked';
  if (use.records > 0) return 'valid';
  if (use.delayed > 0) return 'delayed';
  return (use.counted?.refs ?? 0) > 0 ? 'unreferenced' : 'pending';
}

/** Whether a slice of that size has such a page. */
const fits = ({ indx, length }: PagePlace, size: number, pageSize: number): boolean =>
  indx * pageSize < size && pageLength(size, indx, pageSize) === length;

interface Leaked {
  readonly key: string;
  readonly place: PagePlace | undefined;
}

/** A slice may have been committed since the rows were read: the count, which comes with it, decides. */
async function deleteLeaked(scan: ObjectScan, deletion: Deletion, batch: readonly Leaked[]): Promise<void> {
  const ids = [...new Set(batch.flatMap(({ place }) => place?.sliceId ?? []))];
  const sizes = new Map<bigint, number>();
  await deletion.engine.view(function* (): Op<void> {
    if (ids.length === 0) return;
    const found = yield* read(
      ...ids.map((id) => query('SELECT size FROM jfs_chunk_ref WHERE chunkid = ?', [id], (row) => numberAt(row, 0))),
    );
    ids.forEach((id, i) => {
      const [size] = found[i] ?? [];
      if (size !== undefined) sizes.set(id, size);
    });
  });
  const doomed = batch.filter(({ place }) => {
    const size = place && sizes.get(place.sliceId);
    return place === undefined || size === undefined || !fits(place, size, scan.pageSize);
  });
  const keys = doomed.map(({ key }) => key);
  const share = Math.ceil(keys.length / deletion.threads);
  const shares = Array.from({ length: deletion.threads }, (_, i) => keys.slice(i * share, (i + 1) * share));
  await Promise.all(shares.map((some) => scan.store.deleteMany(some)));
  deletion.deleted += keys.length;
}
