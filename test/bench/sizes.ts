// How much each workload does: enough for stable ratios, three rounds of both clients within three minutes.

export interface Sizes {
  readonly seqMiB: number;
  readonly smallFiles: number;
  readonly mdFiles: number;
  readonly randomMiB: number;
  readonly randomReads: number;
  readonly randomWrites: number;
  readonly syncWrites: number;
  /** A tar file of a real tree, and how many entries it has. */
  readonly archive: string;
  readonly archiveFiles: number;
}

export const defaults: Omit<Sizes, 'archive' | 'archiveFiles'> = {
  seqMiB: 256,
  smallFiles: 1000,
  mdFiles: 500,
  randomMiB: 64,
  randomReads: 200,
  randomWrites: 1000,
  syncWrites: 200,
};
