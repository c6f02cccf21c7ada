// Where bytes lie: chunks of a file, slices of a chunk, pages of a slice. Pure arithmetic, no keys and no objects.
import { KiB, MiB } from '../../base/units.ts';

/** A file is cut into chunks of this size; fixed by the format. */
export const CHUNK_SIZE = 64 * MiB;
export const MIN_PAGE_SIZE = 64 * KiB;
export const MAX_PAGE_SIZE = 16 * MiB;
export const DEFAULT_PAGE_SIZE = 4 * MiB;

/** Pages are powers of two from 64 KiB to 16 MiB. */
export const isPageSize = (bytes: number): boolean =>
  Number.isInteger(bytes) && bytes >= MIN_PAGE_SIZE && bytes <= MAX_PAGE_SIZE && (bytes & (bytes - 1)) === 0;

/** A wish for a page size as the original client takes it: down to a power of two, within the limits. */
export function nearestPageSize(bytes: number): number {
  const wished = Math.min(MAX_PAGE_SIZE, Math.max(MIN_PAGE_SIZE, bytes));
  return 2 ** Math.floor(Math.log2(wished));
}

/** Whether a slice may have this many bytes. */
export const isSliceSize = (bytes: number): boolean => Number.isInteger(bytes) && bytes >= 1 && bytes <= CHUNK_SIZE;

/** Number of pages of a slice. */
export const pageCount = (sliceSize: number, pageSize: number): number => Math.ceil(sliceSize / pageSize);

/** Plain bytes of page `indx` of a slice. */
export const pageLength = (sliceSize: number, indx: number, pageSize: number): number =>
  Math.min(pageSize, sliceSize - indx * pageSize);

/** A run of bytes inside one page. */
export interface PageRun {
  readonly indx: number;
  /** Plain length of the page. */
  readonly length: number;
  /** First byte inside the page, and how many. */
  readonly from: number;
  readonly bytes: number;
}

/** The pages under the bytes [off, off + len) of a slice, in order. */
export function pagesUnder(sliceSize: number, off: number, len: number, pageSize: number): PageRun[] {
  const runs: PageRun[] = [];
  const end = Math.min(off + len, sliceSize);
  for (let at = off; at < end; ) {
    const indx = Math.floor(at / pageSize);
    const length = pageLength(sliceSize, indx, pageSize);
    const from = at - indx * pageSize;
    const bytes = Math.min(length - from, end - at);
    runs.push({ indx, length, from, bytes });
    at += bytes;
  }
  return runs;
}
