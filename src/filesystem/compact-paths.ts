// Compacts what lies below paths of a volume, for tools: with the key, beside whoever has it mounted.
import type { OnProgress } from '../base/progress.ts';
import { type CompactReport, compactVolume } from './compact.ts';
import { openVolume } from './open.ts';
import type { OpenOptions } from './options.ts';
import { walk } from './paths.ts';

export interface CompactPathsOptions extends Pick<OpenOptions, 'metaUrl' | 'key' | 'store'> {
  /** From the root of the file system. */
  readonly paths: readonly string[];
  /** Chunks at a time. */
  readonly threads?: number;
  readonly onProgress?: OnProgress;
}

export async function compactPaths(options: CompactPathsOptions): Promise<CompactReport> {
  const { paths, threads, onProgress, ...open } = options;
  const volume = await openVolume({ ...open, backgroundJobs: false });
  try {
    const below = [];
    for (const path of paths) below.push((await volume.engine.view(() => walk(path))).ino);
    return await compactVolume({
      volume,
      below,
      ...(threads !== undefined && { atOnce: threads }),
      ...(onProgress && { onProgress }),
    });
  } finally {
    await volume.close();
  }
}
