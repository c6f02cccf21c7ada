// Slices: that records, reference counts, the page ledger and the objects in the store agree, and on demand what the pages
// hold. Gathered in an index whose memory is bounded.
import { hasCode } from '../../base/errors.ts';
import type { OnProgress } from '../../base/progress.ts';
import { bigintAt, numberAt } from '../meta/rows.ts';
import { type ObjectKeyLayout, pageObjectKey, parsePageObjectKey } from '../page/object-key.ts';
import type { PagePlace } from '../page/page-store.ts';
import type { SliceIndex, SliceUse } from '../slices/slice-index.ts';
import type { SliceScan } from '../slices/slice-scan.ts';
import type { Engine } from '../sql/op.ts';
import type { ObjectStore } from '../store/store.ts';
import { bounded, MOST_FINDINGS, rows, type Scope } from './checks.ts';
import type { PageReader } from './page-reader.ts';

/** Enough to keep the codec threads busy; each holds a page or two in memory. */
const READS_AT_ONCE = 4;
const HEADS_AT_ONCE = 16;
const LEDGER_ROWS = 5000;

/** The first of many, and that there are more. */
function some<T>(found: Iterable<T>, say: (each: T) => string): string[] {
  const lines: string[] = [];
  for (const each of found) if (lines.push(say(each)) > MOST_FINDINGS) break;
  return bounded(lines);
}

const saySize = ({ id, size, odd, counted }: SliceUse): string =>
  odd > 0
    ? `slice ${id} has records of different sizes`
    : `slice ${id} has ${size} bytes in chunks and ${counted?.size} in its count`;

/** What the rows say of each other. */
export function sliceFindings(scan: SliceScan, index: SliceIndex, scope: Scope | undefined): string[] {
  const lines = bounded(scan.damaged);
  lines.push(...some(index.missized(), saySize));
  if (scope !== undefined) return lines;
  if (scan.zeroRows > 0)
    lines.push('slice 0 is counted, and cannot be: the original client’s load of a dump leaves that');
  lines.push(
    ...some(
      index.miscounted(),
      ({ id, records, delayed, counted }) =>
        `slice ${id} is used ${records + delayed} times and counted ${counted?.refs ?? 0} times`,
    ),
  );
  return lines;
}

/** Every page has its object; and no object belongs to a slice that is yet to be given out. */
export async function objectFindings(
  engine: Engine,
  store: ObjectStore,
  layout: ObjectKeyLayout,
  index: SliceIndex,
  pageSize: number,
  onProgress: OnProgress,
): Promise<string[]> {
  let listed = 0;
  for await (const { key } of store.list(`${layout.volumeName}/chunks/`)) {
    const place = parsePageObjectKey(layout, key);
    if (place !== undefined) index.addObject(place);
    onProgress(++listed, undefined);
  }
  const missing = function* (): Generator<PagePlace> {
    for (const place of index.places(pageSize)) if (!index.hasObject(place)) yield place;
  };
  const lines = some(missing(), (place) => `object ${pageObjectKey(layout, place)} is missing`);
  const highest = index.highestObject();
  const [next = 0n] = await rows(engine, "SELECT value FROM jfs_counter WHERE name = 'nextChunk'", (row) =>
    bigintAt(row, 0),
  );
  if (highest >= next) lines.push(`slice ${highest} has objects, and the next slice to be given out is ${next}`);
  return lines;
}

/** The same for a part of the volume, whose objects are asked for one by one. */
export async function objectsOfScope(
  store: ObjectStore,
  layout: ObjectKeyLayout,
  index: SliceIndex,
  pageSize: number,
  onProgress: OnProgress,
): Promise<string[]> {
  const { pages } = index.pageTotals(pageSize);
  return each(index.places(pageSize), HEADS_AT_ONCE, pages, onProgress, async (place) => {
    const key = pageObjectKey(layout, place);
    return (await store.head(key)) === undefined ? `object ${key} is missing` : undefined;
  });
}

/** How many ledger rows each slice has, into the index. */
export async function scanLedger(engine: Engine, index: SliceIndex, pageSize: number): Promise<void> {
  for (let after = -1n; ; ) {
    const found = await rows(
      engine,
      `SELECT p.slice_id, COUNT(*) FROM pageseal_page p JOIN jfs_chunk_ref r ON r.chunkid = p.slice_id
       WHERE p.indx * ${pageSize} < r.size AND p.slice_id > ${after} GROUP BY p.slice_id ORDER BY p.slice_id LIMIT ${LEDGER_ROWS}`,
      (row) => ({ id: bigintAt(row, 0), pages: numberAt(row, 1) }),
    );
    for (const { id, pages } of found) index.addLedger(id, pages);
    after = found.at(-1)?.id ?? after;
    if (found.length < LEDGER_ROWS) return;
  }
}

/** Reads, opens and verifies every page. */
export function pageFindings(
  index: SliceIndex,
  pageSize: number,
  reader: PageReader,
  onProgress: OnProgress,
): Promise<string[]> {
  const { pages } = index.pageTotals(pageSize);
  return each(index.places(pageSize), READS_AT_ONCE, pages, onProgress, async (place) => {
    try {
      await reader.check(place);
      return undefined;
    } catch (error) {
      // Without its store a check says nothing of the volume.
      if (hasCode(error, 'store-unavailable')) throw error;
      return error instanceof Error ? error.message : String(error);
    }
  });
}

/** Several at a time from a stream; answers the first of what was found. */
export async function each<T>(
  stream: Iterator<T> | AsyncIterator<T>,
  atOnce: number,
  total: number,
  onProgress: OnProgress,
  look: (one: T) => Promise<string | undefined>,
): Promise<string[]> {
  const lines: string[] = [];
  let done = 0;
  const work = async (): Promise<void> => {
    for (let next = await stream.next(); !next.done; next = await stream.next()) {
      const line = await look(next.value);
      if (line !== undefined && lines.length <= MOST_FINDINGS) lines.push(line);
      onProgress(++done, total);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return bounded(lines);
}
