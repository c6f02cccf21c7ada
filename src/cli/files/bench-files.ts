// The measuring behind `pageseal bench`: a folder of its own below the one given, removed at the end whatever happens.
import { randomFillSync } from 'node:crypto';
import { mkdir, mkdtemp, open, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FsError } from '../../base/errors.ts';
import type { OnProgress } from '../../base/progress.ts';

export interface BenchOptions {
  /** Bytes. */
  readonly block: number;
  readonly big: number;
  readonly small: number;
  readonly count: number;
  readonly threads: number;
  readonly keepCaches: boolean;
}

export interface BenchFigures {
  readonly what: string;
  /** Of all threads; absent for small files. */
  readonly bytesPerSecond?: number;
  readonly perSecond: number;
  /** One file in one thread. */
  readonly milliseconds: number;
}

export async function benchFiles(path: string, options: BenchOptions, onProgress: OnProgress): Promise<BenchFigures[]> {
  const folder = await mkdtemp(join(path, '__pageseal_benchmark_')).catch((thrown: unknown) => {
    throw FsError.from(thrown, `make a folder in ${path}`);
  });
  try {
    return await measured(folder, options, onProgress);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function measured(folder: string, options: BenchOptions, onProgress: OnProgress): Promise<BenchFigures[]> {
  const { big, small, count, threads, block } = options;
  const data = randomFillSync(Buffer.allocUnsafe(Math.max(block, small)));
  const bigFiles = big > 0 ? [['big']] : [];
  const steps: [string, number, () => Promise<BenchFigures>][] = [];
  const step = (what: string, names: readonly string[], bytes: number, work: Work): void => {
    steps.push([what, bytes, () => timed(what, threads, names, bytes, folder, work)]);
  };
  for (const names of bigFiles) {
    step('Write big file', names, big, (file) => writeBig(file, big, data.subarray(0, block)));
    step('Read big file', names, big, (file) => readWhole(file, block));
  }
  const names = small > 0 ? Array.from({ length: count }, (_, i) => `small-${i}`) : [];
  if (names.length > 0) {
    step('Write small file', names, 0, (file) => writeFile(file, data.subarray(0, small)));
    step('Read small file', names, 0, (file) => readWhole(file, block));
    step('Stat file', names, 0, (file) => stat(file));
  }
  for (let thread = 0; thread < threads; thread++) await mkdir(join(folder, String(thread)));
  const figures: BenchFigures[] = [];
  for (const [what, , work] of steps) {
    if (!options.keepCaches && /^(Read|Stat)/.test(what)) await dropCaches();
    figures.push(await work());
    onProgress(figures.length, steps.length);
  }
  return figures;
}

type Work = (file: string) => Promise<unknown>;

async function timed(
  what: string,
  threads: number,
  names: readonly string[],
  bytes: number,
  folder: string,
  work: Work,
): Promise<BenchFigures> {
  const start = performance.now();
  await Promise.all(
    Array.from({ length: threads }, async (_, thread) => {
      for (const name of names) await work(join(folder, String(thread), name));
    }),
  );
  const spent = performance.now() - start;
  const files = threads * names.length;
  const perSecond = (files / spent) * 1000;
  const figures = { what, perSecond, milliseconds: spent / names.length };
  return bytes > 0 ? { ...figures, bytesPerSecond: perSecond * bytes } : figures;
}

async function writeBig(path: string, size: number, block: Buffer): Promise<void> {
  const file = await open(path, 'w');
  try {
    for (let at = 0; at < size; at += block.length) await file.write(block, 0, Math.min(block.length, size - at));
  } finally {
    await file.close();
  }
}

async function readWhole(path: string, block: number): Promise<void> {
  const buffer = Buffer.allocUnsafe(block);
  const file = await open(path, 'r');
  try {
    while ((await file.read(buffer, 0, block, null)).bytesRead > 0);
  } finally {
    await file.close();
  }
}

/** As the original client does; others than root measure the kernel's memory too. */
async function dropCaches(): Promise<void> {
  await writeFile('/proc/sys/vm/drop_caches', '3').catch(() => undefined);
}
