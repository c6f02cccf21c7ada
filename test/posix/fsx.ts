// fsx: random reads, writes, mappings, truncations, holes and copies in one file, each read checked against what it knows.
import { randomInt } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { run } from '../harness/program.ts';
import type { Temp } from '../harness/temp.ts';
import { fsxProgram } from '../harness/tools.ts';

export interface FsxOptions {
  readonly operations: number;
  /** Longest file and longest operation, bytes. */
  readonly length: number;
  readonly largest: number;
  /** Also reads and writes through shared mappings. */
  readonly mappings: boolean;
}

/** Relative frequencies; what waits for the store is rarer. */
const weights = {
  close_open: 1, read: 10, write: 10, invalidate: 1, truncate: 4, fsync: 0.3, fdatasync: 0.3, posix_fallocate: 2,
  punch_hole: 3, sendfile: 3, posix_fadvise: 1, copy_file_range: 3,
}; // biome-ignore format: a table reads better than a column

/** Ten minutes for the short size, hours for the long one. */
const MS_PER_OPERATION = 30;

/** Answers what was run; what fsx finds wrong is an error with the seed that shows it again. */
export async function runFsx(temp: Temp, file: string, options: FsxOptions): Promise<string> {
  const { operations, length, largest, mappings } = options;
  const seed = randomInt(2 ** 31);
  const name = `fsx-${seed}`;
  const share = mappings ? 10 : 0;
  const lines = Object.entries({ ...weights, mapread: share, mapwrite: share }).map(
    ([key, value]) => `${key} = ${value}\n`,
  );
  writeFileSync(temp.at(`${name}.toml`), `flen = ${length}\n[opsize]\nmax = ${largest}\n[weights]\n${lines.join('')}`);
  const args = ['-f', temp.at(`${name}.toml`), '-N', `${operations}`, '-S', `${seed}`, '-P', temp.path, file];
  const { code, stdout, stderr } = await run(fsxProgram, args, {
    env: temp.env,
    timeoutMs: 60_000 + operations * MS_PER_OPERATION,
  });
  if (code !== 0) throw new Error(`fsx -S ${seed} on ${file}: exit ${code}\n${`${stdout}${stderr}`.slice(-4000)}`);
  return `${operations} operations, seed ${seed}`;
}
