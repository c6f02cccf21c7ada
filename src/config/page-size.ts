// Page sizes as text. The format keeps them in KiB and takes powers of two between the bounds.
import { KiB, MiB } from '../base/units.ts';

export const MIN_PAGE = 64 * KiB;
export const MAX_PAGE = 16 * MiB;

const units: Readonly<Record<string, number>> = { k: KiB, m: MiB };

/** Bytes of "4MiB", "4M", "64KiB"; a bare number counts KiB, as in the original client. Undefined if it is no page size. */
export function pageSizeOf(text: string): number | undefined {
  const match = /^([0-9]{1,8})(?:([km])(?:i?b?)?)?$/i.exec(text.trim());
  if (match === null) return undefined;
  const bytes = Number(match[1]) * (units[(match[2] ?? 'k').toLowerCase()] ?? KiB);
  const isPowerOfTwo = (bytes & (bytes - 1)) === 0;
  return bytes >= MIN_PAGE && bytes <= MAX_PAGE && isPowerOfTwo ? bytes : undefined;
}
