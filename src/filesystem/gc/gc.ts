// Garbage collection: what takes space in store and metadata and belongs to no file. A dry run unless told to delete;
// needs no key. Everything that is deleted is so by rules that hold with other clients at work: see each step.
import { nowNs } from '../../base/clock.ts';
import { fail } from '../../base/errors.ts';
import type { OnProgress } from '../../base/progress.ts';
import { type CompactReport, compactVolume } from '../compact.ts';
import { readSetting, type VolumeSetting } from '../meta/read-setting.ts';
import { hasOurTables } from '../meta/schema.ts';
import { otherSessions } from '../meta/volume-rows.ts';
import { openVolume } from '../open.ts';
import type { KeySource } from '../options.ts';
import { SliceIndex } from '../slices/slice-index.ts';
import { type SliceScan, scanSlices } from '../slices/slice-scan.ts';
import { type Engine, type Op, read } from '../sql/op.ts';
import { openEngine } from '../sql/open-engine.ts';
import { openStore } from '../store/open-store.ts';
import type { ObjectStore, StoreSettings } from '../store/store.ts';
import { storeSettings } from '../store-settings.ts';
import { type KeylessVolume, openKeyless } from '../without-key.ts';
import { type Deletion, type ObjectCounts, scanObjects } from './objects.ts';
import {
  countOrphanedLedgerRows,
  deleteOrphanedLedgerRows,
  removeDetached,
  type WaitingRows,
  waitingRows,
} from './rows.ts';

/** An upload must have been committed within the hour: the format's rule. */
export const UPLOAD_SECONDS = 3600;

export interface GcOptions {
  readonly metaUrl: string;
  /** Overrides of the record. */
  readonly store?: Partial<StoreSettings>;
  readonly delete?: boolean;
  /** Compacts every chunk first. The key as for opening: absent for a volume that is not encrypted. */
  readonly compact?: { readonly key?: KeySource };
  /** Objects that are younger are not judged. */
  readonly olderThanSeconds?: number;
  /** Deletes at the same time. */
  readonly threads?: number;
  /** Rows read, then rows cleaned up, then objects seen. */
  readonly onProgress?: OnProgress;
}

export interface GcReport {
  readonly name: string;
  readonly uuid: string;
  /** Slices in use, and their bytes before compression. */
  readonly slices: { readonly count: number; readonly bytes: number };
  /** As found by the listing; with `delete` after the rows were cleaned up. */
  readonly objects: ObjectCounts;
  /** Before anything was deleted. */
  readonly rows: WaitingRows & { readonly pendingSlices: number; readonly ledgerRows: number };
  readonly compacted: CompactReport | undefined;
  readonly deleted: boolean;
  /** Objects deleted by the listing. */
  readonly deletedObjects: number;
  /** What should not be, and what to do about it. */
  readonly notes: readonly string[];
}

const DEFAULT_THREADS = 10;

export async function collectGarbage(options: GcOptions): Promise<GcReport> {
  const compacted = options.compact && (await compact(options, options.compact));
  const report = options.delete ? await collect(options) : await look(options);
  return { ...report, compacted };
}

/** First, so that what it replaces is counted, or with the trash off gone. */
async function compact(options: GcOptions, source: { readonly key?: KeySource }): Promise<CompactReport> {
  const { metaUrl, store, threads, onProgress } = options;
  const volume = await openVolume({ metaUrl, backgroundJobs: false, ...source, ...(store && { store }) });
  try {
    return await compactVolume({ volume, ...(threads && { atOnce: threads }), ...(onProgress && { onProgress }) });
  } finally {
    await volume.close();
  }
}

type Found = Omit<GcReport, 'compacted'>;

async function look(options: GcOptions): Promise<Found> {
  const engine = await openEngine(options.metaUrl, { readOnly: true });
  try {
    const volume = await readSetting(engine);
    const store = await openStore(storeSettings(volume, options.store));
    try {
      return await run({ engine, store, volume, options });
    } finally {
      await store.close();
    }
  } finally {
    await engine.close();
  }
}

async function collect(options: GcOptions): Promise<Found> {
  const keyless = await openKeyless(options.metaUrl, options.store);
  const { engine, store, close } = keyless;
  try {
    return await run({ engine, store, volume: await readSetting(engine), options, keyless });
  } finally {
    await close();
  }
}

