// System calls on files, made by calls.py: exact 64-bit numbers, and never by the process that serves the mount.
import { fileURLToPath } from 'node:url';
import { runOk } from './program.ts';

type Path = string;
type Number64 = number | bigint;

export type Call =
  /** path, place, value of each byte, how many. */
  | readonly ['write', Path, Number64, number, number]
  /** path, place, how many; answers runs: '1*5 0*3' is five ones and three zeros. */
  | readonly ['read', Path, Number64, number]
  /** path, place, how many: 'ok' when no data is reported as a hole there. */
  | readonly ['covered', Path, Number64, number]
  /** path, mode, place, length. */
  | readonly ['fallocate', Path, number, Number64, Number64]
  | readonly ['truncate' | 'ftruncate', Path, Number64]
  | readonly ['seek', Path, 'data' | 'hole', Number64]
  /** source, its place, target, its place, length; answers how much was copied. */
  | readonly ['copy', Path, Number64, Path, Number64, Number64]
  | readonly ['open' | 'close' | 'size' | 'blocks' | 'end' | 'fsync' | 'hash' | 'unlink' | 'names', Path];

const program = fileURLToPath(new URL('calls.py', import.meta.url));
const TIMEOUT_MS = 120_000;

/** Answers what each call answered: a number as text, 'ok', or the name of an error. */
export async function makeCalls(calls: readonly Call[]): Promise<string[]> {
  const input = JSON.stringify(calls, (_, field: unknown) => (typeof field === 'bigint' ? `${field}n` : field));
  return JSON.parse(await runOk('python3', [program], { input, timeoutMs: TIMEOUT_MS })) as string[];
}
