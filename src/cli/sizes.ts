// Numbers on the command line, with the original client's units.
import { fail } from '../base/errors.ts';

const units = { K: 1n << 10n, M: 1n << 20n, G: 1n << 30n, T: 1n << 40n, P: 1n << 50n } as const;
type Unit = keyof typeof units;

/** Bytes of "64K", "4MiB", "1.5G"; a bare number counts `bare`. */
export function parseSize(flag: string, text: string, bare: Unit): bigint {
  const match = /^(\d{1,15})(?:\.(\d{1,3}))?(?:([KMGTP])(?:i?B)?)?$/i.exec(text.trim());
  if (match === null) throw fail('bad-input', `${flag} ${JSON.stringify(text)}: wanted a size like 4M`);
  const unit = (match[3] ?? bare).toUpperCase() as Unit;
  const thousandths = BigInt(`${match[1]}${(match[2] ?? '').padEnd(3, '0')}`);
  return (thousandths * units[unit]) / 1000n;
}

export function parseCount(flag: string, text: string): bigint {
  if (!/^\d{1,15}$/.test(text.trim())) throw fail('bad-input', `${flag} ${JSON.stringify(text)}: wanted a number`);
  return BigInt(text.trim());
}

const MAX_THREADS = 255;

/** Of --threads, as the original client bounds it. */
export function parseThreads(text: string): number {
  if (!/^[1-9]\d{0,2}$/.test(text) || Number(text) > MAX_THREADS)
    throw fail('bad-input', `--threads ${text}: wanted a number from 1 to ${MAX_THREADS}`);
  return Number(text);
}

/** Bytes as the original client's tables show them: "192 KiB", "4.0 KiB", "1.0 GiB". */
export function shownSize(bytes: bigint): string {
  const names = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
  let unit = 0;
  let value = Number(bytes);
  while (Math.abs(value) >= 1024 && unit < names.length - 1) {
    value /= 1024;
    unit++;
  }
  const text = unit > 0 && Math.abs(value) < 10 ? (Math.round(value * 10) / 10).toFixed(1) : String(Math.round(value));
  return `${text} ${names[unit]}`;
}