interface Work {
  readonly engine: Engine;
  readonly store: ObjectStore;
  readonly volume: VolumeSetting;
  readonly options: GcOptions;
  /** Present when deleting. */
  readonly keyless?: KeylessVolume;
}

async function run(work: Work): Promise<Found> {
  const { engine, store, volume, options, keyless } = work;
  const { setting } = volume;
  const { name, uuid, pageSize, hashPrefix, trashDays } = setting;
  const onProgress = options.onProgress ?? (() => undefined);
  const before = Date.now() - (options.olderThanSeconds ?? UPLOAD_SECONDS) * 1000;
  const rows = await waitingRows(engine, trashDays);
  const ledgerRows = (await hasOurTables(engine)) ? await countOrphanedLedgerRows(engine, pageSize) : 0;
  const index = new SliceIndex();
  try {
    let scan = await scanSlices(options.metaUrl, index, onProgress);
    const { pending: pendingSlices } = index.totals();
    const notes = wrongCounts(scan, index);
    if (keyless !== undefined) {
      await refuseUnsafe(work, notes);
      await cleanRows(keyless, pageSize, onProgress);
      scan = await scanSlices(options.metaUrl, index, onProgress);
      await deletePending(keyless, index, options.threads ?? DEFAULT_THREADS);
    }
    const deletion: Deletion | undefined = keyless && {
      engine,
      threads: options.threads ?? DEFAULT_THREADS,
      deleted: 0,
    };
    const layout = { volumeName: name, hashPrefix };
    const objects = await scanObjects({ store, layout, pageSize, index, before, onProgress }, deletion);
    const { used, bytes } = index.totals();
    return {
      name,
      uuid,
      slices: { count: used, bytes },
      objects,
      rows: { ...rows, pendingSlices, ledgerRows },
      deleted: keyless !== undefined,
      deletedObjects: deletion?.deleted ?? 0,
      notes,
    };
  } finally {
    index.close();
  }
}

/** Deletions go by counts: where these are too low, or rows cannot be read, a clean-up would take what files need. */
function wrongCounts({ damaged }: SliceScan, index: SliceIndex): string[] {
  const notes = damaged.slice(0, 1).map((text) => `${damaged.length} rows cannot be read: ${text}`);
  let low = 0;
  let high = 0;
  for (const { records, delayed, counted } of index.miscounted())
    if ((counted?.refs ?? 0) < records + delayed) low++;
    else high++;
  if (low > 0) notes.push(`${low} slices are counted fewer times than they are used`);
  if (high > 0) notes.push(`${high} slices are counted more often than they are used`);
  return notes;
}

async function refuseUnsafe({ engine, options, keyless, volume }: Work, notes: readonly string[]): Promise<void> {
  const [dangerous] = notes.filter((note) => !note.includes('more often'));
  if (dangerous !== undefined)
    throw fail('metadata-damaged', `collect the garbage of ${volume.setting.name}: ${dangerous}`, {
      hint: 'pageseal fsck --repair comes first: deleting by these counts could take what files need',
    });
  if ((options.olderThanSeconds ?? UPLOAD_SECONDS) >= UPLOAD_SECONDS) return;
  const now = nowNs() / 1_000_000_000n;
  const others = await engine.view(function* (): Op<bigint> {
    const [[count = 0n]] = yield* read(otherSessions(keyless?.meta.sessionId ?? 0n, now));
    return count;
  });
  if (others > 0n)
    throw fail(
      'failed-precondition',
      `collect the garbage of ${volume.setting.name}: ${others} clients have it mounted, and their uploads may take up to ${UPLOAD_SECONDS} seconds to be committed`,
      { hint: `leave --older-than (JFS_GC_SKIPPEDTIME) at ${UPLOAD_SECONDS} or unmount them` },
    );
}

/** In the order in which one leaves work to the next. */
async function cleanRows(keyless: KeylessVolume, pageSize: number, onProgress: OnProgress): Promise<void> {
  const { engine, meta } = keyless;
  await removeDetached(meta);
  await meta.collect(onProgress);
  await deleteOrphanedLedgerRows(engine, pageSize);
}

async function deletePending({ meta }: KeylessVolume, index: SliceIndex, threads: number): Promise<void> {
  const slices = index.pending();
  const work = async (): Promise<void> => {
    for (let next = slices.next(); !next.done; next = slices.next()) {
      const { id, size } = next.value;
      await meta.deleteSlices([{ id, size }]);
    }
  };
  await Promise.all(Array.from({ length: threads }, work));
}
