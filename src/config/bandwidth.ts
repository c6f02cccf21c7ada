// Bandwidths as the original client's flags take them, and its record keeps them: whole megabits a second.

const units: Readonly<Record<string, number>> = { '': 1, M: 1, G: 1000, T: 1_000_000 };
/** The record's 64 bits would hold more; nobody's line does. */
const MAX_MBPS = 1_000_000_000;

/** Of "100", "1.5", "2G"; 0 is no limit. Undefined for what is none. */
export function parseMbps(text: string): number | undefined {
  const [, number = '', unit = ''] = /^(\d{1,9}(?:\.\d{1,3})?)([MGT]?)$/i.exec(text.trim()) ?? [];
  if (number === '') return undefined;
  const mbps = Number(number) * (units[unit.toUpperCase()] ?? 1);
  const whole = Math.trunc(mbps);
  // A part of a megabit would be cut to 0, which is no limit at all.
  return whole > MAX_MBPS || (whole === 0 && mbps > 0) ? undefined : whole;
}
