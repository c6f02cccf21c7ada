// Names of pages in the object store, in the format's two layouts.
import type { SliceId } from '../../base/words.ts';
import { isPageSize, pageLength } from './geometry.ts';
import type { PagePlace } from './page-store.ts';

export interface ObjectKeyLayout {
  readonly volumeName: string;
  /** HashPrefix of the setting: spreads slices over 256 folders. */
  readonly hashPrefix: boolean;
}

/** Key of a page: it carries the plain length. */
export function pageObjectKey(layout: ObjectKeyLayout, { sliceId, indx, length }: PagePlace): string {
  return `${slicePrefix(layout, sliceId)}${indx}_${length}`;
}

/** What the keys of all pages of a slice start with. */
export function slicePrefix({ volumeName, hashPrefix }: ObjectKeyLayout, sliceId: SliceId): string {
  const millions = sliceId / 1_000_000n;
  if (!hashPrefix) return `${volumeName}/chunks/${millions}/${sliceId / 1000n}/${sliceId}_`;
  const spread = (sliceId % 256n).toString(16).toUpperCase().padStart(2, '0');
  return `${volumeName}/chunks/${spread}/${millions}/${sliceId}_`;
}

/**
 * The page that a key names, or undefined for keys that are no page of this volume: other objects, other layouts, and
 * spellings that no client writes.
 */
export function parsePageObjectKey(layout: ObjectKeyLayout, key: string): PagePlace | undefined {
  const match = /\/(\d{1,20})_(\d{1,4})_(\d{1,8})$/.exec(key);
  if (match === null) return undefined;
  const place = { sliceId: BigInt(match[1] ?? ''), indx: Number(match[2]), length: Number(match[3]) };
  return place.length > 0 && pageObjectKey(layout, place) === key ? place : undefined;
}

/** Keys of all pages of a slice of `size` bytes. */
export function sliceObjectKeys(layout: ObjectKeyLayout, sliceId: SliceId, size: number, pageSize: number): string[] {
  if (!isPageSize(pageSize)) throw new RangeError(`page size ${pageSize}`);
  const keys: string[] = [];
  for (let indx = 0; indx * pageSize < size; indx++)
    keys.push(pageObjectKey(layout, { sliceId, indx, length: pageLength(size, indx, pageSize) }));
  return keys;
}
